"""A recipe that learns the tiny data set of the training tests in a second or two."""

from __future__ import annotations

from typing import Any

QUICK: dict[str, Any] = {
    "architecture": "lenet",
    "epochs": 4,
    "batch_size": 20,
    "precision": "32-true",
    "optimizer": {"name": "adam", "lr": 2e-3},
    "augmentation": {"flip": 0.5, "rotation": 2.0, "zoom": 0.0, "shift": 0.0, "erasing": 0.1, "mixup": 0.2},
    "ema": 0.5,
}
