"""Phase estimator: onset, apex and offset from the intensity 1 - p(neutral) and its slope."""

from __future__ import annotations

import math

from fer_perception.pipeline_types import STAMP_EPSILON, Phase

#: Time constant of the intensity, s.
SMOOTHING_TIME = 0.15
#: A face must be seen this long before a slope means anything, s.
MIN_HISTORY = 0.2
#: A rise or fall begins above and ends below these slopes, in intensity per s.
MOVING_SLOPE, RESTING_SLOPE = 0.8, 0.3
#: A resting face becomes expressive above and neutral below these intensities.
EXPRESSIVE, NEUTRAL = 0.6, 0.4


class PhaseEstimator:
    """Phase of one face.

    The intensity is an exponential mean; its slope is exact: (newest value - mean) / time constant, averaged over the
    step. While the slope is large the phase is onset or offset; while it is small it is apex or neutral by the
    intensity. All limits come in pairs, so that a value near one of them does not flicker.
    """

    def __init__(self) -> None:
        self._first: float | None = None
        self._stamp = 0.0
        self._intensity = 0.0
        self._slope = 0.0
        self._expressive = False
        self._direction = 0

    def update(self, intensity: float, stamp_s: float) -> Phase:
        """Take in the intensity at one time.

        Args:
            intensity: 1 - p(neutral), [0, 1].
            stamp_s: s, not falling.

        Returns:
            The phase; unknown until the face was seen for `MIN_HISTORY`.
        """
        if self._first is None:
            self._first = self._stamp = stamp_s
            self._intensity = intensity
            self._expressive = intensity > 0.5
            return Phase.UNKNOWN
        dt = stamp_s - self._stamp
        if dt > 0.0:
            gain = -math.expm1(-dt / SMOOTHING_TIME)
            step = gain * (intensity - self._intensity)
            self._intensity += step
            self._slope += gain * (step / dt - self._slope)
            self._stamp = stamp_s
        self._settle()
        if self._stamp - self._first < MIN_HISTORY - STAMP_EPSILON:
            return Phase.UNKNOWN
        if self._direction:
            return Phase.ONSET if self._direction > 0 else Phase.OFFSET
        return Phase.APEX if self._expressive else Phase.NEUTRAL

    def _settle(self) -> None:
        """Hysteresis of direction and of expressive or not; between neutral and apex there is always a movement."""
        was = self._expressive
        self._expressive = self._intensity >= NEUTRAL if was else self._intensity > EXPRESSIVE
        limit = RESTING_SLOPE if self._direction * self._slope > 0 else MOVING_SLOPE
        self._direction = 0 if abs(self._slope) < limit else (1 if self._slope > 0 else -1)
        if self._expressive is not was:
            self._direction = 1 if self._expressive else -1
