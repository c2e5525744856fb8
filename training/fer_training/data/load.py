"""Loader of one data set or several combined, with the labels, targets and image size asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from fer_perception.labels import LABELS, LABELS_WITH_CONTEMPT
from fer_training.data.kinds import FER_FILES, KINDS, detect_kind, fer_file, load_index
from fer_training.data.label_maps import (
    QUOTE,
    LabelMap,
    apply_label_map,
    find_label_map,
    renaming,
    warn_of_unknown,
    with_common_names,
)
from fer_training.data.readers.combination import read_combination
from fer_training.data.readers.fer_csv import SIDE, read_fer_csv
from fer_training.data.readers.ferplus import apply_targets
from fer_training.data.readers.images import fit_square
from fer_training.data.readers.npz import read_npz
from fer_training.data.records import known_split, load_pixels
from fer_training.data.samples import LARGEST_SIDE, DatasetError, Samples, concatenate

Spec = str | PathLike[str] | Mapping[str, Any]


@dataclass(frozen=True)
class _Options:
    """Options of `load_dataset`; the documentation is there."""

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
            A mapping may also have "use_as" ("train", "validation" or "test": what all of its images are for) and
            "rename" (names of its classes, in any spelling, and what they shall be called, null to leave them out).
        split: "train", "validation" or "test" (or "Training", "PublicTest", ...); "all" or None reads all.
        label_map: name in `label_maps.LABEL_MAPS`, or the class names wanted, in output order.
        targets: "labels" (the data set's own), "ferplus_majority", "ferplus_plurality" or "ferplus_soft"; 8 classes if
            the label map has contempt, else 7.
        kind: one of `KINDS`; None finds out.
        votes: fer2013new.csv, for `fer_csv`.
        size: side of the images in pixels; others are cut to the central square and resized.

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
    """Check the types of options that come from a YAML file."""
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
    """True for a mapping of names, or of numbers, to names or nothing."""
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
        samples = _fer_csv(path, None if options.votes is None else Path(options.votes), options.size)
    else:
        neutral = not mapping.labels or "neutral" in mapping.labels
        index = load_index(path, kind=kind, neutral=neutral)
        warn_of_unknown([record.label for record in index.records], mapping)
        samples = load_pixels(index, size=options.size)
    samples = only_split(samples, options.split, path)
    if options.use_as is not None:
        samples = replace(samples, splits=np.full(len(samples), _split_name(options.use_as)))
    samples = apply_targets(samples, options.targets, classes=8 if "contempt" in mapping.labels else 7)
    soft = None if samples.soft is None else samples.soft[samples.labels >= 0]
    samples = apply_label_map(replace(samples, soft=None), mapping)
    return _resized(replace(samples, soft=soft), options.size)


def _fer_csv(path: Path, votes: Path | None, size: int) -> Samples:
    file = path
    if path.is_dir():
        file = fer_file(path) or path / FER_FILES[0]
    beside = file.with_name("fer2013new.csv")
    if votes is None and file.name in FER_FILES and beside.is_file():
        votes = beside
    return read_fer_csv(file, votes=votes, size=size)


def only_split(samples: Samples, split: str | None, where: Path | str) -> Samples:
    """The images of one split.

    Args:
        samples: all images of a data set.
        split: as in `load_dataset`.
        where: the data set: its name in errors, and the split that it is, where it is named after one and knows none.

    Raises:
        DatasetError: no such split, or it has no images.
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
