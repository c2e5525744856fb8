"""Signals and closed pipes that end a command, besides Ctrl-C."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


def end_as_ctrl_c_does() -> None:
    """Let SIGTERM (`timeout`, services) and SIGHUP (a lost terminal or ssh) raise KeyboardInterrupt, as Ctrl-C does."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        # `nohup` ignores SIGHUP, and means it.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


@contextmanager
def ending_signals_wait(*, again: bool = True) -> Iterator[None]:
    """Within, Ctrl-C, SIGTERM and SIGHUP wait; behind it the first of them takes effect.

    For the start of other processes: a signal in the midst of it would leave one that nobody knows, so nobody ends.
    The place where they are ended must be reached also when the end of this block raises.

    Args:
        again: a second signal waits, too; else it takes effect at once, for blocks that may last.
    """
    came: list[int] = []
    former: dict[signal.Signals, Any] = {}

    def wait(number: int, frame: FrameType | None) -> None:
        came.append(number)
        if not again and len(came) > 1:
            came.clear()
            former[signal.Signals(number)](number, frame)

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # Functions only: what is ignored, or ends this process at once, the other processes shall inherit.
            if callable(signal.getsignal(number)):
                former[number] = signal.signal(number, wait)
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


def usable_streams() -> None:
    """Let this process write to stdout and stderr whatever it was started with."""
    # A service may have closed them; Python then has None instead.
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - lives as long as we
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    # File names need not be text, and not every locale can spell them; what cannot be printed is shown escaped.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


#: `-P` is known since Python 3.11 only. Nothing is imported from a file before the working directory has gone.
_SAFE_PATH = "import sys; sys.path[:1] = [each for each in sys.path[:1] if each]\n"


def python_command(*arguments: str, code: str = "", module: str = "") -> list[str]:
    """The command line of another Python that imports nothing from the working directory.

    With `-c` and `-m` Python looks there first: what lies in the directory a command is started in would run as NumPy.

    Args:
        arguments: of the program, `sys.argv[1:]` there.
        code: what to run; or
        module: the full name of a module to run as `python -m` does.

    Returns:
        The words for `subprocess`.

    Examples:
        >>> import subprocess
        >>> subprocess.run(python_command("a", code="sys.exit(sys.argv[1:] != ['a'])")).returncode
        0
    """
    run = f"import runpy; runpy.run_module({module!r}, run_name='__main__', alter_sys=True)" if module else code
    return [sys.executable, "-c", _SAFE_PATH + run, *arguments]


def drop_stdout() -> None:
    """Send what is still written to stdout nowhere: the interpreter flushes it once more at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def reader_left(end: SystemExit) -> bool:
    """True where a command of typer ended because its output is read no further (`| head`); typer says 1."""
    return isinstance(end.__context__, BrokenPipeError)
