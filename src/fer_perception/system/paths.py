"""User-dependent paths: unknown home directories, unreadable folders, share and cache directories.

A service or a container may run as a user without a home, or with the HOME of the one who started it.
"""

from __future__ import annotations

import os
from pathlib import Path

from fer_perception.errors import ModelError


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
    """True for a file that this user can reach.

    `Path.is_file` raises where a folder above is closed to him, and at a name that is too long.
    """
    return os.path.isfile(path)  # noqa: PTH113


def is_directory(path: Path) -> bool:
    """True for a directory that this user can reach; see `is_file`."""
    return os.path.isdir(path)  # noqa: PTH112


_PACKAGE = "fer_perception"


def share_directory() -> Path:
    """The directory that holds models/ and config/.

    Looked for beside the imported package (an ament or colcon installation: `<prefix>/share/fer_perception`), then in
    the source tree the package is run from, then under every prefix of AMENT_PREFIX_PATH.

    Returns:
        An existing directory.

    Raises:
        ModelError: there is none, as after a plain `pip install` without the repository.
    """
    here = Path(__file__)
    candidates = [parent / "share" / _PACKAGE for parent in here.parents]
    # src/fer_perception/system/paths.py: the source tree starts two levels above the package.
    candidates.append(here.resolve().parents[3])
    prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    candidates.extend(Path(prefix) / "share" / _PACKAGE for prefix in prefixes if prefix)
    for candidate in candidates:
        if is_directory(candidate / "models") and is_directory(candidate / "config"):
            return candidate
    msg = (
        f"the shared files of {_PACKAGE} (models/, config/) were not found beside {here.parent} nor under "
        "AMENT_PREFIX_PATH; build the package with colcon and source its setup file, or install it from its source "
        "tree with `pip install -e .`"
    )
    raise ModelError(msg)
