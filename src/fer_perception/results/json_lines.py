"""Pipeline results as JSON, one object a frame, for `fer run --json` and `fer replay --jsonl`."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_perception.pipeline_types import FaceResult, FrameResult

#: Digits after the point: far finer than the network's precision, and equal numbers stay equal.
DIGITS = 9


def number(value: float) -> float | None:
    """`value` as JSON can carry it: rounded to `DIGITS`, None (null) for NaN and infinities."""
    return round(float(value), DIGITS) if math.isfinite(value) else None


def _by_label(labels: tuple[str, ...], scores: NDArray[np.float64] | None) -> dict[str, float | None]:
    if scores is None:
        return {}
    return {label: number(float(score)) for label, score in zip(labels, scores, strict=True)}


def face_to_json(face: FaceResult, labels: tuple[str, ...]) -> dict[str, Any]:
    """One face.

    Returns:
        face_id, emotion ("" = undecided), confidence, roi [x, y, width, height] in pixels, scores {label: probability},
        raw_scores likewise ({} where the face was not observed in this frame), phase, valence and arousal (None = not
        estimated), observed, quality and detection_confidence (0 to 1, None = not estimated), tracked_for (s) and
        landmarks ([x, y] in pixels of right eye, left eye, nose, right and left corner of the mouth; None = not
        located).
    """
    return {
        "face_id": face.face_id,
        "emotion": face.emotion,
        "confidence": number(face.confidence),
        "roi": [int(v) for v in face.roi],
        "scores": _by_label(labels, face.scores),
        "raw_scores": _by_label(labels, face.raw_scores),
        "phase": face.phase.value,
        "valence": number(face.valence),
        "arousal": number(face.arousal),
        "observed": bool(face.observed),
        "quality": number(face.quality),
        "detection_confidence": number(face.detection_confidence),
        "tracked_for": number(face.tracked_for),
        "landmarks": None if face.landmarks is None else [[number(x), number(y)] for x, y in face.landmarks],
    }


def frame_to_json(index: int, result: FrameResult) -> dict[str, Any]:
    """One frame.

    Args:
        index: number of the frame in its source, from 0.
        result: what the pipeline said of it.

    Returns:
        source (the file, address, webcam or topic it is from), frame, stamp (s), width, height (pixels) and faces (see
        `face_to_json`).
    """
    return {
        "source": result.camera,
        "frame": index,
        "stamp": seconds(result.stamp_ns),
        "width": result.width,
        "height": result.height,
        "faces": [face_to_json(face, result.labels) for face in result.faces],
    }


def seconds(stamp_ns: int) -> float:
    """Nanoseconds as s, the float nearest to them: `/ 1e9` would round twice."""
    return stamp_ns / 1_000_000_000


def json_line(value: dict[str, Any]) -> str:
    """`value` on one line, without the line end; never NaN, which is not JSON."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
