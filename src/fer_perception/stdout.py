"""The standard streams of a command: closed ones, ones that cannot spell a name, and a stdout nobody reads any more."""

from __future__ import annotations

import io
import os
import sys


def usable_streams() -> None:
    """Let this process write to stdout and stderr whatever it was started with."""
    # A service may have closed them; Python then has None instead.
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - lives as long as we
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    # File names need not be text, and not every locale can spell them; what cannot be printed is shown escaped.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def drop_stdout() -> None:
    """Send what is still written to stdout nowhere: the interpreter flushes it once more at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def reader_left(end: SystemExit) -> bool:
    """Whether a command of typer ended because whoever read its output had seen enough (`| head`); typer says 1."""
    return isinstance(end.__context__, BrokenPipeError)
