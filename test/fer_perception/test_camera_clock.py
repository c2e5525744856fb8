"""Stamps that are missing or go back."""

from __future__ import annotations

import time

import pytest

from fer_perception.timing import STANDING, CameraClock, StampVerdict

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("back_ns", "verdict"),
    [
        (0, StampVerdict.USE),
        (1, StampVerdict.DROP),
        (SECOND // 2 - 1, StampVerdict.DROP),
        (SECOND // 2, StampVerdict.RESTART),
        (90 * SECOND, StampVerdict.RESTART),
    ],
)
def test_time_back(back_ns: int, verdict: StampVerdict) -> None:
    clock = CameraClock()
    assert clock.judge(100 * SECOND, 0.0).verdict is StampVerdict.USE
    assert clock.judge(100 * SECOND - back_ns, 0.1).verdict is verdict


def test_after_a_dropped_frame_time_goes_on_where_it_was() -> None:
    clock = CameraClock()
    stamps = [10.0, 9.8, 9.9, 10.0, 10.1]
    verdicts = [clock.judge(round(stamp * SECOND), 0.0).verdict for stamp in stamps]
    assert verdicts == [StampVerdict.USE, StampVerdict.DROP, StampVerdict.DROP, StampVerdict.USE, StampVerdict.USE]


def test_after_a_restart_time_goes_on_from_there() -> None:
    clock = CameraClock()
    verdicts = [clock.judge(round(stamp * SECOND), 0.0).verdict for stamp in (10.0, 1.0, 1.1, 0.9)]
    assert verdicts == [StampVerdict.USE, StampVerdict.RESTART, StampVerdict.USE, StampVerdict.DROP]


def test_a_zero_stamp_gives_the_time_of_receipt() -> None:
    clock = CameraClock()
    received = time.monotonic()
    first, second = clock.judge(0, received), clock.judge(0, received + 0.25)
    assert first.unstamped
    assert second.verdict is StampVerdict.USE
    assert second.stamp_ns - first.stamp_ns == pytest.approx(SECOND / 4, abs=1000)
    assert first.stamp_ns == pytest.approx(time.time_ns(), abs=60 * SECOND)
    assert not clock.judge(first.stamp_ns + SECOND, received).unstamped


def test_a_clock_that_stands_is_noticed() -> None:
    clock = CameraClock()
    judged = [clock.judge(10 * SECOND, i / 30) for i in range(20)]
    assert [item.standing for item in judged] == [False] * STANDING + [True] * (20 - STANDING)
    assert {item.verdict for item in judged} == {StampVerdict.USE}
    assert not clock.judge(11 * SECOND, 1.0).standing


def test_forgotten_it_takes_any_stamp() -> None:
    clock = CameraClock()
    clock.judge(10 * SECOND, 0.0)
    clock.forget()
    assert clock.judge(SECOND, 0.1).verdict is StampVerdict.USE
