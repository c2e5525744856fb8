from __future__ import annotations

import pytest
from load_example import load_example

module = load_example("expression_changes")
Seen, Change, ExpressionChanges = module.Seen, module.Change, module.ExpressionChanges


def play(
    changes: object, spans: list[tuple[float, float, str]], *, confidence: float = 0.9
) -> list[tuple[float, object]]:
    """Feed one face at 20 Hz: (from, to, label); returns the events with their times."""
    events = []
    for first, last, label in spans:
        step = 0
        while first + step / 20 < last:
            stamp = first + step / 20
            for change in changes.update("/camera", stamp, [Seen("f1", label, confidence, True)]):
                events.append((stamp, change))
            step += 1
    return events


def test_a_new_face_is_told_after_the_dwell() -> None:
    events = play(ExpressionChanges(dwell=0.5), [(0.0, 3.0, "neutral")])
    assert [change for _, change in events] == [Change("f1", "", "neutral", 0.9)]
    assert events[0][0] == pytest.approx(0.5)


def test_a_change_is_told_once_with_what_was_before() -> None:
    events = play(ExpressionChanges(dwell=0.5, refractory=1.0), [(0.0, 3.0, "neutral"), (3.0, 6.0, "angry")])
    assert [(change.previous, change.current) for _, change in events] == [("", "neutral"), ("neutral", "angry")]
    assert events[1][0] == pytest.approx(3.5)


def test_a_twitch_is_no_change() -> None:
    spans = [(0.0, 3.0, "neutral"), (3.0, 3.4, "angry"), (3.4, 6.0, "neutral")]
    assert len(play(ExpressionChanges(dwell=0.5), spans)) == 1


def test_the_refractory_time_delays_the_next_change() -> None:
    events = play(ExpressionChanges(dwell=0.2, refractory=2.0), [(0.0, 1.0, "happy"), (1.0, 4.0, "sad")])
    assert [change.current for _, change in events] == ["happy", "sad"]
    assert events[1][0] - events[0][0] == pytest.approx(2.0, abs=0.06)


def test_undecided_moments_interrupt_but_do_not_count() -> None:
    spans = [(0.0, 1.0, "happy"), (1.0, 2.0, ""), (2.0, 3.0, "happy")]
    assert [change.current for _, change in play(ExpressionChanges(dwell=0.3, refractory=0.1), spans)] == ["happy"]


def test_low_confidence_does_not_count() -> None:
    assert play(ExpressionChanges(min_confidence=0.5), [(0.0, 5.0, "angry")], confidence=0.4) == []


def test_carried_over_faces_do_not_complete_a_dwell() -> None:
    changes = ExpressionChanges(dwell=0.5)
    assert changes.update("/camera", 0.0, [Seen("f1", "happy", 0.9, True)]) == []
    assert changes.update("/camera", 1.0, [Seen("f1", "happy", 0.9, False)]) == []


def test_a_face_that_leaves() -> None:
    changes = ExpressionChanges(dwell=0.5)
    play(changes, [(0.0, 2.0, "happy")])
    assert changes.update("/camera", 2.1, []) == [Change("f1", "happy", "", 0.0)]
    assert changes.update("/camera", 2.2, []) == []


def test_faces_that_leave_together_are_told_in_order_of_their_ids() -> None:
    changes = ExpressionChanges(dwell=0.1)
    ids = [f"f{index:05d}" for index in range(12)]
    for stamp in (0.0, 0.2):
        changes.update("/camera", stamp, [Seen(face_id, "happy", 0.9, True) for face_id in reversed(ids)])
    assert [change.face_id for change in changes.update("/camera", 0.3, [])] == ids


def test_faces_and_cameras_are_told_apart() -> None:
    changes = ExpressionChanges(dwell=0.1)
    for stamp in (0.0, 0.2):
        left = changes.update("/left", stamp, [Seen("f1", "happy", 0.9, True), Seen("f2", "sad", 0.8, True)])
        right = changes.update("/right", stamp, [Seen("f3", "angry", 0.7, True)])
    assert {(change.face_id, change.current) for change in left} == {("f1", "happy"), ("f2", "sad")}
    assert [(change.face_id, change.current) for change in right] == [("f3", "angry")]


def test_a_silent_camera_ends_its_faces() -> None:
    changes = ExpressionChanges(dwell=0.1)
    play(changes, [(0.0, 1.0, "happy")])
    assert [change.current for change in changes.end("/camera")] == [""]
    assert changes.end("/camera") == []


def test_a_bag_that_starts_again() -> None:
    changes = ExpressionChanges(dwell=0.1)
    play(changes, [(10.0, 11.0, "happy")])
    events = play(changes, [(0.0, 1.0, "happy")])
    assert [(change.previous, change.current) for _, change in events] == [("happy", ""), ("", "happy")]
