"""Where the results of cameras go: /emotions, the debug image, the topics of ROS4HRI."""

from __future__ import annotations

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
from fer_perception.camera_slots import Received
from fer_perception.debug_image import DebugImagePublisher
from fer_perception.messages import emotion_array
from fer_perception.pipeline_types import FrameResult
from fer_perception.ros4hri_publish import FacesPublisher
from fer_perception.topic_qos import TopicQos
from fer_perception.topics import DEBUG_IMAGE, DEBUG_IMAGE_COMPRESSED, EMOTIONS, Topic

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
        """Send pictures and the topics of ROS4HRI."""
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
