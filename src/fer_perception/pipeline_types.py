"""Inputs and results of the pipeline, free of ROS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray

#: Stamps in s are floats, in our days 2.4e-7 apart: a difference this small, in s, is none.
STAMP_EPSILON = 1e-6


class Phase(Enum):
    """Phase of an expression; the values are the JSON spelling."""

    UNKNOWN = "unknown"
    NEUTRAL = "neutral"
    ONSET = "onset"
    APEX = "apex"
    OFFSET = "offset"


@dataclass(frozen=True)
class Frame:
    """One decoded image on its way into the pipeline.

    Attributes:
        image: (H, W, 3) uint8 BGR or (H, W) uint8 gray; never written to.
        stamp_ns: time of exposure in ns (header time; any epoch, the same for all frames of a camera).
        camera: which camera it is from (the resolved topic, or a file name); tracks never cross cameras.
        still: an image on its own: faces are reported at once, nothing is smoothed or kept.
    """

    image: NDArray[np.uint8]
    stamp_ns: int
    camera: str = ""
    still: bool = False


@dataclass(frozen=True)
class FaceResult:
    """One face of one frame; the fields mean what fer_msgs/Emotion says of them.

    Attributes:
        face_id: stable over frames.
        emotion: class name, "" = undecided.
        confidence: [0, 1].
        scores: (K,) float64 smoothed probabilities, sum 1.
        raw_scores: (K,) float64 of this frame alone; None where not observed.
        valence: [-1, 1] or NaN.
        arousal: [-1, 1] or NaN.
        phase: onset, apex, offset, neutral or unknown.
        roi: x, y, w, h in whole pixels, clipped to the image.
        landmarks: (5, 2) float32 pixels or None.
        detection_confidence: [0, 1].
        quality: [0, 1] or NaN.
        tracked_for: s.
        observed: False where carried over from an earlier frame.
    """

    face_id: str
    emotion: str
    confidence: float
    scores: NDArray[np.float64]
    raw_scores: NDArray[np.float64] | None
    valence: float
    arousal: float
    phase: Phase
    roi: tuple[int, int, int, int]
    landmarks: NDArray[np.float32] | None
    detection_confidence: float
    quality: float
    tracked_for: float
    observed: bool


@dataclass(frozen=True)
class FrameResult:
    """Result of one frame.

    Attributes:
        camera: of the frame.
        stamp_ns: of the frame.
        width: pixels.
        height: pixels.
        labels: order of all scores.
        model_id: of the classifier.
        faces: sorted by face_id; empty = looked, nobody there.
        timings: seconds each stage took for this frame, by stage name (detect, track, crop, classify, smooth); stages
            run for several frames at once are shared out evenly.
    """

    camera: str
    stamp_ns: int
    width: int
    height: int
    labels: tuple[str, ...]
    model_id: str
    faces: tuple[FaceResult, ...]
    timings: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Detection:
    """One face in one image, in pixels of that image.

    Attributes:
        box: (4,) float32: x, y of the upper left corner, width, height; may reach over the border.
        landmarks: (5, 2) float32 x, y: right eye, left eye, nose tip, right and left mouth corner (the person's right,
            so the smaller x in a frontal image); None where the detector gives none.
        score: detector's confidence in [0, 1].
    """

    box: NDArray[np.float32]
    landmarks: NDArray[np.float32] | None
    score: float
