"""One folder per class, below one folder per split where there are splits: `train/angry/1.png` or `angry/1.png`.

Folders below a class folder are recordings (`happy/clip_07/0001.png`), so that protocols can keep them whole.
"""

from __future__ import annotations

from pathlib import Path

from fer_perception.labels import LABELS_WITH_CONTEMPT

from .images import is_image
from .label_maps import canonical
from .records import Index, Record, known_split
from .samples import DatasetError, Skip


def read_class_folders(root: Path) -> Index:
    """List the pictures of a tree of class folders.

    Files that are no pictures, empty class folders, pictures outside of them and folders beside those of the splits
    are listed as left out. A class may be missing in some of the splits.

    Raises:
        DatasetError: the folder is missing or holds no class folder with a picture.
    """
    root = inner_root(root)
    folders = _folders(root)
    split_folders = [(folder, split) for folder in folders if (split := known_split(folder.name)) is not None]
    records: list[Record] = []
    skipped: list[Skip] = []
    names: list[str] = []
    parts = split_folders or [(root, "")]
    if split_folders:
        beside = [folder for folder in folders if known_split(folder.name) is None]
        skipped += [Skip(str(folder), "a folder beside those of the splits") for folder in beside]
        skipped += _loose(root)
    for part, split in parts:
        skipped += _loose(part)
        for folder in _folders(part):
            found = list(_class_folder(folder, split, skipped))
            if not found:
                skipped.append(Skip(str(folder), "empty class folder"))
            names.append(folder.name)
            records += found
    if not records:
        msg = (
            f"{root} holds no class folder with a picture; expected {root.name}/<class>/<picture> or "
            f"{root.name}/<split>/<class>/<picture>"
        )
        raise DatasetError(msg)
    return Index(records=tuple(records), label_names=tuple(sorted(set(names))), skipped=tuple(skipped))


def inner_root(root: Path) -> Path:
    """The folder of the splits or classes where archives wrapped it into others (`images/images/train/...`).

    Args:
        root: a folder; it is the answer itself where it is no mere wrapper.

    Raises:
        DatasetError: a folder cannot be read.
    """
    inner = root
    while True:
        folders = _folders(inner)
        if any(_is_part(folder) for folder in folders):
            return inner
        if len(folders) != 1:
            return root
        inner = folders[0]


def _is_part(folder: Path) -> bool:
    """Whether a folder is called like a split or like an expression."""
    return known_split(folder.name) is not None or canonical(folder.name) in LABELS_WITH_CONTEMPT


def _loose(folder: Path) -> list[Skip]:
    pictures = sorted(path for path in folder.iterdir() if is_image(path) and path.is_file())
    return [Skip(str(path), "a picture outside of the class folders") for path in pictures]


def _class_folder(folder: Path, split: str, skipped: list[Skip]) -> list[Record]:
    records = []
    for path in sorted(folder.rglob("*")):
        if path.name.startswith("."):
            continue
        if not path.is_file():
            if path.is_symlink():
                what = "a link to a folder, which is not followed" if path.is_dir() else "a link to nothing"
                skipped.append(Skip(str(path), what))
            continue
        if not is_image(path):
            skipped.append(Skip(str(path), "not a picture file"))
            continue
        inner = path.parent.relative_to(folder)
        video = "" if inner == Path() else f"{folder.name}/{inner.as_posix()}"
        records.append(Record(path=path, label=folder.name, split=split, video=video))
    return records


def _folders(root: Path) -> list[Path]:
    try:
        # Macs put a folder of their own into archives.
        return sorted(
            path
            for path in root.iterdir()
            if path.is_dir() and not path.name.startswith(".") and path.name != "__MACOSX"
        )
    except OSError as err:
        msg = f"cannot read the folder {root} ({err.strerror})"
        raise DatasetError(msg) from err
