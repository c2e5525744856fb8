"""The short run of the harness: every mutated input ends in a result or in an error of this project."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
NEEDED = {"models": "onnx", "data": "torch"}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
@pytest.mark.parametrize("kind", ["images", "messages", "models", "bags", "data"])
def test_nothing_that_is_sent_ends_a_reader(kind: str, tmp_path: Path) -> None:
    if kind in NEEDED and importlib.util.find_spec(NEEDED[kind]) is None:
        pytest.skip(f"{NEEDED[kind]} is not installed")
    command = [sys.executable, str(HERE), kind, "--short", "--json", str(tmp_path / "figures.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))[kind]
    assert figures["failures"] == []
    # Else the mutations change nothing, or everything.
    assert 0 < figures["refused"] < figures["cases"]
