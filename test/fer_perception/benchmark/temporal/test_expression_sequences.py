"""Label sequences and the frames drawn for them."""

from __future__ import annotations

import numpy as np
import pytest

from fer_perception.benchmark.temporal.expression_sequences import (
    DWELL_LIMITS,
    error_correlation,
    hold_scale,
    make_sequences,
)
from fer_perception.benchmark.temporal.frame_outputs import synthetic

OUTPUTS, _ = synthetic(images=3000, views=6, seed=0)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_errors_are_as_correlated_as_asked_for(correlation: float) -> None:
    scale = hold_scale(OUTPUTS, correlation)
    sequences = make_sequences(OUTPUTS, faces=12, seconds=120.0, rate=30.0, scale=scale, seed=3)
    assert error_correlation(sequences, OUTPUTS) == pytest.approx(correlation, abs=0.03)


def test_expressions_do_not_depend_on_rate_or_persistence() -> None:
    slow = make_sequences(OUTPUTS, faces=2, seconds=20.0, rate=5.0, scale=0.0, seed=1)
    fast = make_sequences(OUTPUTS, faces=2, seconds=20.0, rate=60.0, scale=1.0, seed=1)
    other = make_sequences(OUTPUTS, faces=2, seconds=20.0, rate=60.0, scale=1.0, seed=2)
    for a, b in zip(slow.changes, fast.changes, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(fast.changes[0], other.changes[0])


def test_expressions_last_as_long_as_they_should_and_neighbors_differ() -> None:
    sequences = make_sequences(OUTPUTS, faces=3, seconds=60.0, rate=30.0, scale=1.0, seed=1)
    for face, starts in enumerate(sequences.changes):
        lasted = np.diff(starts)
        assert lasted.min() >= DWELL_LIMITS[0]
        assert lasted.max() <= DWELL_LIMITS[1]
        changed = np.flatnonzero(np.diff(sequences.truth[face]))
        assert len(changed) == len(starts) - 1
        # Each change lies between the two frames that show it.
        assert (sequences.stamps[changed] < starts[1:]).all()
        assert (starts[1:] <= sequences.stamps[changed + 1]).all()


@pytest.mark.parametrize("rate", [5.0, 60.0])
def test_some_frames_never_arrive_and_the_others_are_a_little_late(rate: float) -> None:
    stamps = make_sequences(OUTPUTS, faces=1, seconds=120.0, rate=rate, scale=1.0, seed=1).stamps
    assert 0.85 * 120 * rate < len(stamps) < 0.95 * 120 * rate
    assert (np.diff(stamps) > 0).all()
    assert np.std(np.diff(stamps)) > 0.1 / rate


def test_probabilities_come_from_images_of_the_true_class() -> None:
    sequences = make_sequences(OUTPUTS, faces=2, seconds=10.0, rate=10.0, scale=0.0, seed=1)
    assert sequences.probabilities.sum(axis=-1) == pytest.approx(1.0)
    accuracy = (sequences.probabilities.argmax(axis=-1) == sequences.truth).mean()
    assert 0.5 < accuracy < 0.8
    assert sequences.minutes == pytest.approx(20 / 60)
