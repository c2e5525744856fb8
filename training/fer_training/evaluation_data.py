"""Pictures and labels to evaluate on, from an npz, a CSV or folders of classes."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_perception.errors import SourceError
from fer_perception.labels import LABELS
from fer_training.calibration import image_hashes

#: What the npz calls an unknown label.
UNKNOWN = 255


@dataclass(frozen=True)
class EvaluationData:
    """One split of a data set.

    Attributes:
        images: (N, H, W) or (N, C, H, W) uint8.
        labels: (N,) int64, index into `class_names`; -1 where unknown.
        class_names: names of the data set's classes.
        name: of the file or folder.
        split: which part of it.
        votes: (N, 10) FER+ votes, or None.
        in_training: (N,) bool, the same pixels also occur in the training split; None where there is no such split.
        notes: what was left out on reading and why, one sentence each.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    name: str
    split: str
    votes: NDArray[np.uint8] | None = None
    in_training: NDArray[np.bool_] | None = None
    notes: tuple[str, ...] = field(default=())

    def select(self, mask: NDArray[np.bool_]) -> EvaluationData:
        """The pictures where `mask`, (N,) bool, is true."""

        def part(array: NDArray[Any] | None) -> Any:
            return None if array is None else array[mask]

        return replace(
            self,
            images=self.images[mask],
            labels=self.labels[mask],
            votes=part(self.votes),
            in_training=part(self.in_training),
        )


def load_evaluation_data(path: Path, *, split: str) -> EvaluationData:
    """Read one split of a data set.

    Args:
        path: an .npz with `<split>_images`, `<split>_labels` and perhaps `<split>_votes`; or what `load_dataset` reads.
        split: "validation", "train", ...

    Raises:
        SourceError: missing, damaged, without that split, or empty.
    """
    if not path.exists():
        msg = f"there is no data set {path}; expected an .npz, a .csv or a directory of pictures"
        raise SourceError(msg)
    return _from_npz(path, split) if path.suffix == ".npz" else _from_readers(path, split)


def _from_npz(path: Path, split: str) -> EvaluationData:
    try:
        with np.load(path, allow_pickle=False) as file:
            splits = sorted(key.removesuffix("_images") for key in file.files if key.endswith("_images"))
            if split not in splits or f"{split}_labels" not in file.files:
                known = ", ".join(splits) or "none"
                msg = f"{path} has no split {split!r}; it has: {known}"
                raise SourceError(msg)
            images = file[f"{split}_images"]
            raw = file[f"{split}_labels"]
            votes = file[f"{split}_votes"] if f"{split}_votes" in file.files else None
            train = file["train_images"] if split != "train" and "train" in splits else None
    except (OSError, ValueError, zipfile.BadZipFile) as err:
        msg = f"{path} is damaged or not an .npz of arrays ({err}); fetch it again"
        raise SourceError(msg) from err
    if not len(images) or len(images) != len(raw):
        msg = f"{path}: split {split!r} has {len(images)} pictures and {len(raw)} labels; expected as many of both"
        raise SourceError(msg)
    labels = raw.astype(np.int64)
    labels[raw == UNKNOWN] = -1
    if labels.max() >= len(LABELS):
        msg = f"{path}: split {split!r} has label {labels.max()}; expected 0 to {len(LABELS) - 1} or {UNKNOWN}, unknown"
        raise SourceError(msg)
    in_training = None
    if train is not None:
        seen = set(image_hashes(train))
        in_training = np.array([digest in seen for digest in image_hashes(images)])
    return EvaluationData(images, labels, LABELS, path.name, split, votes, in_training)


def _from_readers(path: Path, split: str) -> EvaluationData:
    from fer_training.readers import load_dataset
    from fer_training.readers.samples import DatasetError

    samples = load_dataset(path, split=split)
    try:
        train = None if split == "train" else load_dataset(path, split="train")
    except DatasetError:
        train = None
    in_training = None
    if train is not None and len(train):
        in_training = np.isin(samples.hashes(), train.hashes())
    notes = tuple(f"{count} pictures skipped: {reason}" for reason, count in samples.skip_summary().items())
    return EvaluationData(
        samples.images, samples.labels, samples.label_names, path.name, split, samples.votes, in_training, notes
    )
