"""Signals that come while processes are being started."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import fer_perception.system.process as process_module
from fer_perception.system.process import end_as_ctrl_c_does, ending_signals_wait, python_command

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def _handlers_of_a_command() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in ENDING}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    end_as_ctrl_c_does()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", ENDING)
def test_they_wait_until_all_is_started(number: signal.Signals) -> None:
    started = []
    with pytest.raises(KeyboardInterrupt), ending_signals_wait():
        signal.raise_signal(number)
        signal.raise_signal(signal.SIGINT)
        started.append("all")
    assert started == ["all"]
    assert signal.getsignal(number) is signal.default_int_handler


def test_what_fails_meanwhile_does_not_lose_them() -> None:
    with pytest.raises(KeyboardInterrupt), ending_signals_wait():
        signal.raise_signal(signal.SIGTERM)
        raise OSError


def test_what_is_ignored_stays_so_for_the_processes_that_are_started() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with ending_signals_wait():
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        signal.raise_signal(signal.SIGHUP)


def test_other_threads_have_no_signals() -> None:
    def start() -> None:
        with ending_signals_wait():
            done.append(signal.getsignal(signal.SIGINT))

    done: list[object] = []
    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert done == [signal.default_int_handler]


def test_a_second_one_does_not_wait_where_the_block_may_last() -> None:
    reached = []
    with pytest.raises(KeyboardInterrupt), ending_signals_wait(again=False):
        signal.raise_signal(signal.SIGTERM)
        reached.append("the first waits")
        signal.raise_signal(signal.SIGINT)
        reached.append("the second does not")
    assert reached == ["the first waits"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


#: Prints a line that no pipe holds.
LONG_LINE = """
from fer_perception.cli.common import print_line
from fer_perception.system.process import end_as_ctrl_c_does
end_as_ctrl_c_does()
print_line("x" * 1_000_000)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_line_that_a_slow_reader_has_half_of_is_finished(number: signal.Signals) -> None:
    # Unbuffered, Python itself forgets what an interrupted write leaves.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command = [sys.executable, "-c", LONG_LINE]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], 60)[0]
    process.send_signal(number)
    line, error = process.communicate(timeout=60)
    assert b"KeyboardInterrupt" in error
    assert line == b"x" * 1_000_000 + b"\n"


@pytest.mark.parametrize("how", [{"code": "import numpy; print(numpy.__file__)"}, {"module": "calendar"}])
def test_a_child_runs_nothing_of_the_working_directory(tmp_path: Path, how: dict[str, str]) -> None:
    for name in ("numpy", "calendar", "datetime", "runpy", "sys"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('taken from the working directory')")
    command = python_command("2026", "12", **how) if "module" in how else python_command(**how)
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert "December" in done.stdout if "module" in how else str(tmp_path) not in done.stdout


def test_every_child_of_ours_is_started_so() -> None:
    sources = Path(process_module.__file__).parents[1].rglob("*.py")
    naming = {path.name for path in sources if re.search(r"sys\.executable,", path.read_text(encoding="utf-8"))}
    assert naming == {"process.py"}
