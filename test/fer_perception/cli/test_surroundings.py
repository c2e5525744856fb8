"""What a command does whose streams, terminal or working directory are gone; on the real command line."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from made_bags import START_NS, jpeg, write_bag
from run_fer import run_fer

from fer_perception.imaging.encodings import encode_jpeg

_FER = "from fer_perception.cli import main; main()"


def run_for_nobody(*arguments: str) -> tuple[int, str]:
    """Exit status and stderr of `fer` whose reader had left before it began."""
    with subprocess.Popen(
        [sys.executable, "-c", _FER, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
        return process.wait(timeout=60), said


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("models", "list"), ("models", "verify")])
def test_a_reader_that_has_seen_enough_is_no_failure(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FER_MODEL_DIR", raising=False)
    # What is missing counts for `verify`, whoever reads it; the list alone is about the models of the package here.
    names = ("arch1_fer2013",) if arguments[-1] == "verify" else ()
    assert run_for_nobody(*arguments, *names) == (0, "")


def test_a_failure_stays_one_for_a_reader_that_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.onnx").write_bytes(b"no model")
    monkeypatch.setenv("FER_MODEL_DIR", str(tmp_path))
    status, said = run_for_nobody("models", "verify", "mine")
    assert status == 1
    assert "mine.onnx" in said


def test_a_working_directory_that_was_removed(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    code = f"import os, sys; os.chdir({str(gone)!r}); os.rmdir({str(gone)!r}); {_FER}"
    command = [sys.executable, "-c", code, "benchmark", "crops", "--json", "figures.json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "fer: the working directory, which was removed, cannot be used: No such file or directory\n"


@pytest.mark.parametrize("ignored", [False, True])
def test_a_lost_terminal_ends_a_command_as_ctrl_c_does_but_not_under_nohup(ignored: bool) -> None:
    code = f"""
import signal
signal.signal(signal.SIGHUP, signal.SIG_IGN if {ignored} else signal.SIG_DFL)
from fer_perception.cli import app
app.app = lambda **options: signal.raise_signal(signal.SIGHUP)
app.run_app()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode != -signal.SIGHUP
    assert ("KeyboardInterrupt" in done.stderr) is not ignored


def test_streams_that_are_closed() -> None:
    for closed in ("sys.stdout = None", "sys.stderr = None", "sys.stdout = sys.stderr = None"):
        command = [sys.executable, "-c", f"import sys; {closed}; {_FER}", "models", "list"]
        assert subprocess.run(command, capture_output=True, check=False).returncode == 0, closed
    assert run_fer("models", "list").stdout


@pytest.mark.parametrize("option", ["--jsonl", "--csv"])
def test_a_link_is_replaced_not_followed(option: str, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("mine")
    for place, target in (("loop", tmp_path / "loop"), ("planted", kept)):
        (tmp_path / place).symlink_to(target)
        write_bag(tmp_path / f"{place}_bag", [("/camera", START_NS, jpeg(np.zeros((48, 64, 3), np.uint8), START_NS))])
        done = run_fer("replay", tmp_path / f"{place}_bag", option, tmp_path / place)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / place).is_file()
        assert not (tmp_path / place).is_symlink()
    assert kept.read_text() == "mine"


@pytest.mark.parametrize("option", ["--out", "--save"])
def test_a_link_that_leads_to_itself(option: str, tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    write_bag(tmp_path / "bag", [("/camera", START_NS, jpeg(np.zeros((48, 64, 3), np.uint8), START_NS))])
    (tmp_path / "a.jpg").write_bytes(encode_jpeg(np.zeros((48, 64, 3), np.uint8), 90))
    command = ("run", tmp_path) if option == "--save" else ("replay", tmp_path / "bag")
    done = run_fer(*command, option, loop)
    assert done.returncode == 1
    # A warning that YuNet is missing may come first.
    *warnings, line = done.stderr.splitlines()
    assert all(warning.startswith("fer: warning: ") for warning in warnings)
    assert line.startswith(f"fer: {loop} ")
