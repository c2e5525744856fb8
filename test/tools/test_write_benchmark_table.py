"""The table of speeds says what was measured, and only that."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from fer_perception.errors import SourceError

FIGURES = {
    "ros.vga_1_face.p50_ms": 8.125,
    "ros.vga_1_face.p99_ms": 12.5,
    "ros.vga_1_face.answered_percent": 100.0,
    "ros.vga_1_face.one_core_percent": 18.6,
    "ros.vga_1_face.resident_mb": 288.6,
    "pipeline.vga_4_faces.ms": 4.5,
    "pipeline.vga_4_faces.p99_ms": None,
    "classifier.efficientnet_b0.ms_per_face": 6.37,
    "classifier.efficientnet_b0_to_arch1.ratio": 22.1,
    "pipeline.start_to_first_frame.s": 0.81,
    "machine.cores.count": 2.0,
}


@pytest.fixture(scope="module")
def tool(repository: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("speeds", repository / "tools" / "write_benchmark_table.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["speeds"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_rows_are_the_figures(tool: ModuleType) -> None:
    lines = tool.table(FIGURES, "a robot").splitlines()
    assert lines[0].startswith("Measured on a robot")
    (node,) = [line for line in lines if line.startswith("| node")]
    assert "1 face:" in node
    assert node.endswith("| 8.12 ms | 12.5 ms | 100 % answered, 18.6 % of a core, 289 MB |")
    # What was not measured has an empty cell, not a number.
    (pipeline,) = [line for line in lines if line.startswith("| pipeline")]
    assert pipeline.endswith("| 4.50 ms |  |  |")
    (peer,) = [line for line in lines if line.startswith("| EfficientNet")]
    assert peer.endswith("| 6.37 ms |  | 22.1 times ARCH-1 |")
    assert lines[-1] == "From the first import to the first result: 0.810 s."


def test_what_was_not_measured_has_no_row(tool: ModuleType) -> None:
    text = tool.table({"crops.16_faces.ms": 1.0}, "x")
    assert [line for line in text.splitlines() if line.startswith("| ")][1:] == [
        "| cut out and align 16 faces | 1.00 ms |  |  |"
    ]
    with pytest.raises(SourceError, match="none of the figures"):
        tool.table({"other": 1.0}, "x")


def test_the_page_has_every_row_with_its_figure(tool: ModuleType) -> None:
    """A key that the benchmark no longer writes would lose its row."""
    text = tool.PAGE.read_text(encoding="utf-8")
    block = text[text.index(f"<!-- {tool.BLOCK}: begin") : text.index(f"<!-- {tool.BLOCK}: end -->")]
    for row in tool.rows():
        if "INT8" not in row.what:  # where such a file lies beside the model
            assert re.search(rf"^\| {re.escape(row.what)} \| [\d.,]+ ms \|", block, re.MULTILINE), row.what


def test_the_page_is_written_with_this_machine_named(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "figures.json").write_text(json.dumps(FIGURES))
    page = tmp_path / "page.md"
    page.write_text("<!-- speed: begin -->\n<!-- speed: end -->\n")
    monkeypatch.setattr(
        sys, "argv", ["x", str(tmp_path / "figures.json"), "--write", str(page), "--add", "beside a training run"]
    )
    assert tool.main() == 0
    assert "Measured on 2 cores of " in page.read_text()
    assert ", beside a training run, by `make bench`:" in page.read_text()


@pytest.mark.parametrize("text", ["{", "[1]", '{"a": "fast"}'])
def test_other_files_are_refused(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    (tmp_path / "figures.json").write_text(text)
    monkeypatch.setattr(sys, "argv", ["x", str(tmp_path / "figures.json"), "--write", str(tmp_path / "page.md")])
    assert tool.main() == 1
    assert "figures.json" in capsys.readouterr().err
    assert not (tmp_path / "page.md").exists()
