"""The vote rules of FER+, case by case."""

from __future__ import annotations

import numpy as np
import pytest

from fer_perception.labels import LABELS, LABELS_WITH_CONTEMPT
from fer_training.data.readers.ferplus import class_votes, majority, plurality, soft_labels
from fer_training.data.samples import FERPLUS_COLUMNS, UNKNOWN, DatasetError


def row(**counts: int) -> np.ndarray:
    return np.array([[counts.get(name, 0) for name in FERPLUS_COLUMNS]], dtype=np.uint8)


def name_of(label: np.ndarray) -> str | None:
    return None if label[0] == UNKNOWN else LABELS_WITH_CONTEMPT[int(label[0])]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"anger": 10}, "angry"),
        ({"disgust": 6, "anger": 4}, "disgusted"),
        ({"fear": 6, "surprise": 4}, "scared"),
        ({"happiness": 7, "neutral": 3}, "happy"),
        ({"sadness": 8, "neutral": 2}, "sad"),
        ({"surprise": 9, "fear": 1}, "surprised"),
        ({"neutral": 7, "sadness": 3}, "neutral"),
        ({"contempt": 6, "neutral": 4}, "contempt"),
        ({"anger": 5, "sadness": 5}, None),
        ({"unknown": 7, "sadness": 3}, None),
        ({"NF": 9, "sadness": 1}, None),
        # A single vote is an outlier: 4 of the 7 votes that are left are a majority.
        ({"anger": 4, "sadness": 3, "fear": 1, "neutral": 1, "happiness": 1}, "angry"),
        ({}, None),
    ],
)
def test_majority(counts: dict[str, int], expected: str | None) -> None:
    assert name_of(majority(row(**counts))) == expected


def test_majority_for_contempt_is_no_class_of_seven() -> None:
    assert name_of(majority(row(contempt=8, neutral=2), classes=7)) is None


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"anger": 4, "sadness": 3, "unknown": 9}, "angry"),
        ({"anger": 4, "sadness": 4}, None),
        ({"NF": 10}, None),
    ],
)
def test_plurality(counts: dict[str, int], expected: str | None) -> None:
    assert name_of(plurality(row(**counts))) == expected


def test_columns_go_to_our_order() -> None:
    counts = class_votes(np.arange(10, dtype=np.uint8)[None], 8)
    by_name = dict(zip(LABELS_WITH_CONTEMPT, counts[0].tolist(), strict=True))
    assert by_name == {
        "neutral": 0,
        "happy": 1,
        "surprised": 2,
        "sad": 3,
        "angry": 4,
        "disgusted": 5,
        "scared": 6,
        "contempt": 7,
    }


def test_soft_labels_leave_unknown_out() -> None:
    soft = soft_labels(np.concatenate([row(anger=3, contempt=1, unknown=6), row(NF=10)]), classes=7)
    assert soft.shape == (2, len(LABELS))
    assert soft[0, LABELS.index("angry")] == 1.0
    assert soft[1].sum() == 0.0


def test_only_seven_or_eight_classes() -> None:
    with pytest.raises(DatasetError, match="7 or 8 classes, not 6"):
        soft_labels(row(anger=1), classes=6)
