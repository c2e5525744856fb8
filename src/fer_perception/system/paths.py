"""Paths that depend on who runs the program: a home that nobody knows, folders that this user may not look into.

A service or a container may run as a user without a home, or with the HOME of the one who started it.
"""

from __future__ import annotations

import os
from pathlib import Path


def expanded(path: str | Path) -> Path:
    """A path whose leading ~ is the home; as it is where no home is known (`Path.expanduser` raises there)."""
    return Path(os.path.expanduser(path))  # noqa: PTH111


def user_cache() -> Path:
    """`$XDG_CACHE_HOME`, else `~/.cache`; `/.cache`, as with the HOME=/ of containers, where no home is known."""
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # The XDG base directory specification: a relative path is invalid and is ignored.
    if named.is_absolute():
        return named
    home = expanded("~")
    return (Path("/") if home == Path("~") else home) / ".cache"


def is_file(path: Path) -> bool:
    """Whether there is a file that this user can reach.

    `Path.is_file` raises where a folder above is closed to him, and at a name that is too long.
    """
    return os.path.isfile(path)  # noqa: PTH113


def is_directory(path: Path) -> bool:
    """Whether there is a directory that this user can reach; see `is_file`."""
    return os.path.isdir(path)  # noqa: PTH112
