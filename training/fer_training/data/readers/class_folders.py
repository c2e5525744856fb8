"""Class folders, with split folders above them where there are splits: `train/angry/1.png` or `angry/1.png`.

Folders below a class folder are recordings (`happy/clip_07/0001.png`), so that protocols can keep them whole; or, where
all of them are called like splits, the splits (`happy/train/1.png`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from fer_perception.labels import LABELS_WITH_CONTEMPT
from fer_training.data.label_maps import canonical
from fer_training.data.readers.folders import entries_below, subfolders, wrapped
from fer_training.data.readers.images import is_image
from fer_training.data.records import Index, Record, known_split
from fer_training.data.samples import DatasetError, Skip


def read_class_folders(root: Path) -> Index:
    """List the images of a tree of class folders.

    Files that are no images, empty class folders, images outside of them and folders beside those of the splits
    are listed as left out. A class may be missing in some of the splits.

    Raises:
        DatasetError: the folder is missing or holds no class folder with an image, or the classes lie further down.
    """
    root = inner_root(root)
    folders = subfolders(root)
    split_folders = [(folder, split) for folder in folders if (split := known_split(folder.name)) is not None]
    records: list[Record] = []
    skipped: list[Skip] = []
    classes: list[Path] = []
    parts = [(_inner_part(folder, split), split) for folder, split in split_folders] or [(root, "")]
    if split_folders:
        beside = [folder for folder in folders if known_split(folder.name) is None]
        skipped += [Skip(str(folder), "a folder beside those of the splits") for folder in beside]
        skipped += _loose(root)
    for part, split in parts:
        skipped += _loose(part)
        for folder in subfolders(part):
            found = list(_class_folder(folder, split, skipped))
            if not found:
                skipped.append(Skip(str(folder), "empty class folder"))
            classes.append(folder)
            records += found
    if not records:
        msg = (
            f"{root} holds no class folder with an image; expected {root.name}/<class>/<image> or "
            f"{root.name}/<split>/<class>/<image>"
        )
        if tables := sorted(path.name for path in root.glob("*.csv")):
            msg += f"; to read a table give the file itself ({', '.join(tables[:3])})"
        raise DatasetError(msg)
    _check_level(root, classes, records)
    if not split_folders:
        records = _with_inner_splits(root, records)
    names = sorted({folder.name for folder in classes})
    return Index(records=tuple(records), label_names=tuple(names), skipped=tuple(skipped))


def inner_root(root: Path) -> Path:
    """The folder of the splits or classes where archives wrapped it into others (`images/images/train/...`).

    Args:
        root: a folder; it is the answer itself where it is no mere wrapper.

    Raises:
        DatasetError: a folder cannot be read.
    """
    inner = root
    while True:
        folders = subfolders(inner)
        if any(_is_part(folder) for folder in folders):
            return inner
        if len(folders) != 1:
            return root
        inner = folders[0]


def _inner_part(folder: Path, split: str) -> Path:
    """The folder of the classes of a split, where archives wrapped it into others (`train/train/angry/...`)."""
    for inner in wrapped(folder):
        if inner != folder and known_split(inner.name) == split:
            folder = inner
        if any(_is_expression(part.name) for part in subfolders(inner)):
            return inner
    return folder


def _is_part(folder: Path) -> bool:
    """True for a folder that is called like a split or like an expression."""
    return known_split(folder.name) is not None or _is_expression(folder.name)


def _is_expression(name: str) -> bool:
    return canonical(name) in LABELS_WITH_CONTEMPT


def _check_level(root: Path, classes: Sequence[Path], records: Iterable[Record]) -> None:
    """Refuse a tree whose upper folders would be taken for classes while the expressions lie below them."""
    names = sorted({folder.name for folder in classes})
    if any(_is_expression(name) for name in names):
        return
    shown = ", ".join([*names[:8], *["..."][: len(names) > 8]])
    for record in records:
        inner = record.path.parent.relative_to(root).parts
        deeper = next((depth for depth, name in enumerate(inner) if _is_expression(name)), None)
        if deeper is not None:
            msg = (
                f"{root} has no expression and no split among its folders ({shown}), but expressions below them "
                f"({'/'.join(inner[: deeper + 1])}); give the folder that holds those of the classes, several of them "
                "as a YAML list ('- {path: ..., use_as: train}'), folders of people as a CSV manifest with the columns "
                "path, label, subject"
            )
            raise DatasetError(msg)
    if {name.lower() for name in names} <= {"images", "labels", "annotations"}:
        msg = (
            f"{root} holds {shown} instead of class folders; files of labels beside images are not read: "
            "give a CSV manifest with the columns path and label, or one folder a class"
        )
        raise DatasetError(msg)


def _with_inner_splits(root: Path, records: list[Record]) -> list[Record]:
    """The same records with the splits of `<class>/<split>/...`, where every image lies in such a folder."""
    inner = [record.path.parent.relative_to(root).parts[1:] for record in records]
    splits = [known_split(folders[0]) if folders else None for folders in inner]
    if None in splits:
        return records
    return [
        replace(record, split=split or "", video="/".join((record.label, *folders[1:])) if folders[1:] else "")
        for record, split, folders in zip(records, splits, inner, strict=True)
    ]


def _loose(folder: Path) -> list[Skip]:
    images = sorted(path for path in folder.iterdir() if is_image(path) and path.is_file())
    return [Skip(str(path), "an image outside of the class folders") for path in images]


def _class_folder(folder: Path, split: str, skipped: list[Skip]) -> list[Record]:
    records = []
    for path in entries_below(folder):
        if not path.is_file():
            if path.is_symlink():
                what = "a link to a folder, which is not followed" if path.is_dir() else "a link to nothing"
                skipped.append(Skip(str(path), what))
            continue
        if not is_image(path):
            skipped.append(Skip(str(path), "not an image file"))
            continue
        inner = path.parent.relative_to(folder)
        video = "" if inner == Path() else f"{folder.name}/{inner.as_posix()}"
        records.append(Record(path=path, label=folder.name, split=split, video=video))
    return records
