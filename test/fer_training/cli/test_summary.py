"""`fer-train summary`: the keys people script against."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from fer_perception.errors import FerError
from fer_training.cli import summary as cli_summary


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    app.callback()(lambda: None)
    cli_summary.register(app)
    return app


def test_json_on_stdout(app: typer.Typer) -> None:
    result = CliRunner().invoke(app, ["summary", "arch1", "--json", "-"])
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    assert (summary["total"], summary["trainable"]) == (293_951, 292_863)
    assert summary["layers"][0] == {
        "name": "features.conv2d_1",
        "type": "Conv2d",
        "output_shape": [8, 48, 48],
        "parameters": 72,
    }
    assert summary["layers"][-1]["type"] == "Softmax"


def test_table_and_json_file(app: typer.Typer, tmp_path: Path) -> None:
    file = tmp_path / "summary.json"
    result = CliRunner().invoke(app, ["summary", "ires_separable", "--json", str(file)])
    assert result.exit_code == 0, result.output
    assert "54,983 parameters, 52,727 trainable" in result.stdout
    assert json.loads(file.read_text())["total"] == 54_983


def test_color_and_classes_are_options(app: typer.Typer) -> None:
    arguments = ["summary", "arch1", "--in-channels", "3", "--input-size", "96", "--num-classes", "8", "--json", "-"]
    layers = json.loads(CliRunner().invoke(app, arguments).stdout)["layers"]
    assert layers[0]["output_shape"] == [8, 96, 96]
    assert layers[0]["parameters"] == 216
    assert layers[-1]["output_shape"] == [8]


def test_unknown_network_is_a_clear_error(app: typer.Typer) -> None:
    result = CliRunner().invoke(app, ["summary", "arch7"])
    assert isinstance(result.exception, FerError)
    assert "no network 'arch7'" in str(result.exception)


def test_unwritable_file_is_a_clear_error(app: typer.Typer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    result = CliRunner().invoke(app, ["summary", "lenet", "--json", str(tmp_path / "file" / "x.json")])
    assert isinstance(result.exception, FerError)
    assert "cannot be made" in str(result.exception)
