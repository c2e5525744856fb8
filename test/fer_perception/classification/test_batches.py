"""Batches of any size, whatever a backend makes of them."""

from __future__ import annotations

import numpy as np
import pytest

from fer_perception.classification.batches import in_parts
from fer_perception.errors import BackendError


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        # OpenCV's dnn answers our own networks so, but for the first batch of two.
        ((7, 1, 1), r"2 faces were answered with shape \(2, 7, 1, 1\); expected \(2, 7\)"),
        ((8,), r"2 faces were answered with shape \(2, 8\); expected \(2, 7\)"),
    ],
)
def test_an_answer_of_another_shape_is_no_answer(shape: tuple[int, ...], words: str) -> None:
    batch = np.zeros((5, 1, 4, 4), np.float32)
    with pytest.raises(BackendError, match=words):
        in_parts(batch, lambda part: np.ones((len(part), *shape), np.float32), classes=7, largest=2)
