"""Evaluation data: one split of a data set, and its images that also occur in training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_training.data.load import load_dataset
from fer_training.data.records import known_split
from fer_training.data.samples import DatasetError, Samples


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
        skipped: what was left out on reading: reason -> images.
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
        size: side of the images in pixels.
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


#: What a title says; nothing where the data set's own labels were the judge.
_WORDS = {
    "labels": "",
    "ferplus_majority": "FER+ majority",
    "ferplus_plurality": "FER+ plurality",
    # A soft target judges by its largest part, the first of equal ones.
    "ferplus_soft": "FER+ most votes",
}


def targets_of(figures: Mapping[str, Any]) -> str:
    """The targets of figures, as `load_evaluation_data` names them.

    Args:
        figures: as from `evaluate_output`, or recorded in a model; the older ones have no key "targets".
    """
    if "targets" in figures:
        return str(figures["targets"])
    # Older figures betray it: judged by the majority, as many images agree with it, and of as many, as are right.
    ferplus = figures.get("ferplus") or {}
    by_votes = (ferplus.get("n"), ferplus.get("agreement")) == (figures.get("n"), figures.get("accuracy"))
    return "ferplus_majority" if by_votes else "labels"


def judged_by(figures: Mapping[str, Any]) -> str:
    """For example "FER+ majority"; "" for the data set's own labels."""
    targets = targets_of(figures)
    return _WORDS.get(targets, targets)


def with_judge(name: str, figures: Mapping[str, Any]) -> str:
    """The name of some images and, after a comma, what their figures were judged by if not their own labels."""
    return ", ".join(filter(None, (name, judged_by(figures))))
