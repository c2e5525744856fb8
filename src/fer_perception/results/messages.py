"""Conversion between fer_msgs/EmotionArray and the pipeline's results, with the message classes of ROS or of a bag."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_perception.pipeline_types import FaceResult, FrameResult, Phase

#: Makes of numbers what a message class takes.
Floats = Callable[[NDArray[np.float32]], Any]

#: Phases in the order of the PHASE_* constants of fer_msgs/Emotion.
PHASES: tuple[Phase, ...] = (Phase.UNKNOWN, Phase.NEUTRAL, Phase.ONSET, Phase.APEX, Phase.OFFSET)


def stamp_ns_of(stamp: Any) -> int:
    """A builtin_interfaces/Time or Duration in ns."""
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def result_from_message(message: Any) -> FrameResult:
    """Convert an EmotionArray to the pipeline's own types.

    Args:
        message: a fer_msgs/EmotionArray of rclpy or of rosbags.
    """
    return FrameResult(
        camera=message.camera,
        stamp_ns=stamp_ns_of(message.header.stamp),
        width=int(message.image_width),
        height=int(message.image_height),
        labels=tuple(message.labels),
        model_id=message.model_id,
        faces=tuple(_face(emotion) for emotion in message.emotions),
    )


def message_from_result(
    result: FrameResult, header: Any, types: Mapping[str, Any], *, floats: Floats | None = None
) -> Any:
    """An EmotionArray that says what `result` says; what was not estimated is NaN or empty.

    Args:
        result: of the pipeline; `camera` is the resolved topic.
        header: std_msgs/Header of the image, taken over as it is.
        types: message name -> class: of a rosbags typestore that knows fer_msgs, or of ROS.
        floats: (K,) float32 to what these classes take for float32[]; None = as it is, which is right for rosbags.
    """
    return types["fer_msgs/msg/EmotionArray"](
        header=header,
        camera=result.camera,
        image_width=result.width,
        image_height=result.height,
        labels=list(result.labels),
        model_id=result.model_id,
        emotions=[_emotion(face, types, floats or (lambda values: values)) for face in result.faces],
    )


def _emotion(face: FaceResult, types: Mapping[str, Any], floats: Floats) -> Any:
    kind = types["fer_msgs/msg/Emotion"]
    point = types["geometry_msgs/msg/Point32"]
    x, y, width, height = face.roi
    raw = np.empty(0) if face.raw_scores is None else face.raw_scores
    landmarks = [] if face.landmarks is None else face.landmarks.tolist()
    seconds, nanoseconds = divmod(round(face.tracked_for * 1e9), 1_000_000_000)
    return kind(
        face_id=face.face_id,
        emotion=face.emotion,
        confidence=float(face.confidence),
        scores=floats(np.asarray(face.scores, dtype=np.float32)),
        raw_scores=floats(np.asarray(raw, dtype=np.float32)),
        valence=float(face.valence),
        arousal=float(face.arousal),
        phase=PHASES.index(face.phase),
        roi=types["sensor_msgs/msg/RegionOfInterest"](
            x_offset=x, y_offset=y, height=height, width=width, do_rectify=False
        ),
        landmarks=[point(x=px, y=py, z=0.0) for px, py in landmarks],
        detection_confidence=float(face.detection_confidence),
        quality=float(face.quality),
        tracked_for=types["builtin_interfaces/msg/Duration"](sec=seconds, nanosec=nanoseconds),
        observed=face.observed,
    )


def _face(emotion: Any) -> FaceResult:
    raw = np.asarray(emotion.raw_scores, dtype=np.float64)
    points = np.array([[point.x, point.y] for point in emotion.landmarks], dtype=np.float32)
    roi = emotion.roi
    return FaceResult(
        face_id=emotion.face_id,
        emotion=emotion.emotion,
        confidence=float(emotion.confidence),
        scores=np.asarray(emotion.scores, dtype=np.float64),
        raw_scores=raw if raw.size else None,
        valence=float(emotion.valence),
        arousal=float(emotion.arousal),
        phase=PHASES[emotion.phase] if emotion.phase < len(PHASES) else Phase.UNKNOWN,
        roi=(int(roi.x_offset), int(roi.y_offset), int(roi.width), int(roi.height)),
        landmarks=points if points.size else None,
        detection_confidence=float(emotion.detection_confidence),
        quality=float(emotion.quality),
        tracked_for=stamp_ns_of(emotion.tracked_for) / 1e9,
        observed=bool(emotion.observed),
    )
