"""Quality measures of a sequence of labels: accuracy, excess flips, delay and calibration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_perception.benchmark.temporal.expression_sequences import Sequences

#: A label must be right for so long, in s, to count as a change noticed.
MIN_RUN = 0.5
#: Equal-width confidence bins of the calibration error.
BINS = 15


@dataclass(frozen=True)
class LabelMeasures:
    """Measures of one filter under one condition.

    Attributes:
        accuracy: share of frames with the right label; undecided is wrong.
        excess_flips_per_min: label changes less true changes, per minute of one face.
        delay_ms: median time from a true change to the first right run of at least `MIN_RUN`; a change that is never
            noticed counts with its whole segment.
        delay_p95_ms: 95th percentile of the same.
        ece: expected calibration error of the most probable class.
    """

    accuracy: float
    excess_flips_per_min: float
    delay_ms: float
    delay_p95_ms: float
    ece: float


def measure(sequences: Sequences, labels: NDArray[np.intp], scores: NDArray[np.float64]) -> LabelMeasures:
    """Measure.

    Args:
        sequences: with the truth.
        labels: (F, T) index of the class, -1 = undecided.
        scores: (F, T, K) probabilities.
    """
    right = labels == sequences.truth
    true_changes = sum(len(starts) - 1 for starts in sequences.changes)
    flips = int((labels[:, 1:] != labels[:, :-1]).sum())
    delays = np.concatenate(
        [_delays(sequences, starts, right[face]) for face, starts in enumerate(sequences.changes)] or [np.empty(0)]
    )
    return LabelMeasures(
        accuracy=float(right.mean()),
        excess_flips_per_min=(flips - true_changes) / sequences.minutes,
        delay_ms=1000.0 * float(np.median(delays)),
        delay_p95_ms=1000.0 * float(np.quantile(delays, 0.95)),
        ece=calibration_error(scores.max(axis=-1).ravel(), (scores.argmax(axis=-1) == sequences.truth).ravel()),
    )


def _delays(sequences: Sequences, starts: NDArray[np.float64], right: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Delay of each true change of one face, s. A label stands until the next frame."""
    ends = np.append(starts[1:], sequences.end)
    bounds = np.searchsorted(sequences.stamps, np.append(starts, sequences.end))
    delays = ends[1:] - starts[1:]
    for i in range(1, len(starts)):
        frames = right[bounds[i] : bounds[i + 1]]
        times = np.append(sequences.stamps[bounds[i] : bounds[i + 1]], ends[i])
        edges = np.diff(np.concatenate([[False], frames, [False]]).astype(np.int8))
        begin, end = times[np.flatnonzero(edges == 1)], times[np.flatnonzero(edges == -1)]
        long_enough = np.flatnonzero(end - begin >= MIN_RUN)
        if len(long_enough):
            delays[i - 1] = begin[long_enough[0]] - starts[i]
    return delays


def calibration_error(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Expected calibration error: mean distance of confidence and accuracy over `BINS` bins, weighted by their size."""
    index = np.minimum((confidence * BINS).astype(np.intp), BINS - 1)
    count = np.bincount(index, minlength=BINS)
    gap = np.bincount(index, weights=confidence, minlength=BINS) - np.bincount(index, weights=right, minlength=BINS)
    return float(np.abs(gap).sum() / count.sum())
