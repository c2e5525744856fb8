"""Hysteresis, minimum dwell and undecided."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_perception.temporal.label_decision import LabelDecision


def decision(threshold: float = 0.3, hysteresis: float = 0.1, dwell: float = 0.2) -> LabelDecision:
    return LabelDecision(undecided_threshold=threshold, hysteresis=hysteresis, min_dwell=dwell)


def run(d: LabelDecision, *scores: list[float], dt: float = 0.1) -> list[int | None]:
    return [d.update(np.array(s), i * dt) for i, s in enumerate(scores)]


def test_the_first_label_comes_at_once() -> None:
    assert run(decision(), [0.2, 0.7, 0.1]) == [1]


def test_below_the_threshold_nothing_is_decided() -> None:
    assert run(decision(0.5), [0.4, 0.35, 0.25], [0.55, 0.25, 0.2], [0.45, 0.3, 0.25]) == [None, 0, None]


def test_a_label_only_just_overtaken_stays() -> None:
    assert run(decision(), [0.6, 0.4, 0.0], *[[0.47, 0.53, 0.0]] * 5, [0.44, 0.56, 0.0]) == [0, 0, 0, 0, 0, 0, 1]


def test_a_label_stays_for_the_minimum_dwell() -> None:
    assert run(decision(), [0.9, 0.1, 0.0], [0.4, 0.6, 0.0], [0.4, 0.6, 0.0]) == [0, 0, 1]
    assert run(decision(), [0.9, 0.1, 0.0], [0.4, 0.6, 0.0], dt=0.5) == [0, 1]


def test_a_label_below_the_threshold_has_no_protection() -> None:
    d = decision(dwell=10.0, hysteresis=0.5)
    assert run(d, [0.5, 0.3, 0.2], [0.29, 0.36, 0.35]) == [0, 1]


@given(
    st.lists(st.lists(st.floats(0.001, 1.0), min_size=4, max_size=4), min_size=1, max_size=30),
    st.floats(0.0, 1.0),
    st.floats(0.0, 1.0),
)
@settings(max_examples=100, deadline=None)
def test_a_label_always_has_the_threshold_probability(
    rows: list[list[float]], threshold: float, hysteresis: float
) -> None:
    d = decision(threshold, hysteresis, 0.15)
    for i, row in enumerate(rows):
        scores = np.array(row) / np.sum(row)
        label = d.update(scores, 0.04 * i)
        if label is None:
            assert scores.max() < threshold
        else:
            assert scores[label] >= threshold


def test_the_dwell_counts_from_when_the_label_came() -> None:
    d = decision(dwell=0.2)
    stamps = (5.0, 5.1, 5.2, 5.3, 5.4)
    rows = ([0.6, 0.4, 0.0], [0.4, 0.6, 0.0], [0.4, 0.6, 0.0], [0.6, 0.4, 0.0], [0.6, 0.4, 0.0])
    assert [d.update(np.array(row), stamp) for row, stamp in zip(rows, stamps, strict=True)] == [0, 0, 1, 1, 0]


@pytest.mark.parametrize("origin_ms", [0, 1_763_000_008_205, 1_763_000_009_058])
def test_the_dwell_is_as_long_at_any_date(origin_ms: int) -> None:
    d = decision(dwell=0.2)
    rows = ([0.6, 0.4, 0.0], *[[0.4, 0.6, 0.0]] * 4)
    labels = [d.update(np.array(row), (origin_ms + 50 * i) * 1_000_000 * 1e-9) for i, row in enumerate(rows)]
    assert labels == [0, 0, 0, 0, 1]
