"""The measures, on sequences small enough to count by hand."""

from __future__ import annotations

import numpy as np
import pytest

from fer_perception.benchmark.temporal.expression_sequences import Sequences
from fer_perception.benchmark.temporal.label_measures import calibration_error, measure


def sequences(truth: list[int], changes: list[float], rate: float = 10.0) -> Sequences:
    count = len(truth)
    probabilities = np.full((1, count, 3), 1 / 3)
    prior = np.full(3, 1 / 3)
    return Sequences(
        np.arange(count) / rate, np.array([truth]), probabilities, [np.array(changes)], count / rate, prior
    )


def measured(item: Sequences, labels: list[int]):
    return measure(item, np.array([labels]), item.probabilities)


TWO = sequences([0] * 20 + [1] * 20, [0.0, 2.0])


def test_perfect_labels() -> None:
    m = measured(TWO, [0] * 20 + [1] * 20)
    assert (m.accuracy, m.excess_flips_per_min, m.delay_ms) == (1.0, 0.0, 0.0)


def test_a_late_label_is_delayed() -> None:
    m = measured(TWO, [0] * 23 + [1] * 17)
    assert m.delay_ms == pytest.approx(300)
    assert m.accuracy == pytest.approx(37 / 40)
    assert m.excess_flips_per_min == 0.0


def test_a_right_run_that_is_too_short_does_not_count() -> None:
    m = measured(TWO, [0] * 20 + [1] * 4 + [0] * 6 + [1] * 10)
    assert m.delay_ms == pytest.approx(1000)
    assert m.excess_flips_per_min == pytest.approx(2 / (4 / 60))


def test_a_missed_change_counts_with_its_whole_segment() -> None:
    m = measured(TWO, [0] * 40)
    assert m.delay_ms == pytest.approx(2000)
    assert m.excess_flips_per_min == pytest.approx(-1 / (4 / 60))


def test_a_run_up_to_the_end_of_its_segment_counts_if_it_is_long_enough() -> None:
    assert measured(TWO, [0] * 35 + [1] * 5).delay_ms == pytest.approx(1500)
    assert measured(TWO, [0] * 36 + [1] * 4).delay_ms == pytest.approx(2000)


def test_a_label_right_by_chance_before_the_change_does_not_count() -> None:
    early = sequences([0] * 20 + [1] * 20, [0.0, 2.0])
    assert measured(early, [0] * 15 + [1] * 25).delay_ms == pytest.approx(0)


def test_undecided_is_wrong() -> None:
    assert measured(TWO, [-1] * 20 + [1] * 20).accuracy == 0.5


def test_median_and_tail_of_several_delays() -> None:
    item = sequences([0] * 10 + [1] * 10 + [2] * 10 + [0] * 10, [0.0, 1.0, 2.0, 3.0])
    m = measured(item, [0] * 11 + [1] * 11 + [2] * 12 + [0] * 6)
    assert m.delay_ms == pytest.approx(200)
    assert m.delay_p95_ms == pytest.approx(380)


def test_calibration_error_by_hand() -> None:
    confidence = np.array([0.9] * 10 + [0.5] * 10)
    right = np.array([True] * 7 + [False] * 3 + [True] * 5 + [False] * 5)
    assert calibration_error(confidence, right) == pytest.approx(0.5 * 0.2)
    assert calibration_error(np.ones(4), np.ones(4, dtype=bool)) == 0.0
