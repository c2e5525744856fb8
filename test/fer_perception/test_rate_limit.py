"""Cameras that are faster than wanted, slower, or both in turn."""

from __future__ import annotations

import numpy as np
import pytest

from fer_perception.timing import RateLimit


def taken(limit: RateLimit, times_s: np.ndarray) -> np.ndarray:
    return np.array([time_s for time_s in times_s if limit.takes(time_s)])


@pytest.mark.parametrize(("camera_hz", "limit_hz"), [(30.0, 15.0), (30.0, 20.0), (25.0, 10.0), (60.0, 1.0)])
def test_a_faster_camera_gives_the_rate(camera_hz: float, limit_hz: float) -> None:
    found = taken(RateLimit(limit_hz, 0.0), np.arange(0.0, 100.0, 1 / camera_hz))
    assert len(found) == pytest.approx(100 * limit_hz, abs=2)
    assert np.diff(found).max() < 1 / limit_hz + 1.01 / camera_hz


@pytest.mark.parametrize("limit_hz", [0.0, 15.0])
def test_a_slower_camera_gives_all_it_has(limit_hz: float) -> None:
    times = np.arange(0.0, 10.0, 0.1)
    assert len(taken(RateLimit(limit_hz, 0.0), times)) == len(times)


@pytest.mark.parametrize("slow", [np.arange(0.0, 60.0, 0.2), np.array([0.0])], ids=["slow", "silent"])
def test_what_was_missing_is_not_made_up_for(slow: np.ndarray) -> None:
    limit = RateLimit(15.0, -5.0)
    taken(limit, slow)
    found = taken(limit, np.arange(60.0, 70.0, 1 / 30))
    for second in range(60, 70):
        assert np.count_nonzero((found >= second) & (found < second + 1)) <= 17
