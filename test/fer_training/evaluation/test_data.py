"""Which images are judged, and which of them training holds too."""

from __future__ import annotations

from pathlib import Path

import pytest

from fer_training.evaluation.data import load_evaluation_data


@pytest.mark.parametrize(
    ("asked", "split"),
    [("Training", "train"), ("train", "train"), ("All", "all"), ("PublicTest", "validation"), ("val", "validation")],
)
def test_other_names_of_a_split_mean_the_same(drawn_npz: Path, asked: str, split: str) -> None:
    expected, data = (load_evaluation_data(drawn_npz, split=name) for name in (split, asked))
    assert data.split == split
    assert len(data.images) == len(expected.images)
    # Training is not compared with itself.
    assert (data.in_training is None) == (split in {"train", "all"})
