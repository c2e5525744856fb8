"""Publishers of results: /emotions, the debug image, the topics of ROS4HRI."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from types import ModuleType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from rclpy.exceptions import InvalidHandle
from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import CompressedImage, Image

from fer_msgs.msg import EmotionArray
from fer_perception.imaging.encodings import encode_jpeg
from fer_perception.live.camera_slots import Received
from fer_perception.pipeline_types import FrameResult
from fer_perception.results.drawing import draw_faces
from fer_perception.ros.conversions import emotion_array, image_message
from fer_perception.ros.hri_publisher import FacesPublisher
from fer_perception.ros.qos import TopicQos
from fer_perception.ros.topics import DEBUG_IMAGE, DEBUG_IMAGE_COMPRESSED, EMOTIONS, Topic

#: Makes a publisher of a message type on a topic.
CreatePublisher = Callable[[type, Topic], Publisher]


class Output(Protocol):
    """Takes results; all but `close` is called in the worker's thread."""

    def publish(self, result: FrameResult, received: Received, image: NDArray[np.uint8]) -> None:
        """Send what people wait for; must be quick."""

    def published(self, result: FrameResult, received: Received, image: NDArray[np.uint8]) -> None:
        """Send the rest."""

    def camera_ended(self, camera: str) -> None:
        """The camera fell silent."""

    def close(self) -> None:
        """Destroy what was made, after the worker has ended; idempotent."""


class CameraOutput:
    """Publishes what was seen in camera images.

    Args:
        node: that publishes.
        create: makes publishers.
        qos: of the topics of ROS4HRI.
        hri: the module hri_msgs.msg where faces are announced to ROS4HRI as well.
    """

    def __init__(self, node: Node, create: CreatePublisher, qos: TopicQos, hri: ModuleType | None) -> None:
        self._node = node
        self._made: list[Publisher] = []
        self._faces: FacesPublisher | None = None
        try:
            self._emotions = self._make(create, EmotionArray, EMOTIONS)
            self._debug = DebugImagePublisher(
                self._make(create, Image, DEBUG_IMAGE),
                self._make(create, CompressedImage, DEBUG_IMAGE_COMPRESSED),
            )
            if hri is not None:
                self._faces = FacesPublisher(node, hri, qos)
        except Exception:
            self.close()
            raise

    def publish(self, result: FrameResult, received: Received, image: NDArray[np.uint8]) -> None:  # noqa: ARG002
        """Send the EmotionArray."""
        send(self._node, self._emotions, emotion_array(result, received.message.header))

    def published(self, result: FrameResult, received: Received, image: NDArray[np.uint8]) -> None:
        """Send images and the topics of ROS4HRI."""
        if not self._node.context.ok():
            return
        self._debug.publish(image, result, received.message.header)
        if self._faces is not None:
            self._faces.publish(result, received.message.header, image)

    def camera_ended(self, camera: str) -> None:
        """Its faces' topics vanish."""
        if self._faces is not None and self._node.context.ok():
            self._faces.end_camera(camera)

    def close(self) -> None:
        """Destroy all publishers; idempotent."""
        if self._faces is not None:
            self._faces.close()
        for publisher in self._made:
            self._node.destroy_publisher(publisher)
        self._made.clear()

    def _make(self, create: CreatePublisher, message_type: type, topic: Topic) -> Publisher:
        self._made.append(create(message_type, topic))
        return self._made[-1]


def send(node: Node, publisher: Publisher, message: Any) -> None:
    """Publish from whichever thread; nothing happens where the publisher or the context has just been destroyed."""
    try:
        publisher.publish(message)
    except InvalidHandle:
        return
    except RuntimeError:
        # Between a signal and the end of the worker the context is gone already.
        if node.context.ok():
            raise


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
