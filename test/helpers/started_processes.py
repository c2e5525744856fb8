"""The processes that a process has started."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest


def started_by(pid: int, word: str) -> list[int]:
    """Ids of the processes that process `pid` has started and whose command line holds `word`."""
    if not Path("/proc/self/task").is_dir():
        pytest.skip("no /proc here")
    found = []
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split():
            if word.encode() in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(int(child))
    return found
