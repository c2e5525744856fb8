"""Reading fer_msgs/EmotionArray messages, whether from rclpy or from a bag: the same fields, no ROS import."""

from __future__ import annotations

from typing import Any

import numpy as np

from fer_perception.pipeline_types import FaceResult, FrameResult, Phase

#: Phases in the order of the PHASE_* constants of fer_msgs/Emotion.
PHASES: tuple[Phase, ...] = (Phase.UNKNOWN, Phase.NEUTRAL, Phase.ONSET, Phase.APEX, Phase.OFFSET)


def stamp_ns_of(stamp: Any) -> int:
    """A builtin_interfaces/Time or Duration in ns."""
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def result_from_message(message: Any) -> FrameResult:
    """What an EmotionArray says, in the pipeline's own types.

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
