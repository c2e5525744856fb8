"""Figures say what they were judged by, the older ones by what they hold."""

from __future__ import annotations

from typing import Any

import pytest

from fer_training.evaluation.data import judged_by, targets_of, with_judge

OLD = {"n": 100, "accuracy": 0.875, "ferplus": {"n": 100, "agreement": 0.875}}


@pytest.mark.parametrize(
    ("figures", "targets", "title"),
    [
        ({"targets": "labels"}, "labels", "set"),
        ({"targets": "ferplus_majority"}, "ferplus_majority", "set, FER+ majority"),
        ({"targets": "ferplus_plurality"}, "ferplus_plurality", "set, FER+ plurality"),
        ({"targets": "ferplus_soft"}, "ferplus_soft", "set, FER+ most votes"),
        ({"targets": "other"}, "other", "set, other"),
        (OLD, "ferplus_majority", "set, FER+ majority"),
        (OLD | {"targets": "labels"}, "labels", "set"),
        (OLD | {"n": 120}, "labels", "set"),
        (OLD | {"ferplus": {"n": 100, "agreement": 0.8}}, "labels", "set"),
        ({"n": 100, "accuracy": 0.875}, "labels", "set"),
    ],
)
def test_judges(figures: dict[str, Any], targets: str, title: str) -> None:
    assert targets_of(figures) == targets
    assert with_judge("set", figures) == title
    assert judged_by(figures) == title.removeprefix("set").removeprefix(", ")
