"""One process at a time in a run directory: two trainings there would write over each other's weights."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from fer_training.recipe import RecipeError

#: Locked while somebody trains; holds the id of the process that did so last.
LOCK = ".lock"


@contextlib.contextmanager
def sole_run(out: Path) -> Iterator[None]:
    """Keep other trainings out of a run directory while the block runs; a process that was killed keeps nobody out.

    On file systems without locks, and where Python has none (Windows), everybody is let in.

    Args:
        out: the directory; made where missing.

    Raises:
        RecipeError: another process trains there.
    """
    out.mkdir(parents=True, exist_ok=True)
    handle = os.open(out / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        if not _taken(handle):
            there = os.read(handle, 20).decode(errors="replace").strip()
            msg = (
                f"another training{f' (process {there})' if there else ''} is at work in {out}; wait for its end, "
                "stop it, or take another --out"
            )
            raise RecipeError(msg)
        os.truncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(handle)


def _taken(handle: int) -> bool:
    """Take the lock; False where somebody has it."""
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # Some network file systems know no locks.
        return True
    return True
