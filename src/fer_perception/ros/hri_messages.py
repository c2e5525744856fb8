"""ROS4HRI messages (REP-155) of our results; hri_msgs is imported only on demand."""

from __future__ import annotations

import importlib
import math
from types import ModuleType
from typing import Any

from fer_perception.errors import ConfigError
from fer_perception.labels import LABELS
from fer_perception.pipeline_types import FaceResult, FrameResult


def load_hri_msgs() -> ModuleType:
    """The module hri_msgs.msg.

    Raises:
        ConfigError: hri_msgs is not installed.
    """
    try:
        return importlib.import_module("hri_msgs.msg")
    except ImportError:
        msg = (
            "ros4hri needs the package hri_msgs, which is not installed; install it (sudo apt install "
            "ros-$ROS_DISTRO-hri-msgs) or set ros4hri to disabled"
        )
        raise ConfigError(msg) from None


def require_expressions(labels: tuple[str, ...]) -> None:
    """Refuse a model that has nothing to say in the vocabulary of hri_msgs/Expression.

    Args:
        labels: the model's.

    Raises:
        ConfigError: none of them is in `LABELS`.
    """
    if not set(labels) & set(LABELS):
        msg = (
            f"ros4hri needs a model with at least one of the labels {', '.join(LABELS)}; this one has "
            f"{', '.join(labels)}: set another model, or ros4hri to disabled"
        )
        raise ConfigError(msg)


def expression_message(hri: ModuleType, face: FaceResult, labels: tuple[str, ...], header: Any) -> Any:
    """A face's expression as hri_msgs/Expression.

    The vocabulary there is that of `LABELS`: an undecided face carries its most probable expression (an empty one is
    invalid), and contempt, which it does not know, gives way to the next. Valence and arousal are 0 where they are not
    estimated.

    Args:
        hri: the module hri_msgs.msg.
        face: one face.
        labels: the order of its scores; see `require_expressions`.
        header: of the image.
    """
    scores = {label: float(score) for label, score in zip(labels, face.scores, strict=True) if label in LABELS}
    expression = face.emotion if face.emotion in scores else max(scores, key=lambda label: scores[label])
    return hri.Expression(
        header=header,
        expression=expression,
        valence=_estimated(face.valence),
        arousal=_estimated(face.arousal),
        confidence=min(max(scores[expression], 0.0), 1.0),
    )


def roi_message(hri: ModuleType, face: FaceResult, result: FrameResult, header: Any) -> Any:
    """A face's box as hri_msgs/NormalizedRegionOfInterest2D: corners in [0, 1] of the image."""
    x, y, width, height = face.roi
    return hri.NormalizedRegionOfInterest2D(
        header=header,
        xmin=x / result.width,
        ymin=y / result.height,
        xmax=(x + width) / result.width,
        ymax=(y + height) / result.height,
        c=min(max(float(face.detection_confidence), 0.0), 1.0),
    )


def _estimated(value: float) -> float:
    return 0.0 if math.isnan(value) else min(max(float(value), -1.0), 1.0)
