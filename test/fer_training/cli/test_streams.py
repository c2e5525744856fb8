"""`fer-train` where its output is closed, or read by somebody who leaves early; on the real command line."""

from __future__ import annotations

import subprocess
import sys

import pytest

_MAIN = "from fer_training.cli.app import main; main()"


def test_a_reader_that_has_seen_enough_is_no_failure() -> None:
    command = [sys.executable, "-c", _MAIN, "--help"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
        assert (process.wait(timeout=60), said) == (0, "")


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_closed_stream_can_be_written_to(name: str) -> None:
    # The progress of a training goes to stderr: it must not end one that a service started without.
    code = f"""
import sys
sys.{name} = None
from fer_training.cli import app as cli
cli.build_app = lambda: lambda: sys.{name}.write("epoch 1")
cli.main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_names_that_the_locale_cannot_spell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii:strict")
    code = f"""
from fer_training.cli import app as cli
cli.build_app = lambda: lambda: print("runs/{chr(0xE4)}")
cli.main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "runs/\\xe4\n")
