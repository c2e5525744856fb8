"""Label decision from filtered probabilities: hysteresis, minimum dwell and "undecided"."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fer_perception.pipeline_types import STAMP_EPSILON


class LabelDecision:
    """Holds the label of one face.

    The label changes to the most probable class once that is more probable by `hysteresis` than the present one and the
    present one stood for `min_dwell`. A label whose own probability falls below `undecided_threshold` has no such
    protection: it gives way to the most probable class at once, and where even that is below the threshold there is no
    label. So a label always has at least that probability.

    Args:
        undecided_threshold: [0, 1].
        hysteresis: [0, 1].
        min_dwell: s, >= 0.
    """

    def __init__(self, *, undecided_threshold: float, hysteresis: float, min_dwell: float) -> None:
        self._threshold = undecided_threshold
        self._hysteresis = hysteresis
        self._min_dwell = min_dwell
        self._label: int | None = None
        self._since = 0.0

    def update(self, scores: NDArray[np.float64], stamp_s: float) -> int | None:
        """Decide.

        Args:
            scores: (K,) probabilities.
            stamp_s: time, s, not falling.

        Returns:
            Index of the class; None = undecided.
        """
        best = int(scores.argmax())
        current = self._label
        if scores[best] < self._threshold:
            self._label = None
        elif best != current and (current is None or self._gives_way(scores[current], scores[best], stamp_s)):
            self._label, self._since = best, stamp_s
        return self._label

    def _gives_way(self, current: float, best: float, stamp_s: float) -> bool:
        if current < self._threshold:
            return True
        return best >= current + self._hysteresis and stamp_s - self._since >= self._min_dwell - STAMP_EPSILON
