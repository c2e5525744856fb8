"""Samples: what is known of an image goes where the image goes."""

from __future__ import annotations

import numpy as np
import pytest

from fer_perception.labels import LABELS
from fer_training.data.samples import Samples

NAMES = ("images", "labels", "splits", "sources", "votes", "soft", "subjects", "videos")


def samples(count: int = 6) -> Samples:
    """No two images have anything in common."""
    random = np.random.default_rng(0)
    return Samples(
        images=random.integers(0, 256, (count, 4, 4), dtype=np.uint8),
        labels=np.arange(count, dtype=np.int64),
        label_names=LABELS,
        splits=np.array([f"split{index}" for index in range(count)]),
        sources=np.array([f"{index}.png" for index in range(count)]),
        votes=random.integers(0, 11, (count, 10), dtype=np.uint8),
        soft=random.dirichlet(np.ones(7), count).astype(np.float32),
        subjects=np.array([f"S{index}" for index in range(count)]),
        videos=np.array([f"clip{index}" for index in range(count)]),
    )


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ([4, 0, 5], [4, 0, 5]),
        (np.array([True, False, False, True, False, True]), [0, 3, 5]),
        (np.arange(6)[::-1], [5, 4, 3, 2, 1, 0]),
    ],
)
def test_images_are_taken_with_all_that_is_known_of_them(chosen: np.ndarray | list[int], expected: list[int]) -> None:
    whole = samples()
    taken = whole.take(chosen)
    for name in NAMES:
        np.testing.assert_array_equal(getattr(taken, name), getattr(whole, name)[expected], err_msg=name)
    assert taken.label_names == LABELS
