"""Which numbers a recipe may hold."""

from __future__ import annotations

import math
from collections.abc import Callable
from operator import attrgetter

from fer_training.architectures import MIN_INPUT_SIZE
from fer_training.readers.images import LARGEST_SIDE

#: What a number must be, in words, and the keys it holds for.
_RANGES: tuple[tuple[Callable[[float], bool], str, tuple[str, ...]], ...] = (
    (
        lambda value: 0 <= value <= 1,
        "a number from 0 to 1",
        (
            "augmentation.flip",
            "augmentation.erasing",
            "augmentation.blur",
            "augmentation.mixup_probability",
            "loss.label_smoothing",
            "loss.votes_weight",
            "loss.teacher_weight",
        ),
    ),
    (
        lambda value: 0 <= value < 1,
        "a number from 0 to below 1",
        (
            "ema",
            "optimizer.momentum",
            "schedule.factor",
            "augmentation.zoom",
            "augmentation.shift",
            "augmentation.brightness",
        ),
    ),
    (
        lambda value: 0 < value < math.inf,
        "a number above 0",
        ("epochs", "batch_size", "optimizer.lr", "loss.teacher_temperature"),
    ),
    (
        lambda value: 0 <= value < math.inf,
        "0 or a number above it",
        (
            "limit_train",
            "early_stopping",
            "optimizer.weight_decay",
            "optimizer.gradient_clip",
            "optimizer.sam_radius",
            "schedule.warmup_epochs",
            "schedule.patience",
            "augmentation.rotation",
            "augmentation.shear",
            "augmentation.mixup",
            "loss.auxiliary_votes",
        ),
    ),
    (lambda value: 0 <= value < 2**32, f"0 to {2**32 - 1}", ("seed", "split_seed")),
    (
        lambda value: MIN_INPUT_SIZE <= value <= LARGEST_SIDE,
        f"{MIN_INPUT_SIZE} to {LARGEST_SIDE} pixels",
        ("input_size",),
    ),
)


def number_fault(recipe: object) -> str:
    """What is wrong with the first number that is out of range, as a sentence; "" where all are in range.

    Args:
        recipe: a `Recipe`.
    """
    for fits, expected, names in _RANGES:
        for name in names:
            value = attrgetter(name)(recipe)
            if not fits(value):
                return f"{name} is {value}; expected {expected}"
    return ""
