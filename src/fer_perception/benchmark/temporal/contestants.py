"""Contestants of the temporal benchmark: this package's filters and common others, over many faces at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fer_perception.benchmark.temporal.expression_sequences import Sequences
from fer_perception.labels import LABELS
from fer_perception.settings.pipeline_settings import PipelineSettings
from fer_perception.temporal.class_prior import assumed_prior, with_prior
from fer_perception.temporal.label_decision import LabelDecision
from fer_perception.temporal.smoother import FILTERS, create_decision, create_filter

#: So many faces share one image, and the window of the rival that has one for all.
FACES_AT_ONCE = 3
#: Labels in the window of the rivals that take the most frequent one.
WINDOW = 10
#: Weight of the newest frame in the rival that averages per frame.
FRAME_WEIGHT = 0.3

#: From sequences to labels (F, T), -1 = undecided, and scores (F, T, K).
Contestant = Callable[[Sequences], tuple[NDArray[np.intp], NDArray[np.float64]]]


def contestants(settings: PipelineSettings) -> dict[str, Contestant]:
    """Everything that is compared, by name: raw frames, three rivals, and this package's filters with `settings`."""
    ours = {name: ours_with(replace(settings, filter=name)) for name in FILTERS}
    return {
        "raw": raw,
        "mode10_shared": mode_of_shared_window,
        "mode10": mode_of_own_window,
        "ema_frame": mean_per_frame,
        **ours,
    }


def raw(sequences: Sequences) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """The most probable class of each frame alone."""
    return sequences.probabilities.argmax(axis=-1), sequences.probabilities


def mode_of_shared_window(sequences: Sequences) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """The most frequent of the last `WINDOW` labels in one window that all faces of an image share."""
    single = sequences.probabilities.argmax(axis=-1)
    faces, frames = single.shape
    scores = np.empty(sequences.probabilities.shape)
    for first in range(0, faces, FACES_AT_ONCE):
        window: deque[int] = deque(maxlen=WINDOW)
        for t in range(frames):
            for face in range(first, min(first + FACES_AT_ONCE, faces)):
                window.append(int(single[face, t]))
                scores[face, t] = _shares(window)
    return scores.argmax(axis=-1), scores


def mode_of_own_window(sequences: Sequences, length: int = WINDOW) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """The most frequent of the last `length` labels of each face."""
    single = sequences.probabilities.argmax(axis=-1)
    scores = np.empty(sequences.probabilities.shape)
    for face, labels in enumerate(single):
        window: deque[int] = deque(maxlen=length)
        for t, label in enumerate(labels):
            window.append(int(label))
            scores[face, t] = _shares(window)
    return scores.argmax(axis=-1), scores


def mean_per_frame(sequences: Sequences, weight: float = FRAME_WEIGHT) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Exponential mean of the probabilities with the same weight for each new frame, whatever the frame rate."""
    scores = sequences.probabilities.copy()
    for t in range(1, scores.shape[1]):
        scores[:, t] = (1.0 - weight) * scores[:, t - 1] + weight * scores[:, t]
    return scores.argmax(axis=-1), scores


def filtered(sequences: Sequences, settings: PipelineSettings) -> NDArray[np.float64]:
    """(F, T, K) scores of the filter that `settings` name, all faces at once."""
    prior = assumed_prior(LABELS, sequences.prior, settings.neutral_share)
    temporal_filter = create_filter(prior, settings)
    moved = with_prior(sequences.probabilities, sequences.prior, prior)
    steps = np.diff(sequences.stamps, prepend=sequences.stamps[:1])
    scores = np.empty(sequences.probabilities.shape)
    for t, dt in enumerate(steps):
        scores[:, t] = temporal_filter.observe(moved[:, t], dt)
    return scores


def decided(
    sequences: Sequences, scores: NDArray[np.float64], decision: Callable[[], LabelDecision]
) -> NDArray[np.intp]:
    """(F, T) labels, -1 = undecided.

    Args:
        sequences: for the times.
        scores: (F, T, K).
        decision: makes a fresh decision for each face.
    """
    labels = np.empty(scores.shape[:2], dtype=np.intp)
    stamps = sequences.stamps.tolist()
    for face in range(len(scores)):
        update = decision().update
        for t, row in enumerate(scores[face]):
            label = update(row, stamps[t])
            labels[face, t] = -1 if label is None else label
    return labels


def ours_with(settings: PipelineSettings) -> Contestant:
    """This package's filter and label decision as the settings say."""

    def run(sequences: Sequences) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        scores = filtered(sequences, settings)
        return decided(sequences, scores, lambda: create_decision(settings)), scores

    return run


def _shares(window: deque[int]) -> NDArray[np.float64]:
    return np.bincount(np.fromiter(window, dtype=np.intp), minlength=len(LABELS)) / len(window)
