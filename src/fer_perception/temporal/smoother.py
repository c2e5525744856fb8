"""Temporal smoothing of one track: filtered scores, label, valence, arousal and phase."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_perception.errors import ConfigError
from fer_perception.labels import NEUTRAL, circumplex_matrix
from fer_perception.pipeline_types import Phase
from fer_perception.settings.pipeline_settings import PipelineSettings
from fer_perception.temporal.class_prior import assumed_prior, with_prior
from fer_perception.temporal.filters import EmaFilter, NoFilter, TemporalFilter
from fer_perception.temporal.hidden_markov import HmmFilter, HmmParameters
from fer_perception.temporal.label_decision import LabelDecision
from fer_perception.temporal.phases import PhaseEstimator


@dataclass(frozen=True)
class Smoothed:
    """Smoothed state of one face at one time.

    Attributes:
        scores: (K,) float64 probabilities, sum 1.
        emotion: class name; "" = undecided.
        confidence: probability of `emotion`, of the most probable class where that is "".
        valence: [-1, 1]; NaN where a class has no circumplex coordinates.
        arousal: likewise.
        phase: onset, apex, offset, neutral or unknown.
    """

    scores: NDArray[np.float64]
    emotion: str
    confidence: float
    valence: float
    arousal: float
    phase: Phase


class Smoother:
    """Filters one track. Made by `create_smoother`; not thread-safe.

    Args:
        labels: K class names in the order of the probabilities.
        temporal_filter: a new filter of its own.
        decision: a new label decision of its own.
        model_prior: (K,) class prior under which the probabilities of single frames are posteriors.
        assumed_prior: (K,) class prior the scores are given under; also what is said of a face never looked at.

    Example:
        >>> from fer_perception.labels import LABELS
        >>> smoother = create_smoother(LABELS, PipelineSettings(), prior=[1 / 7] * 7)
        >>> happy = np.array([0.02, 0.02, 0.02, 0.88, 0.02, 0.02, 0.02])
        >>> for frame in range(10):
        ...     smoothed = smoother.update(happy, stamp_s=0.1 * frame)
        >>> smoothed.emotion, smoothed.phase.value
        ('happy', 'apex')
    """

    def __init__(
        self,
        labels: Sequence[str],
        temporal_filter: TemporalFilter,
        decision: LabelDecision,
        *,
        model_prior: NDArray[np.float64],
        assumed_prior: NDArray[np.float64],
    ) -> None:
        self._labels = tuple(labels)
        self._filter = temporal_filter
        self._decision = decision
        self._model_prior = model_prior
        self._assumed_prior = assumed_prior
        self._circumplex = circumplex_matrix(labels)
        self._neutral = self._labels.index(NEUTRAL) if NEUTRAL in self._labels else None
        self._phases = PhaseEstimator()
        self._stamp: float | None = None

    def update(self, raw_probabilities: NDArray[np.floating] | None, stamp_s: float) -> Smoothed:
        """Take in one frame of this face.

        Args:
            raw_probabilities: (K,) of this frame alone; None where the face was not observed in it.
            stamp_s: time of the frame, s. A stamp not later than the one before counts as no time passed.

        Returns:
            What is known now; in the first frame the scores are the raw probabilities, moved to the assumed prior.

        Raises:
            ValueError: wrong number of probabilities, or they are no distribution.
        """
        dt = 0.0 if self._stamp is None else max(stamp_s - self._stamp, 0.0)
        now = stamp_s if self._stamp is None else self._stamp + dt
        self._stamp = now
        if raw_probabilities is None:
            waited = self._filter.wait(dt)
            scores = self._assumed_prior if waited is None else waited
            seen = waited is not None
        else:
            moved = with_prior(self._checked(raw_probabilities), self._model_prior, self._assumed_prior)
            scores = self._filter.observe(moved, dt)
            seen = True
        label = self._decision.update(scores, now) if seen else None
        phase = Phase.UNKNOWN
        if self._neutral is not None and seen:
            phase = self._phases.update(1.0 - float(scores[self._neutral]), now)
        valence, arousal = scores @ self._circumplex
        return Smoothed(
            scores=scores,
            emotion="" if label is None else self._labels[label],
            confidence=float(scores.max() if label is None else scores[label]),
            valence=float(valence),
            arousal=float(arousal),
            phase=phase,
        )

    def _checked(self, raw: NDArray[np.floating]) -> NDArray[np.float64]:
        p = np.asarray(raw, dtype=np.float64)
        total = p.sum() if p.shape == (len(self._labels),) else np.nan
        if not abs(total - 1.0) < 0.01 or p.min() < 0.0:
            names = ", ".join(self._labels)
            msg = f"probabilities {p} are not a distribution over the {len(self._labels)} classes {names}"
            raise ValueError(msg)
        # What sums to 1 already stays the same to the last bit: unfiltered scores equal the raw ones.
        return p if abs(total - 1.0) < 1e-12 else np.asarray(p / total)


def _hmm(prior: NDArray[np.float64], settings: PipelineSettings) -> TemporalFilter:
    return HmmFilter(
        HmmParameters(
            prior=prior,
            dwell_time=settings.hmm_dwell_time,
            correlation_time=settings.hmm_correlation_time,
        )
    )


#: Makes each filter that the setting `filter` names.
FILTERS: dict[str, Callable[[NDArray[np.float64], PipelineSettings], TemporalFilter]] = {
    "none": lambda _prior, _settings: NoFilter(),
    "ema": lambda _prior, settings: EmaFilter(settings.ema_time_constant),
    "hmm": _hmm,
}


def create_filter(prior: NDArray[np.float64], settings: PipelineSettings) -> TemporalFilter:
    """A new filter as the settings say (`filter`, `ema_time_constant`, `hmm_*`).

    Args:
        prior: (K,) class frequencies, sum 1, under which the probabilities it will be given are posteriors.
        settings: which filter, and its times.

    Raises:
        ConfigError: there is no filter of that name.
    """
    if settings.filter not in FILTERS:
        msg = f"filter is {settings.filter!r}; expected one of: {', '.join(FILTERS)}"
        raise ConfigError(msg)
    return FILTERS[settings.filter](prior, settings)


def create_decision(settings: PipelineSettings) -> LabelDecision:
    """A new label decision as the settings say (`undecided_threshold`, `hysteresis`, `min_dwell`)."""
    return LabelDecision(
        undecided_threshold=settings.undecided_threshold,
        hysteresis=settings.hysteresis,
        min_dwell=settings.min_dwell,
    )


def create_smoother(labels: Sequence[str], settings: PipelineSettings, *, prior: Sequence[float]) -> Smoother:
    """A new smoother for one track.

    Args:
        labels: K class names in the order of the classifier's probabilities.
        settings: which filter, its times, the label decision, and the assumed share of neutral.
        prior: (K,) class prior of the model (`ModelMetadata.prior`).
    """
    assumed = assumed_prior(labels, prior, settings.neutral_share)
    return Smoother(
        labels,
        create_filter(assumed, settings),
        create_decision(settings),
        model_prior=np.asarray(prior, dtype=np.float64),
        assumed_prior=assumed,
    )
