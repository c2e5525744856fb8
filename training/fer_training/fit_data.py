"""From a data file to the arrays of a training run: split, cleaning, votes and teacher probabilities."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from fer_perception.labels import LABELS, LABELS_WITH_CONTEMPT
from numpy.typing import NDArray

from fer_training.batches import Arrays
from fer_training.recipe import Recipe, RecipeError
from fer_training.targets import vote_distribution, vote_majority


@dataclass(frozen=True)
class FitData:
    """What a run trains on and what it is judged by.

    Attributes:
        train: training pictures.
        validation: validation pictures.
        labels: class names in output order.
        notes: what was left out and why, one sentence each.
    """

    train: Arrays
    validation: Arrays
    labels: tuple[str, ...]
    notes: list[str] = field(default_factory=list)


def hashes_of(images: NDArray[np.uint8]) -> list[str]:
    return [hashlib.sha256(np.ascontiguousarray(i).tobytes()).hexdigest() for i in images]


def load_fit_data(recipe: Recipe) -> FitData:
    """Read, split and clean the data of a recipe."""
    labels = LABELS if recipe.labels == "fer7" else LABELS_WITH_CONTEMPT
    notes: list[str] = []
    with np.load(Path(recipe.data), allow_pickle=False) as file:
        parts = {}
        hashes = {}
        for split in ("train", "validation"):
            images = file[f"{split}_images"]
            hard = file[f"{split}_labels"].astype(np.int64)
            votes = file[f"{split}_votes"]
            if recipe.labels == "ferplus8":
                hard = vote_majority(votes)
            known = (hard >= 0) & (hard < len(labels))
            notes.append(f"{split}: {int((~known).sum())} of {len(known)} pictures have no known label and are skipped")
            parts[split] = (images[known], hard[known], votes[known])
            hashes[split] = hashes_of(images[known])
    if recipe.protocol == "clean":
        held = set(hashes["validation"])
        keep = np.array([h not in held for h in hashes["train"]])
        notes.append(f"clean: {int((~keep).sum())} training pictures occur in validation and are left out")
        parts["train"] = tuple(a[keep] for a in parts["train"])
        hashes["train"] = [h for h, k in zip(hashes["train"], keep, strict=True) if k]
    if recipe.limit_train:
        parts["train"] = tuple(a[: recipe.limit_train] for a in parts["train"])
        hashes["train"] = hashes["train"][: recipe.limit_train]

    def arrays(split: str) -> Arrays:
        images, hard, votes = parts[split]
        teacher = np.zeros((len(images), len(labels)), dtype=np.float32)
        if split == "train" and recipe.loss.teacher:
            teacher = read_teacher(Path(recipe.loss.teacher), hashes[split], len(labels))
        return Arrays(images[:, None], hard, vote_distribution(votes, 8), teacher)

    return FitData(arrays("train"), arrays("validation"), labels, notes)


def read_teacher(path: Path, hashes: list[str], classes: int) -> NDArray[np.float32]:
    raise RecipeError(str(path))
