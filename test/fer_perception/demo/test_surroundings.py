"""The demo where ROS does not start, and where the terminal cannot spell a name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.ros


@pytest.fixture(autouse=True)
def _portraits() -> None:
    pytest.importorskip("skimage")
    pytest.importorskip("matplotlib")


def demo(out: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fer_perception.demo", "--out", str(out), "--seconds", "0.1"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_a_log_directory_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROS_LOG_DIR", os.devnull)
    monkeypatch.setenv("PYTHONIOENCODING", "ascii:strict")
    done = demo(tmp_path / "gr\N{LATIN SMALL LETTER U WITH DIAERESIS}n")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("demo: ROS does not start here (")
    assert "Failed to create log directory" in line
    assert "fer doctor" in line
    assert r"gr\xfcn" in done.stdout


def test_a_directory_whose_name_is_no_text(tmp_path: Path) -> None:
    done = demo(tmp_path / os.fsdecode(b"d\xe4"))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "has a name that is not UTF-8" in line
    assert list(tmp_path.iterdir()) == []
