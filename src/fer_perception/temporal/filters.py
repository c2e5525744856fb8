"""Temporal filters of class probabilities: none, exponential mean and hidden Markov model, in header time.

Every filter works on one face or on many at once: probabilities are (..., K), time steps (...). They answer the same
at any frame rate, because only times enter, never frame counts. The derivation is in docs/smoothing.md.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

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
        return np.asarray(softmax(self._mean, axis=-1))

    def wait(self, dt: float | Array) -> Array | None:
        """See `TemporalFilter.wait`."""
        if self._mean is None:
            return None
        self._pending = self._pending + dt
        return np.asarray(softmax(self._mean, axis=-1))
