"""Detection of the kind of data set at a path.

| kind | what |
|---|---|
| npz | prepared data set (`fer-train prepare`) |
| fer_csv | fer2013.csv, icml_face_data.csv; fer2013new.csv (FER+) beside it or named by `votes` |
| manifest | CSV with the columns path, label and where known split, subject, video |
| ck_plus | official CK+ tree |
| ck48 | CK+ class folders of 48x48 images |
| jaffe | JAFFE |
| kdef | KDEF |
| raf_db | the basic expressions of RAF-DB with their list |
| affectnet | AffectNet with its lists or its annotations, or one of the lists |
| class_folders | one folder per class, below one per split where there are splits (FER2013, IMED, anything else) |
| combination | YAML file that lists any of the above |
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path

from fer_training.data.readers.affectnet import find_affectnet, labels_beside, list_columns, read_affectnet
from fer_training.data.readers.ck_plus import IMAGES_FOLDER, LABELS_FOLDER, find_folder, read_ck48, read_ck_plus
from fer_training.data.readers.ck_plus import NAME as CK_NAME
from fer_training.data.readers.class_folders import read_class_folders
from fer_training.data.readers.folders import images_below, wrapped
from fer_training.data.readers.jaffe import NAME as JAFFE_NAME
from fer_training.data.readers.jaffe import read_jaffe
from fer_training.data.readers.kdef import NAME as KDEF_NAME
from fer_training.data.readers.kdef import read_kdef
from fer_training.data.readers.manifest import is_manifest_header, read_manifest
from fer_training.data.readers.raf_db import find_list, list_beside, read_raf_db
from fer_training.data.readers.tables import open_table
from fer_training.data.records import Index, short_names
from fer_training.data.samples import DatasetError

#: What lists the image files of each kind of data set whose images come as files.
_TREE_READERS: dict[str, Callable[[Path], Index]] = {
    "manifest": read_manifest,
    "ck_plus": read_ck_plus,
    "ck48": read_ck48,
    "jaffe": read_jaffe,
    "kdef": read_kdef,
    "raf_db": read_raf_db,
    "affectnet": read_affectnet,
    "class_folders": read_class_folders,
}

TREE_KINDS = tuple(_TREE_READERS)


KINDS = ("npz", "fer_csv", *TREE_KINDS, "combination")

#: The files that hold FER2013; FER+ votes beside one of them are taken without being named.
FER_FILES = ("fer2013.csv", "icml_face_data.csv")

#: Where the tools of FER+ put the training images, beside a list of votes.
FERPLUS_FOLDER = "FER2013Train"

#: Sets that are told by the names of their images (without the last ending), wherever these lie.
_NAMES: dict[str, re.Pattern[str]] = {"jaffe": JAFFE_NAME, "kdef": KDEF_NAME, "ck48": CK_NAME}


def load_index(path: Path, *, kind: str | None = None, neutral: bool = True) -> Index:
    """List the image files of a data set without reading them.

    Args:
        path: folder or manifest.
        kind: one of `TREE_KINDS`; None finds out.
        neutral: CK+: take the first frame of each sequence as neutral.

    Raises:
        DatasetError: not a data set of image files, or nothing usable in it.
    """
    kind = kind or detect_kind(path)
    if kind == "ck_plus" and not neutral:
        return read_ck_plus(path, neutral_frames=0)
    if kind not in _TREE_READERS:
        msg = f"{path} is of the kind {kind!r}; expected image files: {', '.join(TREE_KINDS)}"
        raise DatasetError(msg)
    return _TREE_READERS[kind](path)


def detect_kind(path: Path) -> str:
    """Detect which of `KINDS` a path is.

    Raises:
        DatasetError: it does not exist or is none of them.
    """
    if path.is_dir():
        return _detect_folder(path)
    if not path.is_file():
        msg = f"there is no data set at {path}; expected an npz, CSV or YAML file or a folder"
        raise DatasetError(msg)
    if path.suffix.lower() == ".npz":
        return "npz"
    if path.suffix.lower() == ".csv":
        return _detect_csv(path)
    if path.suffix.lower() in (".yaml", ".yml"):
        return "combination"
    msg = f"{path} is no data set; expected an npz, CSV or YAML file or a folder"
    raise DatasetError(msg)


def _detect_folder(path: Path) -> str:
    if find_folder(path, IMAGES_FOLDER).is_dir():
        return "ck_plus"
    if path.name == IMAGES_FOLDER:
        msg = f"{path} holds the images of CK+ without their labels; give the folder above it, beside {LABELS_FOLDER}"
        raise DatasetError(msg)
    if fer_file(path) is not None:
        return "fer_csv"
    if find_list(path) is not None:
        return "raf_db"
    if (beside := list_beside(path)) is not None:
        msg = f"{path} holds the images of RAF-DB without their labels; give {beside}, which holds EmoLabel, too"
        raise DatasetError(msg)
    if find_affectnet(path):
        return "affectnet"
    if (above := labels_beside(path)) is not None:
        msg = f"{path} holds the images of AffectNet without their labels; give {above}, which has them, too"
        raise DatasetError(msg)
    if any(find_folder(path, FERPLUS_FOLDER).glob("fer[0-9]*.png")):
        msg = (
            f"{path} holds the images of FER+ without the labels of FER2013; give fer2013.csv, which has the same "
            "images, with fer2013new.csv (the votes) beside it"
        )
        raise DatasetError(msg)
    # A few images of such a set among others are no reason to leave out the others.
    stems = [file.stem for file in images_below(path)]
    named = (kind for kind, name in _NAMES.items() if 2 * sum(map(bool, map(name.match, stems))) > len(stems))
    return next(named, "class_folders")


def fer_file(path: Path) -> Path | None:
    """FER2013 in a folder or in one that it is wrapped around."""
    files = (folder / name for folder in wrapped(path) for name in FER_FILES)
    return next((file for file in files if file.is_file()), None)


def _detect_csv(path: Path) -> str:
    with open_table(path, "a CSV file with a header") as (file, delimiter):
        header = next(csv.reader(file, skipinitialspace=True, delimiter=delimiter), [])
    columns = [name.strip().lower() for name in header]
    if "pixels" in columns:
        return "fer_csv"
    if {"nf", "contempt"} <= set(columns):
        msg = f"{path} holds the FER+ votes alone; give fer2013.csv as the data set and this file as `votes`"
        raise DatasetError(msg)
    if list_columns(columns) is not None:
        return "affectnet"
    if is_manifest_header(columns):
        return "manifest"
    msg = (
        f"{path} has the columns {short_names(columns)}; expected emotion and pixels (FER2013), or path and label "
        "(a manifest)"
    )
    raise DatasetError(msg)
