"""Evaluation data: one split of a data set, and its images that also occur in training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_training.data.load import load_dataset
from fer_training.data.records import known_split
from fer_training.data.samples import DatasetError, Samples, short_hashes


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


#: The split of all images that the model was not trained on.
HELD_OUT = "held-out"


def load_evaluation_data(
    path: Path,
    *,
    split: str | None = None,
    size: int = 48,
    targets: str = "labels",
    contempt: bool = False,
    trained: NDArray[np.uint64] | None = None,
) -> EvaluationData:
    """Read one split of a data set.

    Args:
        path: whatever `load_dataset` reads.
        split: "train", "validation", "test" or another usual name of them; "held-out", the images that the model was
            not trained on; "all". Default: "validation"; for a data set without splits "held-out", or "all" where the
            model does not say which images it was trained on.
        size: side of the images in pixels.
        targets: "labels", the data set's own; or "ferplus_majority", "ferplus_plurality".
        contempt: FER+ targets with eight classes instead of seven.
        trained: `short_hashes` of the images that the model was trained on; None where it does not say.

    Raises:
        DatasetError: missing, damaged, without that split, or empty; every image was trained on; "held-out" of a model
            that does not say what it was trained on.
    """
    fer = "fer8" if contempt else "fer7"
    if split is not None and split.lower() in {"all", HELD_OUT}:
        split = split.lower()
    if split == HELD_OUT and trained is None:
        msg = (
            f"the model does not say which images it was trained on, so that none of {path} can be called held out; "
            "take the checkpoint that `fer-train fit` wrote, or --split all, whose figures may flatter"
        )
        raise DatasetError(msg)

    def read(part: str) -> Samples:
        return load_dataset(
            path,
            split=None if part in {"all", HELD_OUT} else part,
            label_map="own" if targets == "labels" else fer,
            targets=targets,
            size=size,
        )

    if split is None:
        split, samples = _default_split(read, trained)
    else:
        samples = read(split)
    skipped = samples.skip_summary()
    if split == HELD_OUT and trained is not None:
        seen = np.isin(short_hashes(samples.images), trained)
        if seen.all():
            msg = f"the model was trained on every image of {path}; evaluate it on others, or say --split all"
            raise DatasetError(msg)
        if seen.any():
            skipped |= {"the model was trained on them": int(seen.sum())}
        samples = samples.take(~seen)
    in_training = None
    split = known_split(split) or split
    if split not in {"train", "all", HELD_OUT}:
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
        skipped=skipped,
        targets=targets,
    )


def _default_split(read: Callable[[str], Samples], trained: NDArray[np.uint64] | None) -> tuple[str, Samples]:
    try:
        return "validation", read("validation")
    except DatasetError:
        whole = read("all")
        if any(whole.splits):
            raise
        return (HELD_OUT if trained is not None else "all"), whole


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


def trained_words(figures: Mapping[str, Any]) -> str:
    """For example ", 883 of them TRAINED ON"; "" where none was."""
    count = figures["trained_images"]
    if count is None:
        return ", unknown which were trained on"
    before = " (and unknown ones)" if figures["trained_images_known"] == "some" else ""
    if not count:
        return before and ", unknown which were trained on before fine-tuning"
    return f", {count} of them TRAINED ON{before}"
