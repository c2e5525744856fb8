"""Operating curve of a classifier for robots: negative faces named rightly against neutral faces called negative.

Multiplying the probability of neutral by a factor moves along the curve: it is another prior for neutral. A better
network lifts the curve.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_perception.errors import ModelError
from fer_perception.labels import NEUTRAL

Floats = NDArray[np.float64]

#: The classes that a person minds being told.
NEGATIVE: tuple[str, ...] = ("angry", "disgusted", "scared", "sad")
_SMALLEST = 1e-12


@dataclass(frozen=True)
class Reading:
    """A point of the curve.

    Attributes:
        false_alarms: share of neutral faces called negative, at most what was asked for.
        named_rightly: share of negative faces that get their own class.
        factor: of the probability of neutral; 0 where even a network that never says neutral raises fewer false alarms.
    """

    false_alarms: float
    named_rightly: float
    factor: float


class OperatingCurve:
    """Operating curve of probabilities on faces whose class is known.

    Exact, without a grid: a face is called neutral from one factor on, so the curve is a list of such factors.

    Args:
        probabilities: (N, K) of the classes `names`.
        truth: (N,) index into `names` of each face's class.
        names: K class names, neutral and at least one of `NEGATIVE` among them.

    Raises:
        ModelError: the classes are others.

    Example:
        >>> import numpy as np
        >>> names = ("angry", "neutral")
        >>> said = np.array([[0.8, 0.2], [0.4, 0.6], [0.6, 0.4], [0.1, 0.9]])
        >>> curve = OperatingCurve(said, np.array([0, 0, 1, 1]), names)
        >>> curve.shipped().false_alarms, curve.shipped().named_rightly
        (0.5, 0.5)
        >>> curve.read(0.0).named_rightly  # at the factor 1.5 no neutral face is called angry
        0.5
    """

    def __init__(self, probabilities: Floats, truth: NDArray[np.int64], names: Sequence[str]) -> None:
        negative = [names.index(name) for name in NEGATIVE if name in names]
        if NEUTRAL not in names or not negative:
            msg = (
                f"an operating curve needs the class {NEUTRAL} and one of {', '.join(NEGATIVE)}; got {', '.join(names)}"
            )
            raise ModelError(msg)
        neutral = names.index(NEUTRAL)
        others = np.array(probabilities, dtype=np.float64)
        others[:, neutral] = -1
        top = others.argmax(axis=1)
        #: From this factor on a face is called neutral; before, it gets its best other class.
        limit = others.max(axis=1) / np.maximum(probabilities[:, neutral], _SMALLEST)
        calm = truth == neutral
        upset = np.isin(truth, negative)
        self._calm, self._upset = np.flatnonzero(calm), np.flatnonzero(upset)
        # A neutral face whose best other class is not a negative one raises no false alarm at any factor.
        alarms = np.where(np.isin(top, negative), limit, 0.0)[calm]
        self._alarm_order = np.argsort(-alarms, kind="stable")
        self._alarms = alarms[self._alarm_order]
        right = np.where(top == truth, limit, 0.0)[upset]
        self._right_order = np.argsort(-right, kind="stable")
        self._right = right[self._right_order]

    @property
    def neutral_faces(self) -> int:
        """Number of faces that the false alarms are a share of."""
        return len(self._calm)

    @property
    def negative_faces(self) -> int:
        """Number of negative faces that the recall is a share of."""
        return len(self._upset)

    def at(self, factor: float, weights: Floats | None = None) -> Reading:
        """The point at a factor of neutral.

        Args:
            factor: multiplies the probability of neutral, 0 or more.
            weights: (N,) of the faces; default: all alike.
        """
        alarm, right = self._weights(None if weights is None else weights[None])
        return Reading(
            float(_share(alarm[:, self._alarms > factor].sum(axis=1), alarm)[0]),
            float(_share(right[:, self._right > factor].sum(axis=1), right)[0]),
            factor,
        )

    def shipped(self) -> Reading:
        """The point of the probabilities as they are."""
        return self.at(1.0)

    def read(self, false_alarms: float) -> Reading:
        """The point with the most false alarms up to a share of the neutral faces.

        Args:
            false_alarms: the share, [0, 1].
        """
        return self.at(float(self._factors(false_alarms, None)[0]))

    def resampled(self, false_alarms: float, weights: Floats) -> Floats:
        """Shares of negative faces named rightly in resampled sets, each at its own factor of neutral.

        Args:
            false_alarms: the share, [0, 1].
            weights: (D, N), see `bootstrap.cluster_weights`.

        Returns:
            (D,) float64, NaN where a set has no negative or no neutral face.
        """
        _, right = self._weights(weights)
        factors = self._factors(false_alarms, weights)
        named = np.hstack([np.zeros((len(right), 1)), right.cumsum(axis=1)])
        # `_right` falls: so many of its entries lie above the factor.
        above = np.searchsorted(-self._right, -factors, side="left")
        shares = _share(named[np.arange(len(right)), above], right)
        return np.where(np.isnan(factors), np.nan, shares)

    def _factors(self, false_alarms: float, weights: Floats | None) -> Floats:
        alarm, _ = self._weights(weights)
        shares = alarm.cumsum(axis=1) / np.maximum(alarm.sum(axis=1, keepdims=True), _SMALLEST)
        allowed = (shares <= false_alarms + 1e-12).sum(axis=1)
        factors = np.append(self._alarms, 0.0)[allowed]
        return np.where(alarm.sum(axis=1) > 0, factors, np.nan)

    def _weights(self, weights: Floats | None) -> tuple[Floats, Floats]:
        if weights is None:
            return np.ones((1, len(self._calm))), np.ones((1, len(self._upset)))
        return weights[:, self._calm[self._alarm_order]], weights[:, self._upset[self._right_order]]


def _share(part: Floats, weights: Floats) -> Floats:
    total = weights.sum(axis=1)
    return np.where(total > 0, part / np.maximum(total, _SMALLEST), np.nan)
