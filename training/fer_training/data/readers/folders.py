"""Files and folders of a data set, without those of operating systems and editors."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from fer_training.data.readers.images import is_image
from fer_training.data.records import known_split
from fer_training.data.samples import DatasetError

#: A folder of Macs in archives, and the thumbnails of network storage.
_IGNORED_FOLDERS = frozenset({"__MACOSX", "@eaDir"})


def is_system_file(name: str) -> bool:
    """True for a file or folder that belongs to no data set: hidden ones (`.ipynb_checkpoints`) and others."""
    return name.startswith(".") or name in _IGNORED_FOLDERS


def subfolders(root: Path) -> list[Path]:
    """The folders of a folder, sorted.

    Raises:
        DatasetError: it cannot be read.
    """
    try:
        with os.scandir(root) as entries:
            found = [entry for entry in entries if not is_system_file(entry.name)]
        # Links are asked for otherwise, because one that leads to itself is no reason to stop.
        return sorted(
            root / entry.name
            for entry in found
            if (root.joinpath(entry.name).is_dir() if entry.is_symlink() else entry.is_dir())
        )
    except OSError as err:
        raise _unreadable(err) from err


def entries_below(root: Path) -> list[Path]:
    """All files and links in any depth, sorted; links to folders are listed and not followed.

    Raises:
        DatasetError: a folder cannot be read, so that its images would be missing.
    """
    found = []
    for folder, folders, files in os.walk(root, onerror=_raise_unreadable):
        here = Path(folder)
        folders[:] = [name for name in folders if not is_system_file(name)]
        links = [name for name in folders if (here / name).is_symlink()]
        found += [here / name for name in (*files, *links) if not is_system_file(name)]
    return sorted(found)


def images_below(root: Path) -> list[Path]:
    """All image files in any depth, sorted.

    Raises:
        DatasetError: a folder cannot be read.
    """
    return [path for path in entries_below(root) if is_image(path) and path.is_file()]


def wrapped(root: Path) -> Iterator[Path]:
    """A folder and, as long as each holds but one, the folders in it: what archives wrap around their data."""
    yield root
    while len(folders := subfolders(root)) == 1:
        root = folders[0]
        yield root


def split_of(path: Path, root: Path) -> str:
    """The split that the folders between `root` and a file name ("train", "validation", "test"), or ""."""
    names = path.relative_to(root).parts[:-1]
    return next((split for name in names if (split := known_split(name)) is not None), "")


def _unreadable(err: OSError) -> DatasetError:
    return DatasetError(f"cannot read the folder {err.filename} ({err.strerror})")


def _raise_unreadable(err: OSError) -> None:
    raise _unreadable(err) from err
