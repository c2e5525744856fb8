"""Files and folders under construction: `.NAME.<hex>.part` beside the place they take when they are whole.

Whoever works on one holds a lock on it, so that what a killed process has left can be told from what another one is
working on.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import stat
from pathlib import Path

#: Characters of a file's name that its temporary one repeats: file systems allow 255 bytes in all.
_KEPT_OF_NAME = 40
_PART = re.compile(rf"\..{{1,{_KEPT_OF_NAME}}}\.[0-9a-f]{{16}}\.part")


def part_of(target: Path) -> Path:
    """A name for the part of `target` that nobody can guess: a link laid in its place would lead the data elsewhere."""
    return target.with_name(f".{target.name[:_KEPT_OF_NAME]}.{secrets.token_hex(8)}.part")


def hold(handle: int) -> bool:
    """Lock an open file or folder until it is closed; False where another process holds it, or nothing can."""
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError):  # Windows has no such module
        return False
    return True


def remove_leftovers(target: Path) -> None:
    """Remove the parts of `target` that killed processes have left; those of others at work stay."""
    name = re.compile(rf"\.{re.escape(target.name[:_KEPT_OF_NAME])}\.[0-9a-f]{{16}}\.part")
    with contextlib.suppress(OSError):
        for path in target.parent.iterdir():
            if name.fullmatch(path.name):
                _remove(path)


def remove_leftovers_in(folder: Path) -> int:
    """Remove all parts in a folder that killed processes have left; those of others at work stay.

    Args:
        folder: of the files; may be missing.

    Returns:
        How many there were.
    """
    removed = 0
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if _PART.fullmatch(path.name):
                _remove(path)
                removed += not path.exists()
    return removed


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        kind = path.lstat().st_mode
        if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
            return
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        try:
            if hold(handle):
                if stat.S_ISDIR(kind):
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink()
        finally:
            os.close(handle)
