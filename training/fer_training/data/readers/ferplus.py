"""FER+ (Barsoum et al. 2016): ten votes for every FER2013 image, as hard or soft targets.

The majority rule is the one of the authors' published data preparation: a class with a single vote is an outlier and
loses it; the class with the most votes must hold more than half of those that are left, and must be an emotion (not
"unknown", not "NF", not a face).
"""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_perception.labels import LABELS, LABELS_WITH_CONTEMPT
from fer_training.data.readers.tables import open_table
from fer_training.data.samples import FERPLUS_COLUMNS, UNKNOWN, DatasetError, Samples

#: Column of `FERPLUS_COLUMNS` for each of our eight classes.
_COLUMN_OF: dict[str, str] = {
    "angry": "anger",
    "disgusted": "disgust",
    "scared": "fear",
    "happy": "happiness",
    "sad": "sadness",
    "surprised": "surprise",
    "neutral": "neutral",
    "contempt": "contempt",
}

#: How `load_dataset(targets=...)` turns votes into targets.
TARGETS = ("labels", "ferplus_majority", "ferplus_plurality", "ferplus_soft")


def class_votes(votes: NDArray[np.uint8], classes: int) -> NDArray[np.int64]:
    """Votes for our classes alone, in our order.

    Args:
        votes: (N, 10) in the order of `FERPLUS_COLUMNS`.
        classes: 8, or 7 to leave contempt out.

    Returns:
        (N, classes) int64.
    """
    columns = [FERPLUS_COLUMNS.index(_COLUMN_OF[name]) for name in _labels(classes)]
    return votes[:, columns].astype(np.int64)


