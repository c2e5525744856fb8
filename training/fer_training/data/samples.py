"""`Samples`, the result of every reader: images, labels and whatever else the data set knows about them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_perception.errors import SourceError

#: Training images with a longer side than this, pixels, are no crops of faces, and would fill the memory.
LARGEST_SIDE = 1024

#: `Samples.labels` of an image whose class is not known.
UNKNOWN = -1

#: FER+ votes, in the order of the columns of fer2013new.csv.
FERPLUS_COLUMNS: tuple[str, ...] = (
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
    "unknown",
    "NF",
)


class DatasetError(SourceError):
    """A data set that is missing, damaged or cannot do what was asked; says what was expected and how to fix it."""


@dataclass(frozen=True)
class Skip:
    """One image that was left out.

    Attributes:
        source: where it is: a path, or "file:split[index]".
        reason: why, in words that are equal for equal causes, so that they can be counted.
    """

    source: str
    reason: str


@dataclass(frozen=True)
class Samples:
    """Images of faces and their labels.

    Attributes:
        images: (N, H, W) uint8 gray.
        labels: (N,) int64, index into `label_names`; `UNKNOWN` where it is not known.
        label_names: K class names.
        splits: (N,) str: "train", "validation", "test", or "" where the data set has no split.
        sources: (N,) str: path, or "file:split[index]".
        votes: (N, 10) uint8 FER+ votes in the order of `FERPLUS_COLUMNS`, or None.
        soft: (N, K) float32 target distributions, rows sum to 1, or None.
        subjects: (N,) str, who is in the image, or None where the data set does not say.
        videos: (N,) str, which recording it comes from, or None.
        skipped: what was left out while reading.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    label_names: tuple[str, ...]
    splits: NDArray[np.str_]
    sources: NDArray[np.str_]
    votes: NDArray[np.uint8] | None = None
    soft: NDArray[np.float32] | None = None
    subjects: NDArray[np.str_] | None = None
    videos: NDArray[np.str_] | None = None
    skipped: tuple[Skip, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.images.ndim != 3 or self.images.dtype != np.uint8:
            msg = f"images are {self.images.dtype} {self.images.shape}; expected uint8 (N, H, W)"
            raise DatasetError(msg)
        for name in ("labels", "splits", "sources", "votes", "soft", "subjects", "videos"):
            value = getattr(self, name)
            if value is not None and len(value) != len(self.images):
                msg = f"there are {len(value)} {name} for {len(self.images)} images; expected as many"
                raise DatasetError(msg)

    def __len__(self) -> int:
        return len(self.images)

    def take(self, chosen: NDArray[np.bool_] | NDArray[np.int64] | Sequence[int]) -> Samples:
        """The chosen images, in that order.

        Args:
            chosen: (N,) bool, or indices.
        """
        index = np.asarray(chosen)
        if index.dtype != np.bool_:
            index = index.astype(np.int64)
        return replace(
            self,
            images=self.images[index],
            labels=self.labels[index],
            splits=self.splits[index],
            sources=self.sources[index],
            votes=None if self.votes is None else self.votes[index],
            soft=None if self.soft is None else self.soft[index],
            subjects=None if self.subjects is None else self.subjects[index],
            videos=None if self.videos is None else self.videos[index],
        )

    def class_counts(self) -> dict[str, int]:
        """Number of images of each class, zeros included."""
        counts = Counter(self.labels.tolist())
        return {name: counts.get(index, 0) for index, name in enumerate(self.label_names)}

    def skip_summary(self) -> dict[str, int]:
        """Number of images left out, by reason, the most frequent first."""
        return dict(Counter(skip.reason for skip in self.skipped).most_common())

    def hashes(self) -> NDArray[np.str_]:
        """`pixel_hash` of every image, (N,) str."""
        return np.array([pixel_hash(image) for image in self.images], dtype=np.str_)


def pixel_hash(image: NDArray[np.uint8]) -> str:
    """SHA-256 of an image's raw pixels, as 64 hex digits.

    Args:
        image: (H, W) uint8.
    """
    return hashlib.sha256(np.ascontiguousarray(image, dtype=np.uint8).tobytes()).hexdigest()


def short_hashes(images: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """The first eight bytes of each image's `pixel_hash`, (N,) uint64: enough to tell a million images apart.

    Args:
        images: (N, H, W) uint8.
    """
    digests = [hashlib.sha256(np.ascontiguousarray(image).tobytes()).digest()[:8] for image in images]
    return np.frombuffer(b"".join(digests), dtype=">u8").astype(np.uint64)


def concatenate(parts: Sequence[Samples]) -> Samples:
    """Several data sets as one; they must have the same classes and image size.

    Votes, subjects and videos that only some parts have are filled with zeros or "" in the others; soft targets with
    the one-hot label.

    Raises:
        DatasetError: no parts, or parts of different classes or sizes.
    """
    if not parts:
        msg = "there is nothing to combine; expected at least one data set"
        raise DatasetError(msg)
    first = parts[0]
    for part in parts[1:]:
        if part.label_names != first.label_names:
            msg = (
                f"cannot combine data sets with the classes {list(first.label_names)} and {list(part.label_names)}; "
                "give both the same label map"
            )
            raise DatasetError(msg)
        if part.images.shape[1:] != first.images.shape[1:]:
            msg = (
                f"cannot combine images of {first.images.shape[1:]} and {part.images.shape[1:]} pixels; "
                "read both with one size"
            )
            raise DatasetError(msg)
    return Samples(
        images=np.concatenate([part.images for part in parts]),
        labels=np.concatenate([part.labels for part in parts]),
        label_names=first.label_names,
        splits=np.concatenate([part.splits for part in parts]),
        sources=np.concatenate([part.sources for part in parts]),
        votes=_joined(parts, "votes", lambda part: np.zeros((len(part), len(FERPLUS_COLUMNS)), np.uint8)),
        soft=_joined(parts, "soft", one_hot),
        subjects=_joined(parts, "subjects", lambda part: np.full(len(part), "")),
        videos=_joined(parts, "videos", lambda part: np.full(len(part), "")),
        skipped=tuple(skip for part in parts for skip in part.skipped),
    )


def one_hot(samples: Samples) -> NDArray[np.float32]:
    """(N, K) float32 with a one at each label; a row of 1/K where the label is unknown."""
    classes = len(samples.label_names)
    targets = np.full((len(samples), classes), 1.0 / classes, dtype=np.float32)
    known = samples.labels >= 0
    targets[known] = np.eye(classes, dtype=np.float32)[samples.labels[known]]
    return targets


def _joined(parts: Sequence[Samples], name: str, default: Callable[[Samples], NDArray[Any]]) -> NDArray[Any] | None:
    values = [getattr(part, name) for part in parts]
    if all(value is None for value in values):
        return None
    return np.concatenate(
        [default(part) if value is None else value for part, value in zip(parts, values, strict=True)]
    )
