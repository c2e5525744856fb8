"""Pictures and labels to evaluate on: one split of a data set, and which of its pictures also occur in training."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_training.readers import DatasetError, Samples, load_dataset
from fer_training.readers.records import known_split


@dataclass(frozen=True)
class EvaluationData:
    """One split of a data set.

    Attributes:
        images: (N, H, W) uint8.
        labels: (N,) int64, index into `class_names`; -1 where unknown.
        class_names: names of the data set's classes.
        name: of the file or folder.
        split: which part of it.
        votes: (N, 10) FER+ votes, or None.
        in_training: (N,) bool, the same pixels also occur in the training split; None where there is no such split.
        skipped: what was left out on reading: reason -> pictures.
        targets: where the labels are from: "labels", the data set's own; "ferplus_majority", "ferplus_plurality".
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    name: str
    split: str
    votes: NDArray[np.uint8] | None = None
    in_training: NDArray[np.bool_] | None = None
    skipped: dict[str, int] = field(default_factory=dict)
    targets: str = "labels"


def load_evaluation_data(
    path: Path, *, split: str, size: int = 48, targets: str = "labels", contempt: bool = False
) -> EvaluationData:
    """Read one split of a data set.

    Args:
        path: whatever `load_dataset` reads.
        split: "train", "validation", "test" or another usual name of them; "all" where the data set has no split or it
            does not matter.
        size: side of the pictures in pixels.
        targets: "labels", the data set's own; or "ferplus_majority", "ferplus_plurality".
        contempt: FER+ targets with eight classes instead of seven.

    Raises:
        DatasetError: missing, damaged, without that split, or empty.
    """
    fer = "fer8" if contempt else "fer7"
    if split.lower() == "all":
        split = "all"

    def read(part: str) -> Samples:
        return load_dataset(
            path,
            split=None if part == "all" else part,
            label_map="own" if targets == "labels" else fer,
            targets=targets,
            size=size,
        )

    samples = read(split)
    in_training = None
    split = known_split(split) or split
    if split not in {"train", "all"}:
        try:
            in_training = np.isin(samples.hashes(), read("train").hashes())
        except DatasetError:
            # The data set has no training split, so nothing can leak from it.
            in_training = None
    return EvaluationData(
        images=samples.images,
        labels=samples.labels,
        class_names=samples.label_names,
        name=path.name,
        split=split,
        votes=samples.votes,
        in_training=in_training,
        skipped=samples.skip_summary(),
        targets=targets,
    )
