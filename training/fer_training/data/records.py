"""Records of image files whose pixels are not read yet: the result of the tree readers."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_training.data.readers.images import fit_square, read_gray
from fer_training.data.samples import DatasetError, Samples, Skip

LOG = logging.getLogger(__name__)

#: The names under which the usual splits travel (lower case, letters alone, without a "set" at the end).
_SPLITS: dict[str, str] = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "public": "validation",
    "publictest": "validation",
    "test": "test",
    "testing": "test",
    "private": "test",
    "privatetest": "test",
}


def known_split(name: str) -> str | None:
    """train, validation or test, by whatever usual name (PublicTest, val, train_set, ...); None = none of them."""
    return _SPLITS.get("".join(letter for letter in name.lower() if letter not in " _-").removesuffix("set"))


@dataclass(frozen=True)
class Record:
    """One image file.

    Attributes:
        path: the file.
        label: class name as the data set spells it; "" = unknown.
        split: "train", "validation", "test" or "".
        subject: who is in it; "" = unknown.
        video: which recording it comes from; "" = none.
    """

    path: Path
    label: str
    split: str = ""
    subject: str = ""
    video: str = ""


@dataclass(frozen=True)
class Index:
    """All image files of a data set.

    Attributes:
        records: the files, sorted by path.
        label_names: class names as the data set spells them.
        skipped: what was left out already.
    """

    records: tuple[Record, ...]
    label_names: tuple[str, ...]
    skipped: tuple[Skip, ...] = ()


def short_names(columns: Iterable[str]) -> list[str]:
    """Column names for an error message: of a file without a header they are an image's pixels."""
    names = [name if len(name) <= 20 else f"{name[:20]}..." for name in columns]
    return names if len(names) <= 20 else [*names[:20], "..."]


def load_pixels(index: Index, *, size: int) -> Samples:
    """Read the images of an index, each cut to its central square and brought to `size` pixels.

    Corrupt images are left out and listed.

    Args:
        index: files and labels.
        size: side of the images in pixels.

    Raises:
        DatasetError: not one image could be read.
    """
    images: list[NDArray[np.uint8]] = []
    kept: list[Record] = []
    skipped = list(index.skipped)
    large = 0
    for record in index.records:
        try:
            image = read_gray(record.path)
        except DatasetError as err:
            skipped.append(Skip(str(record.path), str(err)))
            continue
        large += min(image.shape) >= 4 * size
        images.append(fit_square(image, size))
        kept.append(record)
    if not kept:
        where = index.records[0].path.parent if index.records else "the data set"
        msg = f"not one image could be read from {where} ({len(skipped)} left out); expected png, jpg or tiff"
        raise DatasetError(msg)
    if large:
        LOG.warning(
            "%d images are much larger than %dx%d: if they show more than the face, run `fer-train prepare` first",
            large,
            size,
            size,
        )
    return Samples(
        images=np.stack(images),
        labels=label_indices([record.label for record in kept], index.label_names),
        label_names=index.label_names,
        splits=np.array([record.split for record in kept], dtype=np.str_),
        sources=np.array([str(record.path) for record in kept], dtype=np.str_),
        subjects=_known([record.subject for record in kept]),
        videos=_known([record.video for record in kept]),
        skipped=tuple(skipped),
    )


def label_indices(labels: Sequence[str], names: Sequence[str]) -> NDArray[np.int64]:
    """(N,) int64 positions of labels in `names`, -1 for those that are not in it."""
    position = {name: index for index, name in enumerate(names)}
    return np.array([position.get(label, -1) for label in labels], dtype=np.int64)


def _known(values: Sequence[str]) -> NDArray[np.str_] | None:
    return np.array(values, dtype=np.str_) if any(values) else None
