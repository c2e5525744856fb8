"""Simulated faces whose expressions change at known times, with a network's outputs for each frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_perception.benchmark.temporal.frame_outputs import FrameOutputs
from fer_perception.labels import LABELS, NEUTRAL

#: How long an expression lasts: log-normal with this median (s) and standard deviation of the logarithm, cut to ...
DWELL_MEDIAN, DWELL_SIGMA = 1.6, 0.7
#: ... these limits, s.
DWELL_LIMITS = (0.5, 5.0)
#: How long one image of a face persists, s, before `hold_scale` (uniform).
HOLD_LIMITS = (0.1, 1.0)
#: Share of the frames that never arrive, and how far the others are off their time, in periods.
DROPPED, STAMP_JITTER = 0.1, 0.1
#: In a conversation a face is neutral this share of the time; each neutral stretch lasts at least `NEUTRAL_LEAST` s.
NEUTRAL_SHARE, NEUTRAL_LEAST = 0.9, 2.0
#: Error of one person that lasts the whole track: standard deviation of what is added to the log-probability of each
#: class. The two shipped networks have 0.34 and 0.55 on CK+48: the covariance of what they say of different
#: expressions of the same person, the mean of each expression taken out (353 pairs of sequences).
PERSON_ERROR = 0.45
#: The time to which error correlations refer, s.
REFERENCE_LAG = 1.0 / 30.0


@dataclass(frozen=True)
class Sequences:
    """F faces seen in the same T frames.

    Attributes:
        stamps: (T,) s, rising.
        truth: (F, T) index of the true class.
        probabilities: (F, T, K) of each frame alone.
        changes: per face, the times of its true changes, s, the first being the start.
        end: s.
        prior: (K,) class prior under which the probabilities are posteriors, sum 1.
    """

    stamps: NDArray[np.float64]
    truth: NDArray[np.intp]
    probabilities: NDArray[np.float64]
    changes: list[NDArray[np.float64]]
    end: float
    prior: NDArray[np.float64]

    @property
    def minutes(self) -> float:
        """Of all faces together."""
        return len(self.changes) * self.end / 60.0


def hold_scale(outputs: FrameOutputs, correlation: float) -> float:
    """By what `HOLD_LIMITS` must be multiplied for this error correlation at `REFERENCE_LAG`.

    0 stands for a new image in every frame.
    """
    if correlation <= 0.0:
        return 0.0
    within = outputs.view_correlation(REFERENCE_LAG)
    low, high = 1e-3, 20.0
    for _ in range(40):
        middle = (low * high) ** 0.5
        if within * _shared_time(middle) < correlation:
            low = middle
        else:
            high = middle
    return high


def _shared_time(scale: float) -> float:
    """Share of all pairs of frames `REFERENCE_LAG` apart that show the same image."""
    held = scale * np.linspace(*HOLD_LIMITS, 2001)
    dwell = _dwell_times(np.random.default_rng(0), 4000)
    share = 1.0
    for spans in (held, dwell):
        share *= float(np.maximum(spans - REFERENCE_LAG, 0.0).mean() / spans.mean())
    return share


def make_sequences(
    outputs: FrameOutputs,
    *,
    faces: int,
    seconds: float,
    rate: float,
    scale: float,
    seed: int,
    conversation: bool = False,
    person_error: float = 0.0,
) -> Sequences:
    """Draw sequences.

    Args:
        outputs: the images to draw from.
        faces: F.
        seconds: length.
        rate: frames per s before drops.
        scale: see `hold_scale`.
        conversation: neutral `NEUTRAL_SHARE` of the time, with single expressions in between, instead of one expression
            after another.
        person_error: see `PERSON_ERROR`; 0 = none.
        seed: decides everything; the times of the expressions do not depend on `rate` and `scale`.
    """
    plan = np.random.default_rng([seed, 1])
    rng = np.random.default_rng([seed, 2])
    people = np.random.default_rng([seed, 3])
    classes = outputs.probabilities.shape[-1]
    frequency = np.bincount(outputs.labels, minlength=classes) / len(outputs.labels)
    by_class = [np.flatnonzero(outputs.labels == k) for k in range(classes)]
    stamps = np.arange(int(seconds * rate)) / rate
    stamps = (stamps + rng.uniform(0.0, STAMP_JITTER / rate, stamps.shape))[rng.random(stamps.shape) >= DROPPED]
    truth = np.empty((faces, len(stamps)), dtype=np.intp)
    probabilities = np.empty((faces, len(stamps), classes))
    changes = []
    for face in range(faces):
        starts, segments = (_plan_conversation if conversation else _plan_face)(plan, frequency, seconds)
        segment = np.searchsorted(starts, stamps, side="right") - 1
        truth[face] = segments[segment]
        chances = [by_class[k] for k in segments]
        images, phases = _images(rng, stamps, starts, chances, scale)
        probabilities[face] = outputs.at(images, stamps + phases)
        if person_error:
            probabilities[face] *= np.exp(people.normal(0.0, person_error, classes))
            probabilities[face] /= probabilities[face].sum(axis=-1, keepdims=True)
        changes.append(starts)
    return Sequences(stamps, truth, probabilities, changes, seconds, outputs.prior)


def error_correlation(sequences: Sequences, outputs: FrameOutputs) -> float:
    """Measured correlation of the errors of frames `REFERENCE_LAG` apart, class error rates taken out.

    Args:
        sequences: at a rate of which `REFERENCE_LAG` is a period.
        outputs: what they were drawn from.
    """
    wrong = (sequences.probabilities.argmax(axis=-1) != sequences.truth).astype(np.float64)
    rest = wrong - outputs.error_rate[sequences.truth]
    near = np.abs(np.diff(sequences.stamps) - REFERENCE_LAG) < 0.2 * REFERENCE_LAG
    return float((rest[:, :-1] * rest[:, 1:])[:, near].mean() / (rest**2).mean())


def _dwell_times(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    times = np.exp(np.log(DWELL_MEDIAN) + DWELL_SIGMA * rng.standard_normal(4 * count + 64))
    return np.asarray(times[(times >= DWELL_LIMITS[0]) & (times <= DWELL_LIMITS[1])][:count])


def _plan_face(
    rng: np.random.Generator, frequency: NDArray[np.float64], seconds: float
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Start times (the first is 0) and classes of a face's expressions; neighbors differ."""
    times = _dwell_times(rng, int(seconds / DWELL_LIMITS[0]) + 2)
    starts = np.concatenate([[0.0], np.cumsum(times)])
    starts = starts[starts < seconds]
    segments = np.empty(len(starts), dtype=np.intp)
    for i in range(len(starts)):
        weights = frequency.copy()
        if i:
            weights[segments[i - 1]] = 0.0
        segments[i] = rng.choice(len(frequency), p=weights / weights.sum())
    return starts, segments


