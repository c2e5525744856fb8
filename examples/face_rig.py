"""Conversion of class scores to a virtual face: FACS action units, ARKit blendshapes and easing, free of ROS.

The action units of each expression follow the prototypes of Ekman and Friesen's EMFACS; the blendshape names are those
of Apple's ARFaceAnchor.BlendShapeLocation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

#: Expression -> action unit -> intensity in [0, 1] of the full expression.
ACTION_UNITS: dict[str, dict[str, float]] = {
    "happy": {"AU06": 0.8, "AU12": 1.0},
    "sad": {"AU01": 0.9, "AU04": 0.5, "AU15": 0.9},
    "surprised": {"AU01": 0.9, "AU02": 0.9, "AU05": 0.8, "AU26": 0.7},
    "scared": {"AU01": 0.8, "AU02": 0.5, "AU04": 0.5, "AU05": 0.9, "AU07": 0.3, "AU20": 0.7, "AU26": 0.4},
    "angry": {"AU04": 1.0, "AU05": 0.4, "AU07": 0.7, "AU23": 0.8},
    "disgusted": {"AU09": 1.0, "AU15": 0.5, "AU16": 0.5},
    "contempt": {"AU12R": 0.4, "AU14R": 0.9},
    "neutral": {},
}

#: Action unit -> the blendshapes that show it.
BLENDSHAPES: dict[str, tuple[str, ...]] = {
    "AU01": ("browInnerUp",),
    "AU02": ("browOuterUpLeft", "browOuterUpRight"),
    "AU04": ("browDownLeft", "browDownRight"),
    "AU05": ("eyeWideLeft", "eyeWideRight"),
    "AU06": ("cheekSquintLeft", "cheekSquintRight"),
    "AU07": ("eyeSquintLeft", "eyeSquintRight"),
    "AU09": ("noseSneerLeft", "noseSneerRight"),
    "AU12": ("mouthSmileLeft", "mouthSmileRight"),
    "AU12R": ("mouthSmileRight",),
    "AU14R": ("mouthDimpleRight",),
    "AU15": ("mouthFrownLeft", "mouthFrownRight"),
    "AU16": ("mouthLowerDownLeft", "mouthLowerDownRight"),
    "AU20": ("mouthStretchLeft", "mouthStretchRight"),
    "AU23": ("mouthPressLeft", "mouthPressRight"),
    "AU26": ("jawOpen",),
}

RIGS = ("arkit", "facs")


def names_of(rig: str) -> list[str]:
    """Every weight of a rig ("arkit" or "facs"), in a fixed order."""
    if rig == "facs":
        return sorted(BLENDSHAPES)
    return sorted({name for names in BLENDSHAPES.values() for name in names})


def action_units(scores: Mapping[str, float]) -> dict[str, float]:
    """Intensities of all action units for a mixture of expressions.

    Args:
        scores: probability of each class; classes without a face of their own are ignored.

    Returns:
        Action unit -> [0, 1].
    """
    units = dict.fromkeys(BLENDSHAPES, 0.0)
    for label, score in scores.items():
        for unit, intensity in ACTION_UNITS.get(label, {}).items():
            units[unit] += score * intensity if math.isfinite(score) else 0.0
    return {unit: min(max(value, 0.0), 1.0) for unit, value in units.items()}


def blendshapes(units: Mapping[str, float]) -> dict[str, float]:
    """Weights in [0, 1] of all blendshapes for action unit intensities; the larger where units share one."""
    weights = dict.fromkeys(names_of("arkit"), 0.0)
    for unit, intensity in units.items():
        for name in BLENDSHAPES[unit]:
            weights[name] = max(weights[name], intensity)
    return weights


def target_weights(scores: Mapping[str, float], rig: str) -> dict[str, float]:
    """Target weights of a rig for class scores."""
    units = action_units(scores)
    return units if rig == "facs" else blendshapes(units)


class Easing:
    """Moves weights towards their targets without jerks: a critically damped spring each, whatever the step.

    Args:
        names: of the weights; all start at 0.
        time_constant: s; after five of them a step is all but complete.
    """

    def __init__(self, names: list[str], time_constant: float) -> None:
        self.weights = dict.fromkeys(names, 0.0)
        self._speeds = dict.fromkeys(names, 0.0)
        self._time_constant = time_constant

    def step(self, targets: Mapping[str, float], dt: float) -> dict[str, float]:
        """Advance by `dt` seconds; names without a target return to 0.

        Returns:
            Name -> weight in [0, 1].
        """
        rate = 1.0 / max(self._time_constant, 1e-3)
        decay = math.exp(-rate * dt)
        for name, weight in self.weights.items():
            offset = weight - targets.get(name, 0.0)
            # Exact solution of x'' = -2 r x' - r^2 x over dt.
            impulse = self._speeds[name] + rate * offset
            self.weights[name] = min(max(targets.get(name, 0.0) + (offset + impulse * dt) * decay, 0.0), 1.0)
            self._speeds[name] = (self._speeds[name] - rate * impulse * dt) * decay
        return dict(self.weights)
