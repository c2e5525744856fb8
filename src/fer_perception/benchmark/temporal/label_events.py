"""Events that a dialogue manager would make of labels, and how many of them are false."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_perception.benchmark.temporal.expression_sequences import Sequences
from fer_perception.labels import LABELS, NEUTRAL

#: The rule of examples/expression_changes.py at its defaults: a new label counts once it has stood for `DWELL` s, with
#: at least `MIN_CONFIDENCE`, and not within `REFRACTORY` s of the face's last event.
DWELL, REFRACTORY, MIN_CONFIDENCE = 0.5, 2.0, 0.5
#: An event that comes so long after the expression has ended, s, is late, not false.
LATE = 2.0
#: Shorter expressions, s, need not be noticed.
NOTICEABLE = 1.0


@dataclass(frozen=True)
class EventMeasures:
    """Measures of the events of all faces.

    Attributes:
        false_events_per_min: events that name a class which the face did not show at that time nor in the `LATE` s
            before, a minute of one face.
        missed: share of the expressions of at least `NOTICEABLE` s (neutral is none) without an event of their own
            before `LATE` s after their end; NaN where there are none.
    """

    false_events_per_min: float
    missed: float


def label_events(
    labels: NDArray[np.intp], confidence: NDArray[np.float64], stamps: NDArray[np.float64]
) -> list[tuple[float, int]]:
    """Events of one face by the dialogue manager's rule.

    Args:
        labels: (T,) index of the class, -1 = undecided.
        confidence: (T,) of the label, [0, 1].
        stamps: (T,) s.

    Returns:
        Time and class of each event.
    """
    events: list[tuple[float, int]] = []
    told, told_at, candidate, since = -1, -np.inf, -1, 0.0
    for label, sure, stamp in zip(
        labels.tolist(), (confidence >= MIN_CONFIDENCE).tolist(), stamps.tolist(), strict=True
    ):
        if label != candidate or not sure:
            candidate, since = (label if sure else -1), stamp
        if candidate in {-1, told} or stamp - since < DWELL or stamp - told_at < REFRACTORY:
            continue
        events.append((stamp, candidate))
        told, told_at = candidate, stamp
    return events


def measure_events(sequences: Sequences, labels: NDArray[np.intp], scores: NDArray[np.float64]) -> EventMeasures:
    """Measure.

    Args:
        sequences: with the truth.
        labels: (F, T) index of the class, -1 = undecided.
        scores: (F, T, K) probabilities.
    """
    neutral = LABELS.index(NEUTRAL)
    confidence = np.take_along_axis(scores, np.maximum(labels, 0)[..., None], axis=-1)[..., 0]
    false = shown = missed = 0
    for face, starts in enumerate(sequences.changes):
        ends = np.append(starts[1:], sequences.end)
        first = np.minimum(np.searchsorted(sequences.stamps, starts), len(sequences.stamps) - 1)
        classes = sequences.truth[face, first]
        events = label_events(labels[face], confidence[face], sequences.stamps)
        for stamp, label in events:
            false += not np.any((classes == label) & (starts <= stamp) & (stamp <= ends + LATE))
        for start, end, label in zip(starts.tolist(), ends.tolist(), classes.tolist(), strict=True):
            if label == neutral or end - start < NOTICEABLE:
                continue
            shown += 1
            missed += not any(said == label and start <= stamp <= end + LATE for stamp, said in events)
    return EventMeasures(false / sequences.minutes, missed / shown if shown else float("nan"))
