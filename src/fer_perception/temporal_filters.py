"""Temporal filters of class probabilities: none, exponential mean and hidden Markov model, in header time.

Every filter works on one face or on many at once: probabilities are (..., K), time steps (...). They answer the same
at any frame rate, because only times enter, never frame counts. The derivation is in docs/smoothing.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Probabilities are kept above this before a logarithm is taken.
_SMALLEST = 1e-6


class TemporalFilter(Protocol):
    """Turns the probabilities of single frames into probabilities given all frames so far."""

    def observe(self, probabilities: Array, dt: float | Array) -> Array:
        """Take in one frame.

        Args:
            probabilities: (..., K) of this frame alone, rows sum to 1.
            dt: seconds since the previous call, >= 0; ignored in the first one.

        Returns:
            (..., K) filtered probabilities, rows sum to 1; the first call returns `probabilities`.
        """

    def wait(self, dt: float | Array) -> Array | None:
        """Let `dt` seconds pass without seeing the face; the filtered probabilities, None before the first frame."""


class NoFilter:
    """Each frame alone; holds the last one while the face is not seen."""

    def __init__(self) -> None:
        self._last: Array | None = None

    def observe(self, probabilities: Array, dt: float | Array) -> Array:  # noqa: ARG002
        """See `TemporalFilter.observe`."""
        self._last = probabilities
        return probabilities

    def wait(self, dt: float | Array) -> Array | None:  # noqa: ARG002
        """See `TemporalFilter.wait`."""
        return self._last


class EmaFilter:
    """Exponential mean of the log-probabilities; holds its value while the face is not seen.

    Args:
        time_constant: s, > 0.
    """

    def __init__(self, time_constant: float) -> None:
        self._time_constant = time_constant
        self._mean: Array | None = None
        self._pending: float | Array = 0.0

    def observe(self, probabilities: Array, dt: float | Array) -> Array:
        """See `TemporalFilter.observe`."""
        if self._mean is None:
            self._mean = np.log(np.maximum(probabilities, _SMALLEST))
            return probabilities
        logits = np.log(np.maximum(probabilities, _SMALLEST))
        gain = -np.expm1(-(np.asarray(dt, dtype=np.float64) + self._pending) / self._time_constant)
        self._pending = 0.0
        self._mean = self._mean + gain[..., None] * (logits - self._mean)
        return _softmax(self._mean)

    def wait(self, dt: float | Array) -> Array | None:
        """See `TemporalFilter.wait`."""
        if self._mean is None:
            return None
        self._pending = self._pending + dt
        return _softmax(self._mean)


@dataclass(frozen=True)
class HmmParameters:
    """What the hidden Markov model assumes.

    Attributes:
        prior: (K,) class frequencies the network was trained with, sum 1; also how often each class comes in time.
        dwell_time: expected time in one expression, s.
        correlation_time: expected time for which one view of the face (pose, light, crop: what makes the network err)
            lasts, s; 0 = frames err independently.
        outliers: share of frames whose probabilities say nothing.
        jitter: standard deviation of a log-probability within one view.
        spread: standard deviation of a log-probability between views.
    """

    prior: Array
    dwell_time: float
    correlation_time: float
    outliers: float = 0.02
    jitter: float = 0.35
    spread: float = 2.0


class HmmFilter:
    """Forward filter over classes and views.

    A face keeps one expression for `dwell_time` on average. Within an expression the network sees one view of the face
    for `correlation_time` on average, and all frames of a view err alike, so only a new view brings new evidence.
    Whether this frame shows the same view is judged by how near its log-probabilities are to the mean of the view so
    far.
    """

    def __init__(self, parameters: HmmParameters) -> None:
        self._p = parameters
        # The chain jumps at this rate, to class k with probability prior[k]; jumps to the same class do not show.
        self._rate = 1.0 / (parameters.dwell_time * max(1.0 - float(np.sum(parameters.prior**2)), 1e-6))
        self._belief: Array | None = None
        self._view: Array | None = None
        self._frames: Array | None = None
        self._waited: float | Array = 0.0

    def observe(self, probabilities: Array, dt: float | Array) -> Array:
        """See `TemporalFilter.observe`."""
        p = self._p
        logits = np.log(np.maximum(probabilities, 1e-3))
        if self._belief is None or self._view is None or self._frames is None:
            self._view, self._frames = logits, np.ones(logits.shape[:-1])
            self._belief = probabilities
            return probabilities
        dt = np.asarray(dt, dtype=np.float64)
        stay = np.exp(-dt * self._rate)[..., None]
        evidence = (1.0 - p.outliers) * probabilities / p.prior + p.outliers
        same = self._same_view(logits - self._view, self._frames)[..., None]
        elapsed, self._waited = dt + self._waited, 0.0
        lasting = np.exp(-elapsed / max(p.correlation_time, 1e-9))[..., None]
        kept = stay * self._belief
        old_view = kept * lasting * same
        belief = old_view + (kept * (1.0 - lasting) + (1.0 - stay) * p.prior) * evidence
        total = belief.sum(axis=-1, keepdims=True)
        again = old_view.sum(axis=-1, keepdims=True) / total
        self._belief = belief / total
        self._frames = 1.0 + again[..., 0] * self._frames
        self._view = (
            self._view * again + logits * (1.0 - again) + again * (logits - self._view) / self._frames[..., None]
        )
        return self._belief

    def _same_view(self, difference: Array, frames: Array) -> Array:
        """How much more probable this frame is in the view so far than in another one."""
        p = self._p
        size = difference.shape[-1] - 1
        distance = np.sum(difference**2, axis=-1)
        narrow = p.jitter**2 * (1.0 + 1.0 / frames)
        wide = 2.0 * p.spread**2
        ratio = 0.5 * size * np.log(wide / narrow) - 0.5 * distance * (1.0 / narrow - 1.0 / wide)
        return np.asarray(np.exp(np.clip(ratio, -30.0, 12.0)))

    def wait(self, dt: float | Array) -> Array | None:
        """See `TemporalFilter.wait`: the belief moves towards the prior as expressions change unseen."""
        if self._belief is None:
            return None
        self._waited = self._waited + dt
        stay = np.exp(-np.asarray(dt, dtype=np.float64) * self._rate)[..., None]
        self._belief = stay * self._belief + (1.0 - stay) * self._p.prior
        return self._belief


def _softmax(logits: Array) -> Array:
    exp = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(exp / exp.sum(axis=-1, keepdims=True))
