"""Events of labels: as the example's dialogue manager makes them, false where the face never showed the class."""

from __future__ import annotations

import numpy as np
import pytest
from load_example import load_example

from fer_perception.benchmark.temporal.expression_sequences import PERSON_ERROR, Sequences, make_sequences
from fer_perception.benchmark.temporal.frame_outputs import synthetic
from fer_perception.benchmark.temporal.label_events import label_events, measure_events
from fer_perception.labels import LABELS, NEUTRAL

CALM, ANGRY, HAPPY = LABELS.index(NEUTRAL), LABELS.index("angry"), LABELS.index("happy")


def test_they_are_those_of_the_example() -> None:
    changes = load_example("expression_changes")
    random = np.random.default_rng(0)
    labels = np.repeat(random.integers(-1, 4, 600), random.integers(1, 30, 600))
    confidence = random.uniform(0.45, 1.0, len(labels))
    stamps = np.cumsum(random.uniform(0.02, 0.05, len(labels)))
    rule = changes.ExpressionChanges()
    expected = []
    for stamp, label, sure in zip(stamps, labels, confidence, strict=True):
        name = "" if label < 0 else LABELS[label]
        expected += [
            (stamp, LABELS.index(change.current))
            for change in rule.update("camera", stamp, [changes.Seen("f", name, sure, True)])
        ]
    assert len(expected) > 20
    assert label_events(labels, confidence, stamps) == expected


def a_minute(truth: np.ndarray, starts: list[float]) -> Sequences:
    stamps = np.arange(len(truth)) / 10
    scores = np.full((1, len(truth), len(LABELS)), 1 / len(LABELS))
    return Sequences(stamps, truth[None], scores, [np.array(starts)], 60.0, np.full(len(LABELS), 1 / len(LABELS)))


def said(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return labels[None], np.eye(len(LABELS))[labels][None]


def test_false_late_and_missed() -> None:
    truth = np.full(600, CALM)
    truth[200:230] = HAPPY
    truth[400:420] = ANGRY
    sequences = a_minute(truth, [0.0, 20.0, 23.0, 40.0, 42.0])
    perfect = measure_events(sequences, *said(truth))
    assert (perfect.false_events_per_min, perfect.missed) == (0.0, 0.0)
    late, wrong, deaf = truth.copy(), truth.copy(), np.full(600, CALM)
    late[200:215], late[230:245] = CALM, HAPPY
    assert measure_events(sequences, *said(late)) == perfect
    wrong[100:120] = ANGRY
    assert measure_events(sequences, *said(wrong)).false_events_per_min == 1.0
    assert measure_events(sequences, *said(deaf)).missed == 1.0


def test_a_short_expression_need_not_be_noticed() -> None:
    truth = np.full(600, CALM)
    truth[200:208] = HAPPY
    assert np.isnan(measure_events(a_minute(truth, [0.0, 20.0, 20.8]), *said(np.full(600, CALM))).missed)


class TestConversation:
    OUTPUTS, _ = synthetic(images=2000, views=4, seed=0)

    def sequences(self, person_error: float) -> Sequences:
        return make_sequences(
            self.OUTPUTS,
            faces=20,
            seconds=300.0,
            rate=5.0,
            scale=1.0,
            seed=2,
            conversation=True,
            person_error=person_error,
        )

    def test_is_neutral_nine_tenths_of_the_time_with_single_expressions_in_between(self) -> None:
        sequences = self.sequences(0.0)
        assert (sequences.truth == CALM).mean() == pytest.approx(0.9, abs=0.02)
        for face, starts in enumerate(sequences.changes):
            seen = starts[starts <= sequences.stamps[-1]]
            classes = sequences.truth[face, np.searchsorted(sequences.stamps, seen)]
            assert (classes[::2] == CALM).all()
            assert (classes[1::2] != CALM).all()

    def test_a_persons_error_lasts_the_whole_track_and_leaves_the_rest_alone(self) -> None:
        plain, with_people = self.sequences(0.0), self.sequences(PERSON_ERROR)
        np.testing.assert_array_equal(plain.truth, with_people.truth)
        offset = np.log(with_people.probabilities) - np.log(plain.probabilities)
        offset -= offset.mean(axis=-1, keepdims=True)
        assert offset.std(axis=1).max() < 1e-9
        assert offset[:, 0].std() == pytest.approx(PERSON_ERROR * np.sqrt(6 / 7), rel=0.15)
