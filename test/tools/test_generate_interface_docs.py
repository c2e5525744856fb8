"""The generated parameter file and tables follow the declarations, and every params file is valid."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from fer_perception.settings.declaration import check_value, default_of
from fer_perception.settings.node_settings import ImageSourceSettings, NodeSettings
from fer_perception.settings.pipeline_settings import PipelineSettings


@pytest.fixture
def generator(repository: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", repository / "tools" / "generate_interface_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_files_are_up_to_date(generator: ModuleType, repository: Path) -> None:
    for path, text in generator.generate().items():
        assert (repository / path).read_text(encoding="utf-8") == text, "run tools/generate_interface_docs.py"


def test_check_finds_a_difference_and_writing_fixes_it(
    generator: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generator, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["generate", "--check"])
    assert generator.main() == 1
    assert "config/fer.yaml, docs/parameters.md, docs/topics.md" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(sys, "argv", ["generate"])
    assert generator.main() == 0
    monkeypatch.setattr(sys, "argv", ["generate", "--check"])
    assert generator.main() == 0


def test_every_parameter_is_in_the_file_with_its_default_and_a_comment(repository: Path) -> None:
    text = (repository / "config" / "fer.yaml").read_text(encoding="utf-8")
    values = yaml.safe_load(text)["/**"]["ros__parameters"]
    expected = {
        item.name: default_of(cls, item.name)
        for cls in (NodeSettings, PipelineSettings)
        for item in dataclasses.fields(cls)
    }
    assert {
        name: tuple(v for v in value if v) if isinstance(value, list) else value for name, value in values.items()
    } == (expected)
    lines = text.splitlines()
    for name in expected:
        at = next(index for index, line in enumerate(lines) if line.startswith(f"    {name}:"))
        assert lines[at - 1].lstrip().startswith("# "), name


@pytest.mark.parametrize("name", ["fer", "jetson", "cpu_low_power"])
def test_params_files_hold_valid_values(repository: Path, name: str) -> None:
    values = yaml.safe_load((repository / "config" / f"{name}.yaml").read_text(encoding="utf-8"))
    pipeline = {item.name for item in dataclasses.fields(PipelineSettings)}
    for key, value in values["/**"]["ros__parameters"].items():
        check_value(PipelineSettings if key in pipeline else NodeSettings, key, value)


def test_no_two_nodes_or_classes_share_a_name() -> None:
    names = [item.name for cls in (NodeSettings, PipelineSettings) for item in dataclasses.fields(cls)]
    assert len(names) == len(set(names))
    assert not {"on", "off", "yes", "no"} & {
        choice
        for cls in (NodeSettings, PipelineSettings, ImageSourceSettings)
        for item in dataclasses.fields(cls)
        for choice in item.metadata["declaration"].choices
    }, "YAML makes these booleans"
