"""How long one waits before silence means the end."""

from __future__ import annotations

from fer_perception.timing import UsualPause


def patience_after(*times: float) -> float:
    pause = UsualPause()
    for time in times:
        pause.heard(time)
    return pause.patience(1.0)


def test_nothing_is_known_before_the_second_event() -> None:
    assert patience_after() == patience_after(5.0) == 1.0


def test_a_slow_rhythm_gives_patience_and_a_quick_one_the_least() -> None:
    assert patience_after(0.0, 2.0, 4.0) == 5.0
    assert patience_after(0.0, 0.03, 0.06) == 1.0


def test_one_gap_among_quick_events_teaches_nothing() -> None:
    assert patience_after(0.0, 0.03, 9.0) == 1.0
    assert patience_after(0.0, 0.03, 9.0, 9.03) == 1.0
    assert patience_after(0.0, 2.0, 1.0) == 1.0  # time that went back
