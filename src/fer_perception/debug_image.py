"""The debug image: the very frame with its faces drawn on it, made only while somebody looks."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.publisher import Publisher
from sensor_msgs.msg import CompressedImage, Image

from fer_perception.drawing import draw_faces
from fer_perception.image import encode_jpeg
from fer_perception.pipeline_types import FrameResult


class DebugImagePublisher:
    """Publishes annotated frames.

    Args:
        raw: publisher of sensor_msgs/Image.
        compressed: publisher of sensor_msgs/CompressedImage.
    """

    def __init__(self, raw: Publisher, compressed: Publisher) -> None:
        self._raw = raw
        self._compressed = compressed

    def publish(self, image: NDArray[np.uint8], result: FrameResult, header: Any) -> None:
        """Draw and publish what is subscribed to; nothing is computed otherwise.

        Args:
            image: (H, W, 3) BGR or (H, W) gray: the frame that `result` is of; not changed.
            result: its faces.
            header: of the frame's message.
        """
        raw, compressed = (self._raw.get_subscription_count() > 0, self._compressed.get_subscription_count() > 0)
        if not raw and not compressed:
            return
        drawn = draw_faces(image, result)
        if raw:
            self._raw.publish(image_message(drawn, header))
        if compressed:
            self._compressed.publish(CompressedImage(header=header, format="jpeg", data=array("B", encode_jpeg(drawn))))


def image_message(image: NDArray[np.uint8], header: Any) -> Image:
    """A picture as sensor_msgs/Image.

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