def without_outliers(votes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Votes with every count of one set to zero, (N, 10)."""
    return np.where(votes > 1, votes, 0).astype(np.uint8)


def majority(votes: NDArray[np.uint8], *, classes: int = 8) -> NDArray[np.int64]:
    """The class that more than half of the votes name, outliers removed.

    Args:
        votes: (N, 10) in the order of `FERPLUS_COLUMNS`.
        classes: 8, or 7: a majority for contempt is then no class.

    Returns:
        (N,) int64, `UNKNOWN` where there is no such class.
    """
    clean = without_outliers(votes).astype(np.int64)
    best = clean.argmax(axis=1)
    enough = 2 * clean.max(axis=1) > clean.sum(axis=1)
    position = {FERPLUS_COLUMNS.index(_COLUMN_OF[name]): index for index, name in enumerate(_labels(classes))}
    lookup = np.array([position.get(column, UNKNOWN) for column in range(len(FERPLUS_COLUMNS))], dtype=np.int64)
    return np.where(enough, lookup[best], UNKNOWN)


def plurality(votes: NDArray[np.uint8], *, classes: int = 8) -> NDArray[np.int64]:
    """The class with the most votes among ours, however few; a tie or no vote gives none.

    Args:
        votes: (N, 10) in the order of `FERPLUS_COLUMNS`.
        classes: 7 or 8.

    Returns:
        (N,) int64, `UNKNOWN` where there is no such class.
    """
    counts = class_votes(votes, classes)
    most = counts.max(axis=1)
    unique = (counts == most[:, None]).sum(axis=1) == 1
    return np.where(unique & (most > 0), counts.argmax(axis=1), UNKNOWN)


def majority_of_ten(votes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The one of the seven classes that more than five of the ten annotators named; nothing is cleaned first.

    Args:
        votes: (N, 10) in the order of `FERPLUS_COLUMNS`.

    Returns:
        (N,) int64 in the order of `LABELS`, `UNKNOWN` where there is no such class.
    """
    counts = class_votes(votes, len(LABELS))
    return np.where(counts.max(axis=1) > 5, counts.argmax(axis=1), UNKNOWN)


def soft_labels(votes: NDArray[np.uint8], *, classes: int = 8) -> NDArray[np.float32]:
    """Distribution of the votes over our classes.

    Args:
        votes: (N, 10) in the order of `FERPLUS_COLUMNS`.
        classes: 7 or 8.

    Returns:
        (N, classes) float32, rows sum to 1; a row without a vote for our classes is all zeros.
    """
    counts = class_votes(votes, classes).astype(np.float32)
    total = counts.sum(axis=1, keepdims=True)
    soft: NDArray[np.float32] = counts / np.maximum(total, np.float32(1.0))
    return soft


def apply_targets(samples: Samples, targets: str, *, classes: int) -> Samples:
    """Replace hard labels by what the FER+ votes say.

    Args:
        samples: with votes.
        targets: one of `TARGETS`. "ferplus_soft" sets `soft` and, as label, the plurality (ties: the first class).
        classes: 7 or 8.

    Returns:
        Samples labeled with our 7 or 8 classes; `UNKNOWN` where the votes name none.

    Raises:
        DatasetError: no votes, or an unknown kind of target.
    """
    if targets not in TARGETS:
        msg = f"there are no targets {targets!r}; expected one of {', '.join(TARGETS)}"
        raise DatasetError(msg)
    if targets == "labels":
        return samples
    if samples.votes is None:
        msg = f"{targets} needs FER+ votes, and this data set has none; give fer2013new.csv or an npz file with votes"
        raise DatasetError(msg)
    names = _labels(classes)
    if targets == "ferplus_majority":
        return replace(samples, labels=majority(samples.votes, classes=classes), label_names=names)
    if targets == "ferplus_plurality":
        return replace(samples, labels=plurality(samples.votes, classes=classes), label_names=names)
    soft = soft_labels(samples.votes, classes=classes)
    labels = np.where(soft.sum(axis=1) > 0, soft.argmax(axis=1), UNKNOWN)
    return replace(samples, labels=labels, label_names=names, soft=soft)


def read_votes(path: Path) -> tuple[NDArray[np.uint8], list[str], NDArray[np.bool_]]:
    """Read fer2013new.csv, whose rows follow those of fer2013.csv.

    Returns:
        Votes (N, 10) uint8, the Usage column, and (N,) bool: whether FER+ kept the image (it has an image name).

    Raises:
        DatasetError: missing file or column, or a count that is not a small number.
    """
    votes: list[list[int]] = []
    usages: list[str] = []
    kept: list[bool] = []
    with open_table(path, "fer2013new.csv of FER+") as (file, delimiter):
        reader = csv.DictReader(file, skipinitialspace=True, delimiter=delimiter)
        missing = {"Usage", "Image name", *FERPLUS_COLUMNS} - set(reader.fieldnames or ())
        if missing:
            msg = f"{path} lacks the columns {sorted(missing)}; expected fer2013new.csv of FER+"
            raise DatasetError(msg)
        for number, row in enumerate(reader, start=2):
            try:
                counts = [int(row[column]) for column in FERPLUS_COLUMNS]
            except (TypeError, ValueError):
                msg = f"{path}, line {number}: a vote is not a number; expected ten counts"
                raise DatasetError(msg) from None
            if min(counts) < 0 or max(counts) > 255:
                msg = f"{path}, line {number}: a vote count is out of range; expected 0 to 255"
                raise DatasetError(msg)
            votes.append(counts)
            # A row that breaks off has no such field.
            usages.append((row["Usage"] or "").strip())
            kept.append(bool((row["Image name"] or "").strip()))
    return np.array(votes, dtype=np.uint8).reshape(-1, len(FERPLUS_COLUMNS)), usages, np.array(kept, dtype=np.bool_)


def _labels(classes: int) -> tuple[str, ...]:
    if classes not in (len(LABELS), len(LABELS_WITH_CONTEMPT)):
        msg = f"FER+ votes make 7 or 8 classes, not {classes}"
        raise DatasetError(msg)
    return LABELS if classes == len(LABELS) else LABELS_WITH_CONTEMPT
