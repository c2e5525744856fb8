from __future__ import annotations

import json
import re

import pytest
import typer
from full_disk import fill_the_disk
from typer.testing import CliRunner

from fer_perception.benchmark import crops
from fer_perception.cli import benchmark
from fer_perception.errors import SourceError


@pytest.fixture
def run(monkeypatch):
    """Run the command with the part "crops" giving known figures, and "detector" that cannot measure."""
    from fer_perception.benchmark import detector

    def measured(*, quick, progress):
        progress(f"quick={quick}")
        return {"crops.16_faces.ms": 1.23456789, "crops.odd.ms": float("nan")}

    def impossible(*, quick, progress):
        msg = "there is no detector"
        raise SourceError(msg)

    monkeypatch.setattr(crops, "run", measured)
    monkeypatch.setattr(detector, "run", impossible)
    app = typer.Typer()
    benchmark.register(app)
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


def test_json_on_stdout_is_nothing_but_json(run):
    result = run("crops", "--json", "-")
    assert result.exit_code == 0
    figures = json.loads(result.stdout)
    assert figures["crops.16_faces.ms"] == 1.23457
    assert figures["crops.odd.ms"] is None
    assert figures["machine.cores.count"] >= 1
    assert result.stderr == "crops: quick=True\n"


def test_a_file_and_a_table(run, tmp_path):
    result = run("crops", "--full", "--json", str(tmp_path / "bench.json"))
    assert result.exit_code == 0
    assert json.loads((tmp_path / "bench.json").read_text())["crops.16_faces.ms"] == 1.23457
    assert "crops.16_faces" in result.stdout
    assert "ms 1.23" in result.stdout
    assert result.stderr == "crops: quick=False\n"
    assert [p.name for p in tmp_path.iterdir()] == ["bench.json"]


def test_a_part_that_cannot_measure_fails_when_it_was_asked_for(run):
    result = run("crops", "detector")
    assert result.exit_code == 1
    assert "detector: not measured: there is no detector" in result.stderr
    assert "crops.16_faces" in result.stdout


def test_an_unknown_part_is_wrong_usage(run):
    result = run("weather")
    assert result.exit_code == 2
    assert "no part 'weather'" in result.stderr


def test_a_disk_that_fills_up_costs_no_figures(run, tmp_path, monkeypatch):
    fill_the_disk(monkeypatch)
    result = run("crops", "--json", str(tmp_path / "bench.json"))
    assert result.exit_code == 1
    assert "crops.16_faces" in result.stdout
    assert re.search(r"cannot write .*bench.json \(No space left", str(result.exception))
    assert list(tmp_path.iterdir()) == []


def test_an_impossible_file_is_refused_before_measuring(run, tmp_path):
    result = run("crops", "--json", str(tmp_path / "missing" / "figures.json"))
    assert result.exit_code == 1
    assert "cannot be written" in str(result.exception)
    assert "quick=" not in result.output
