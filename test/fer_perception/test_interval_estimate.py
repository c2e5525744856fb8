"""The timeout that follows from the usual interval between events."""

from __future__ import annotations

from fer_perception.timing import IntervalEstimate


def timeout_after(*times: float) -> float:
    interval = IntervalEstimate()
    for time in times:
        interval.observe(time)
    return interval.timeout_s(1.0)


def test_nothing_is_known_before_the_second_event() -> None:
    assert timeout_after() == timeout_after(5.0) == 1.0


def test_slow_events_lengthen_the_timeout_and_quick_ones_leave_the_least() -> None:
    assert timeout_after(0.0, 2.0, 4.0) == 5.0
    assert timeout_after(0.0, 0.03, 0.06) == 1.0


def test_one_gap_among_quick_events_teaches_nothing() -> None:
    assert timeout_after(0.0, 0.03, 9.0) == 1.0
    assert timeout_after(0.0, 0.03, 9.0, 9.03) == 1.0
    assert timeout_after(0.0, 2.0, 1.0) == 1.0  # time that went back
