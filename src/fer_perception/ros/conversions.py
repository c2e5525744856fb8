"""Conversions between the pipeline's types and ROS messages."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point32
from numpy.typing import NDArray
from sensor_msgs.msg import Image, RegionOfInterest

from fer_msgs.msg import Emotion, EmotionArray
from fer_perception.pipeline_types import FrameResult
from fer_perception.results.messages import message_from_result

_TYPES = {
    "fer_msgs/msg/EmotionArray": EmotionArray,
    "fer_msgs/msg/Emotion": Emotion,
    "geometry_msgs/msg/Point32": Point32,
    "sensor_msgs/msg/RegionOfInterest": RegionOfInterest,
    "builtin_interfaces/msg/Duration": Duration,
}


def emotion_array(result: FrameResult, header: Any) -> EmotionArray:
    """The message of one frame.

    Args:
        result: of the pipeline; `camera` is the resolved topic.
        header: std_msgs/Header of the image, used as it is.
    """
    # The generated setters take an array of this type as it is; a list is checked value by value.
    return message_from_result(result, header, _TYPES, floats=lambda values: array("f", values.tobytes()))


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