def _plan_conversation(
    rng: np.random.Generator, frequency: NDArray[np.float64], seconds: float
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Start times (the first is 0) and classes: neutral, an expression, neutral, ..."""
    neutral = LABELS.index(NEUTRAL)
    weights = np.where(np.arange(len(frequency)) == neutral, 0.0, frequency)
    count = int(seconds / (NEUTRAL_LEAST + DWELL_LIMITS[0])) + 1
    lasted = _dwell_times(rng, count)
    # As long on average as the share asks for beside expressions of their mean length.
    mean = NEUTRAL_SHARE / (1.0 - NEUTRAL_SHARE) * float(_dwell_times(np.random.default_rng(0), 4000).mean())
    calm = NEUTRAL_LEAST + rng.exponential(mean - NEUTRAL_LEAST, count)
    starts = np.concatenate([[0.0], np.cumsum(np.stack([calm, lasted], axis=1).ravel())])
    segments = np.full(len(starts), neutral, dtype=np.intp)
    segments[1::2] = rng.choice(len(frequency), count, p=weights / weights.sum())
    kept = starts < seconds
    return starts[kept], segments[kept]


def _images(
    rng: np.random.Generator,
    stamps: NDArray[np.float64],
    starts: NDArray[np.float64],
    chances: list[NDArray[np.intp]],
    scale: float,
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """(T,) index of the image each frame shows and (T,) what is added to its stamp for the time of its wobble.

    `chances` are the images each segment draws from.
    """
    images = np.empty(len(stamps), dtype=np.intp)
    phases = np.empty(len(stamps))
    segment = np.searchsorted(starts, stamps, side="right") - 1
    current, until = -1, 0.0
    for i, stamp in enumerate(stamps):
        if segment[i] != current:
            current = int(segment[i])
            until = starts[current]
        if scale <= 0.0:
            images[i], phases[i] = rng.choice(chances[current]), rng.random()
            continue
        while until <= stamp:
            shown, phase = rng.choice(chances[current]), rng.random()
            until += scale * rng.uniform(*HOLD_LIMITS)
        images[i], phases[i] = shown, phase
    return images, phases
