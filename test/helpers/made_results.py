"""Results made by hand, for tests of what draws, writes and reports them."""

from __future__ import annotations

import math

import numpy as np

from fer_perception.labels import LABELS
from fer_perception.pipeline_types import FaceResult, FrameResult, Phase


def make_face(
    face_id: str,
    emotion: str,
    roi: tuple[int, int, int, int],
    *,
    confidence: float = 0.9,
    phase: Phase = Phase.APEX,
    observed: bool = True,
    valence: float = 0.5,
) -> FaceResult:
    scores = np.full(len(LABELS), (1 - confidence) / (len(LABELS) - 1))
    scores[LABELS.index(emotion) if emotion else 0] = confidence
    x, y, w, h = roi
    landmarks = np.array(
        [[x + fx * w, y + fy * h] for fx, fy in ((0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8))],
        dtype=np.float32,
    )
    return FaceResult(
        face_id=face_id,
        emotion=emotion,
        confidence=confidence,
        scores=scores,
        raw_scores=scores if observed else None,
        valence=valence,
        arousal=math.nan,
        phase=phase,
        roi=roi,
        landmarks=landmarks,
        detection_confidence=0.95,
        quality=0.8,
        tracked_for=1.25,
        observed=observed,
    )


def make_result(
    *faces: FaceResult, width: int = 640, height: int = 480, stamp_ns: int = 0, camera: str = "/camera"
) -> FrameResult:
    return FrameResult(
        camera=camera,
        stamp_ns=stamp_ns,
        width=width,
        height=height,
        labels=LABELS,
        model_id="made@00000000",
        faces=tuple(faces),
        timings={"detect": 0.004, "classify": 0.001},
    )
