"""Motion model of one face box: a Kalman filter whose velocity decays.

All noise is measured in face sizes, so a near and a far face are alike. The three state covariances are scalars shared
by x and y, because both axes have the same noise; that keeps a step at a few microseconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fer_perception.pipeline_types import Detection

#: Heads move with about this speed, face sizes per s (standard deviation of each component) ...
USUAL_SPEED = 1.2
#: ... and keep a velocity for about this long, s: over a few frames it is constant, after a long loss it has died away.
VELOCITY_TIME = 1.0
#: Standard deviation of a detector's box center, in face sizes.
POSITION_NOISE = 0.05
#: Standard deviation of a detector's log width and log height.
SIZE_NOISE = 0.07
#: Random walk of the log size, per square root of a second.
SIZE_DRIFT = 0.4


@dataclass(frozen=True)
class FaceMotion:
    """State of one face box at one time.

    Attributes:
        center: x, y in pixels.
        velocity: pixels per s.
        log_size: natural logarithms of width and height in pixels.
        position_variance: squared face sizes.
        covariance: of position and velocity, squared face sizes per s.
        velocity_variance: squared face sizes per s^2.
        size_variance: of each log size.
        shape: (5, 2) float64 landmarks relative to the box (0 to 1 inside); None where never given.
    """

    center: tuple[float, float]
    velocity: tuple[float, float]
    log_size: tuple[float, float]
    position_variance: float
    covariance: float
    velocity_variance: float
    size_variance: float
    shape: NDArray[np.float64] | None

    @classmethod
    def begin(cls, detection: Detection) -> FaceMotion:
        """The state after the first detection of a face."""
        center, log_size = _measure(detection)
        return cls(
            center=center,
            velocity=(0.0, 0.0),
            log_size=log_size,
            position_variance=POSITION_NOISE**2,
            covariance=0.0,
            velocity_variance=USUAL_SPEED**2,
            size_variance=SIZE_NOISE**2,
            shape=_relative_landmarks(detection),
        )

    @property
    def size(self) -> float:
        """Geometric mean of width and height, in pixels."""
        return math.exp(0.5 * (self.log_size[0] + self.log_size[1]))

    @property
    def box(self) -> NDArray[np.float32]:
        """(4,) float32 x, y, width, height in pixels."""
        width, height = math.exp(self.log_size[0]), math.exp(self.log_size[1])
        x, y = self.center
        return np.array([x - 0.5 * width, y - 0.5 * height, width, height], dtype=np.float32)

    @property
    def landmarks(self) -> NDArray[np.float32] | None:
        """(5, 2) float32 pixels: the last landmarks moved and scaled with the box; None where never given."""
        if self.shape is None:
            return None
        box = self.box
        return (box[:2] + self.shape * box[2:]).astype(np.float32)

    def predict(self, dt: float) -> FaceMotion:
        """The state `dt` seconds (>= 0) later, with nothing seen in between."""
        if dt <= 0.0:
            return self
        (x, y), (vx, vy) = self.center, self.velocity
        # The velocity is an Ornstein-Uhlenbeck process; these are its exact moments and those of its integral.
        left = math.exp(-dt / VELOCITY_TIME)
        way = VELOCITY_TIME * (1.0 - left)
        usual = USUAL_SPEED**2
        wandered = usual * VELOCITY_TIME**2 * (2.0 * dt / VELOCITY_TIME - 3.0 + 4.0 * left - left**2)
        return replace(
            self,
            center=(x + vx * way, y + vy * way),
            velocity=(vx * left, vy * left),
            position_variance=self.position_variance
            + 2.0 * way * self.covariance
            + way**2 * self.velocity_variance
            + max(wandered, 0.0),
            covariance=left * (self.covariance + way * self.velocity_variance) + usual * way**2 / VELOCITY_TIME,
            velocity_variance=left**2 * self.velocity_variance + usual * (1.0 - left**2),
            size_variance=self.size_variance + SIZE_DRIFT**2 * dt,
        )

    def correct(self, detection: Detection) -> FaceMotion:
        """The state after a detection at the same time."""
        (mx, my), (log_w, log_h) = _measure(detection)
        (x, y), (vx, vy) = self.center, self.velocity
        innovation = self.position_variance + POSITION_NOISE**2
        gain, velocity_gain = self.position_variance / innovation, self.covariance / innovation
        size_gain = self.size_variance / (self.size_variance + SIZE_NOISE**2)
        shape = _relative_landmarks(detection)
        return FaceMotion(
            center=(x + gain * (mx - x), y + gain * (my - y)),
            velocity=(vx + velocity_gain * (mx - x), vy + velocity_gain * (my - y)),
            log_size=(
                self.log_size[0] + size_gain * (log_w - self.log_size[0]),
                self.log_size[1] + size_gain * (log_h - self.log_size[1]),
            ),
            position_variance=(1.0 - gain) * self.position_variance,
            covariance=(1.0 - gain) * self.covariance,
            velocity_variance=self.velocity_variance - velocity_gain * self.covariance,
            size_variance=(1.0 - size_gain) * self.size_variance,
            shape=self.shape if shape is None else shape,
        )

    def scaled(self, x: float, y: float) -> FaceMotion:
        """The same face in an image `x` times as wide and `y` times as high."""
        return replace(
            self,
            center=(self.center[0] * x, self.center[1] * y),
            velocity=(self.velocity[0] * x, self.velocity[1] * y),
            log_size=(self.log_size[0] + math.log(x), self.log_size[1] + math.log(y)),
        )


def _measure(detection: Detection) -> tuple[tuple[float, float], tuple[float, float]]:
    x, y, width, height = (float(v) for v in detection.box)
    width, height = max(width, 1.0), max(height, 1.0)
    return (x + 0.5 * width, y + 0.5 * height), (math.log(width), math.log(height))


def _relative_landmarks(detection: Detection) -> NDArray[np.float64] | None:
    if detection.landmarks is None:
        return None
    box = detection.box.astype(np.float64)
    return (detection.landmarks.astype(np.float64) - box[:2]) / np.maximum(box[2:], 1.0)
