"""Conversions between the pipeline's types and ROS messages."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point32
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image, RegionOfInterest

from fer_msgs.msg import Emotion, EmotionArray
from fer_perception.imaging.encodings import decode_compressed, decode_raw
from fer_perception.pipeline_types import FaceResult, FrameResult, Phase

PHASES = {
    Phase.UNKNOWN: Emotion.PHASE_UNKNOWN,
    Phase.NEUTRAL: Emotion.PHASE_NEUTRAL,
    Phase.ONSET: Emotion.PHASE_ONSET,
    Phase.APEX: Emotion.PHASE_APEX,
    Phase.OFFSET: Emotion.PHASE_OFFSET,
}


def emotion_array(result: FrameResult, header: Any) -> EmotionArray:
    """The message of one frame.

    Args:
        result: of the pipeline; `camera` is the resolved topic.
        header: std_msgs/Header of the image, used as it is.
    """
    return EmotionArray(
        header=header,
        camera=result.camera,
        image_width=result.width,
        image_height=result.height,
        labels=list(result.labels),
        model_id=result.model_id,
        emotions=[emotion(face) for face in result.faces],
    )


def emotion(face: FaceResult) -> Emotion:
    """The message of one face; what was not estimated is NaN."""
    x, y, width, height = face.roi
    landmarks = [] if face.landmarks is None else [Point32(x=px, y=py) for px, py in face.landmarks.tolist()]
    return Emotion(
        face_id=face.face_id,
        emotion=face.emotion,
        confidence=float(face.confidence),
        scores=_floats(face.scores),
        raw_scores=_floats(() if face.raw_scores is None else face.raw_scores),
        valence=float(face.valence),
        arousal=float(face.arousal),
        phase=PHASES[face.phase],
        roi=RegionOfInterest(x_offset=x, y_offset=y, width=width, height=height),
        landmarks=landmarks,
        detection_confidence=float(face.detection_confidence),
        quality=float(face.quality),
        tracked_for=duration(face.tracked_for),
        observed=face.observed,
    )


def duration(seconds: float) -> Duration:
    """Seconds, >= 0, as a ROS duration."""
    whole, nanoseconds = divmod(round(seconds * 1e9), 1_000_000_000)
    return Duration(sec=whole, nanosec=nanoseconds)


def stamp_ns(header: Any) -> int:
    """The stamp of a std_msgs/Header in ns."""
    return int(header.stamp.sec) * 1_000_000_000 + int(header.stamp.nanosec)


def _floats(values: Sequence[float] | NDArray[np.float64]) -> array[float]:
    # The generated setters take an array of this type as it is; a list is checked value by value.
    return array("f", np.asarray(values, dtype=np.float32).tobytes())


def decode_message(message: Image | CompressedImage) -> NDArray[np.uint8]:
    """The image of a sensor_msgs/Image or CompressedImage.

    Raises:
        ImageError: it cannot be used.
    """
    if isinstance(message, CompressedImage):
        return decode_compressed(format=message.format, data=message.data)
    return decode_raw(
        encoding=message.encoding,
        width=message.width,
        height=message.height,
        step=message.step,
        data=message.data,
        is_bigendian=message.is_bigendian,
    )


def image_message(image: NDArray[np.uint8], header: Any) -> Image:
    """An image as sensor_msgs/Image.

    Args:
        image: (H, W, 3) uint8 BGR or (H, W) uint8 gray.
        header: std_msgs/Header.
    """
    height, width = image.shape[:2]
    channels = 1 if image.ndim == 2 else 3
    return Image(
        header=header,
        height=height,
        width=width,
        encoding="mono8" if channels == 1 else "bgr8",
        is_bigendian=0,
        step=width * channels,
        data=array("B", image.tobytes()),
    )
