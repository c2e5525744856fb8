"""Readers of the data sets people really have; `load_dataset` finds out which one a path is.

| kind | what |
|---|---|
| npz | prepared data set (`fer-train prepare`) |
| fer_csv | fer2013.csv, icml_face_data.csv; fer2013new.csv (FER+) beside it or named by `votes` |
| manifest | CSV with the columns path, label and where known split, subject, video |
| ck_plus | official CK+ tree |
| ck48 | CK+ class folders of 48x48 pictures |
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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from fer_perception.labels import LABELS, LABELS_WITH_CONTEMPT

from .affectnet import find_affectnet, labels_beside, list_columns, read_affectnet
from .ck_plus import IMAGES_FOLDER, LABELS_FOLDER, find_folder, read_ck48, read_ck_plus
from .ck_plus import NAME as CK_NAME
from .class_folders import read_class_folders
from .combination import read_combination
from .fer_csv import SIDE, read_fer_csv
from .ferplus import apply_targets
from .folders import pictures_below, wrapped
from .images import LARGEST_SIDE, fit_square
from .jaffe import NAME as JAFFE_NAME
from .jaffe import read_jaffe
from .kdef import NAME as KDEF_NAME
from .kdef import read_kdef
from .label_maps import QUOTE, LabelMap, apply_label_map, find_label_map, renaming, with_common_names
from .manifest import is_manifest_header, read_manifest
from .npz import read_npz
from .raf_db import find_list, list_beside, read_raf_db
from .records import Index, known_split, load_pixels, short_names
from .samples import DatasetError, Samples, Skip, concatenate, pixel_hash

__all__ = [
    "KINDS",
    "DatasetError",
    "Samples",
    "Skip",
    "concatenate",
    "detect_kind",
    "load_dataset",
    "load_index",
    "only_split",
    "pixel_hash",
]

#: What lists the picture files of each kind of data set whose pictures come as files.
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

#: Where the tools of FER+ put the training pictures, beside a list of votes.
FERPLUS_FOLDER = "FER2013Train"

#: Sets that are told by the names of their pictures (without the last ending), wherever these lie.
_NAMES: dict[str, re.Pattern[str]] = {"jaffe": JAFFE_NAME, "kdef": KDEF_NAME, "ck48": CK_NAME}

Spec = str | PathLike[str] | Mapping[str, Any]


@dataclass(frozen=True)
class _Options:
    """What `load_dataset` takes besides the data set; the documentation is there."""

    split: str | None
    label_map: str | Sequence[str] | LabelMap
    targets: str
    kind: str | None
    votes: str | PathLike[str] | None
    size: int
    rename: Mapping[str | int, str | None] | None = None
    use_as: str | None = None


def load_dataset(
    spec: Spec | Sequence[Spec],
    *,
    split: str | None = None,
    label_map: str | Sequence[str] | LabelMap = "fer7",
    targets: str = "labels",
    kind: str | None = None,
    votes: str | PathLike[str] | None = None,
    size: int = SIDE,
) -> Samples:
    """Read one data set or several as one.

    Args:
        spec: a path; or a mapping with "path" and any of the options below, which then hold for that data set; or a
            sequence of either, which are combined; or a YAML file with such a sequence, its paths relative to the file.
            A mapping may also have "use_as" ("train", "validation" or "test": what all of its pictures are for) and
            "rename" (names of its classes, in any spelling, and what they shall be called, null to leave them out).
        split: "train", "validation" or "test" (or "Training", "PublicTest", ...); "all" or None reads all.
        label_map: name in `label_maps.LABEL_MAPS`, or the class names wanted, in output order.
        targets: "labels" (the data set's own), "ferplus_majority", "ferplus_plurality" or "ferplus_soft"; 8 classes if
            the label map has contempt, else 7.
        kind: one of `KINDS`; None finds out.
        votes: fer2013new.csv, for `fer_csv`.
        size: side of the pictures in pixels; others are cut to the central square and resized.

    Returns:
        Samples with known labels only; what was left out is listed in `skipped`.

    Raises:
        DatasetError: a path, split, class or column that is not there, or nothing usable.
    """
    options = _Options(split=split, label_map=label_map, targets=targets, kind=kind, votes=votes, size=size)
    return _load(spec, options)


def _load(spec: Spec | Sequence[Spec], options: _Options) -> Samples:
    if isinstance(spec, Mapping):
        allowed = {field.name for field in fields(_Options)}
        unknown = set(spec) - allowed - {"path"}
        if unknown or "path" not in spec:
            msg = (
                f"a data set is described by path and any of {', '.join(sorted(allowed))}; got {sorted(map(str, spec))}"
            )
            raise DatasetError(msg)
        own = {key: value for key, value in spec.items() if key != "path"}
        _check_options(own)
        return _load(spec["path"], replace(options, **own))
    if isinstance(spec, str | PathLike):
        path = Path(spec)
        kind = options.kind or detect_kind(path)
        if kind not in KINDS:
            msg = f"there is no kind of data set {kind!r}; expected one of {', '.join(KINDS)}, or none to find it out"
            raise DatasetError(msg)
        if kind != "combination":
            return _load_one(path, kind, options)
        spec = read_combination(path)
        options = replace(options, kind=None)
    # A part without the split asked for simply has nothing to add.
    parts = [_load(part, replace(options, split=None)) for part in spec]
    if not find_label_map(options.label_map).labels:
        parts = with_common_names(parts)
    combined = concatenate(parts)
    return only_split(combined, options.split, "the combination")


def _check_options(options: Mapping[str, Any]) -> None:
    """What a YAML file says of a data set can be of any type."""
    names = {"split", "targets", "kind", "use_as"}
    for key, value in options.items():
        if key in names and not isinstance(value, str | None):
            expected = "a name"
        elif key == "votes" and not isinstance(value, str | PathLike | None):
            expected = "a path"
        elif key == "size" and not (isinstance(value, int) and 1 < value <= LARGEST_SIDE):
            expected = f"a number of pixels from 2 to {LARGEST_SIDE}"
        elif key == "label_map" and not isinstance(value, str | list | tuple | LabelMap):
            expected = "a name or a list of class names"
        elif key == "rename" and not (isinstance(value, Mapping | None) and _names_names(value or {})):
            expected = f"a mapping of the data set's class names to ours, or to null ({QUOTE})"
        else:
            continue
        msg = f"{key} of a data set is {value!r}; expected {expected}"
        raise DatasetError(msg)


def _names_names(rename: Mapping[Any, Any]) -> bool:
    """Whether a mapping is one of names, or of numbers, to names or nothing."""
    # For Python a truth value is a number.
    keys = all(isinstance(name, str | int) and not isinstance(name, bool) for name in rename)
    return keys and all(isinstance(new, str | None) for new in rename.values())


def _load_one(path: Path, kind: str, options: _Options) -> Samples:
    mapping = find_label_map(options.label_map)
    if options.rename:
        mapping = replace(mapping, renamed=renaming(options.rename))
    if options.targets != "labels" and mapping.labels not in (LABELS, LABELS_WITH_CONTEMPT):
        msg = f"{options.targets} gives the classes of fer7 or fer8, not those of the label map {mapping.name}"
        raise DatasetError(msg)
    if options.targets == "ferplus_soft" and options.rename:
        msg = (
            "ferplus_soft takes the votes of all classes, which rename cannot change; leave rename out, or take "
            "ferplus_majority"
        )
        raise DatasetError(msg)
    if kind == "npz":
        samples = read_npz(path)
    elif kind == "fer_csv":
        samples = _fer_csv(path, None if options.votes is None else Path(options.votes))
    else:
        neutral = not mapping.labels or "neutral" in mapping.labels
        samples = load_pixels(load_index(path, kind=kind, neutral=neutral), size=options.size)
    samples = only_split(samples, options.split, path)
    if options.use_as is not None:
        samples = replace(samples, splits=np.full(len(samples), _split_name(options.use_as)))
    samples = apply_targets(samples, options.targets, classes=8 if "contempt" in mapping.labels else 7)
    soft = None if samples.soft is None else samples.soft[samples.labels >= 0]
    samples = apply_label_map(replace(samples, soft=None), mapping)
    return _resized(replace(samples, soft=soft), options.size)


def load_index(path: Path, *, kind: str | None = None, neutral: bool = True) -> Index:
    """List the picture files of a data set without reading them.

    Args:
        path: folder or manifest.
        kind: one of `TREE_KINDS`; None finds out.
        neutral: CK+: take the first frame of each sequence as neutral.

    Raises:
        DatasetError: not a data set of picture files, or nothing usable in it.
    """
    kind = kind or detect_kind(path)
    if kind == "ck_plus" and not neutral:
        return read_ck_plus(path, neutral_frames=0)
    if kind not in _TREE_READERS:
        msg = f"{path} is of the kind {kind!r}; expected picture files: {', '.join(TREE_KINDS)}"
        raise DatasetError(msg)
    return _TREE_READERS[kind](path)


def detect_kind(path: Path) -> str:
    """Which of `KINDS` a path is.

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
        msg = f"{path} holds the pictures of CK+ without their labels; give the folder above it, beside {LABELS_FOLDER}"
        raise DatasetError(msg)
    if _fer_file(path) is not None:
        return "fer_csv"
    if find_list(path) is not None:
        return "raf_db"
    if (beside := list_beside(path)) is not None:
        msg = f"{path} holds the pictures of RAF-DB without their labels; give {beside}, which holds EmoLabel, too"
        raise DatasetError(msg)
    if find_affectnet(path):
        return "affectnet"
    if (above := labels_beside(path)) is not None:
        msg = f"{path} holds the pictures of AffectNet without their labels; give {above}, which has them, too"
        raise DatasetError(msg)
    if any(find_folder(path, FERPLUS_FOLDER).glob("fer[0-9]*.png")):
        msg = (
            f"{path} holds the pictures of FER+ without the labels of FER2013; give fer2013.csv, which has the same "
            "pictures, with fer2013new.csv (the votes) beside it"
        )
        raise DatasetError(msg)
    # A few pictures of such a set among others are no reason to leave out the others.
    stems = [file.stem for file in pictures_below(path)]
    named = (kind for kind, name in _NAMES.items() if 2 * sum(map(bool, map(name.match, stems))) > len(stems))
    return next(named, "class_folders")


def _fer_file(path: Path) -> Path | None:
    """FER2013 in a folder or in one that it is wrapped around."""
    files = (folder / name for folder in wrapped(path) for name in FER_FILES)
    return next((file for file in files if file.is_file()), None)


def _detect_csv(path: Path) -> str:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header = next(csv.reader(file, skipinitialspace=True), [])
    except (OSError, UnicodeDecodeError, csv.Error) as err:
        msg = f"cannot read {path} ({err}); expected a CSV file with a header"
        raise DatasetError(msg) from err
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


def _fer_csv(path: Path, votes: Path | None) -> Samples:
    file = path
    if path.is_dir():
        file = _fer_file(path) or path / FER_FILES[0]
    beside = file.with_name("fer2013new.csv")
    if votes is None and file.name in FER_FILES and beside.is_file():
        votes = beside
    return read_fer_csv(file, votes=votes)


def only_split(samples: Samples, split: str | None, where: Path | str) -> Samples:
    """The pictures of one split.

    Args:
        samples: all pictures of a data set.
        split: as in `load_dataset`.
        where: the data set: its name in errors, and the split that it is, where it is named after one and knows none.

    Raises:
        DatasetError: no such split, or it has no pictures.
    """
    if split is None or split.lower() == "all":
        return samples
    # A prepared file may have splits of its own.
    wanted = split if split in samples.splits else _split_name(split)
    if (samples.splits == "").all() and known_split(Path(where).stem) == wanted:
        # One split of a larger set, called after it: `--data fer2013/test --split test`, `--data test.csv`.
        samples = replace(samples, splits=np.full(len(samples), wanted))
    chosen = samples.splits == wanted
    if not chosen.any():
        present = ", ".join(sorted(set(samples.splits.tolist()) - {""}))
        nothing = "no splits at all: ask for the split 'all', or use a k-fold protocol"
        msg = f"{where} has no {split} split; it has {present or nothing}"
        raise DatasetError(msg)
    return samples.take(chosen)


def _split_name(name: str) -> str:
    split = known_split(name)
    if split is None:
        msg = f"there is no split {name!r}; expected train, validation, test or all"
        raise DatasetError(msg)
    return split


def _resized(samples: Samples, size: int) -> Samples:
    if samples.images.shape[1:] == (size, size):
        return samples
    return replace(samples, images=np.stack([fit_square(image, size) for image in samples.images]))
