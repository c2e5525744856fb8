"""Publisher of our faces on the topics of ROS4HRI (REP-155)."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from fer_perception.imaging.crops import crop_transforms, warp_face
from fer_perception.pipeline_types import FaceResult, FrameResult
from fer_perception.ros.conversions import image_message
from fer_perception.ros.hri_messages import expression_message, roi_message
from fer_perception.ros.qos import NO_EVENTS, NO_OPTIONS, TopicQos
from fer_perception.ros.topics import (
    FACE_ALIGNED,
    FACE_CROPPED,
    FACE_EXPRESSION,
    FACE_ROI,
    ROS4HRI_TOPICS,
    TRACKED_FACES,
    Topic,
)

#: Sides of the published crops in pixels: the default of REP-155.
CROP_SIDE = 128


@dataclass(frozen=True)
class _FaceTopics:
    roi: Publisher
    cropped: Publisher
    aligned: Publisher
    expression: Publisher

    @property
    def all(self) -> tuple[Publisher, ...]:
        return (self.roi, self.cropped, self.aligned, self.expression)


class FacesPublisher:
    """Publishes `/humans/faces/tracked` and a set of topics for each face, which come and go with it.

    Used by one thread, until `close`.

    Args:
        node: that publishes.
        hri: the module hri_msgs.msg.
        qos: of the topics, asked for here.
    """

    def __init__(self, node: Node, hri: ModuleType, qos: TopicQos) -> None:
        self._node = node
        self._hri = hri
        self._qos = {topic.name: qos(topic, "publisher") for topic in ROS4HRI_TOPICS}
        self._tracked = self._publisher(hri.IdsList, TRACKED_FACES)
        self._topics: dict[str, _FaceTopics] = {}
        self._of_camera: dict[str, list[str]] = {}

    def publish(self, result: FrameResult, header: Any, image: NDArray[np.uint8]) -> None:
        """Publish the faces of one frame.

        Args:
            result: of the frame.
            header: of its message.
            image: (H, W, 3) BGR or (H, W) gray.
        """
        self._set_faces(result.camera, [face.face_id for face in result.faces], header)
        for face in result.faces:
            topics = self._topics[face.face_id]
            topics.roi.publish(roi_message(self._hri, face, result, header))
            topics.expression.publish(expression_message(self._hri, face, result.labels, header))
            if topics.cropped.get_subscription_count() > 0:
                topics.cropped.publish(image_message(cropped(image, face), header))
            if topics.aligned.get_subscription_count() > 0:
                topics.aligned.publish(image_message(aligned(image, face), header))

    def end_camera(self, camera: str) -> None:
        """The camera fell silent: its faces' topics vanish."""
        if self._of_camera.get(camera):
            self._set_faces(camera, [], Header(stamp=self._node.get_clock().now().to_msg()))

    def close(self) -> None:
        """Destroy all publishers; idempotent."""
        for topics in self._topics.values():
            self._destroy(topics)
        self._topics.clear()
        self._of_camera.clear()
        if self._tracked is not None:
            self._node.destroy_publisher(self._tracked)
            self._tracked = None

    def _set_faces(self, camera: str, ids: list[str], header: Any) -> None:
        gone = [face_id for face_id in self._of_camera.get(camera, []) if face_id not in ids]
        self._of_camera[camera] = ids
        for face_id in ids:
            if face_id not in self._topics:
                self._topics[face_id] = self._open(face_id)
        # First said, then done: a reader of the list must not look for topics that are gone.
        everybody = sorted(face_id for faces in self._of_camera.values() for face_id in faces)
        self._tracked.publish(self._hri.IdsList(header=header, ids=everybody))
        for face_id in gone:
            self._destroy(self._topics.pop(face_id))

    def _open(self, face_id: str) -> _FaceTopics:
        return _FaceTopics(
            roi=self._publisher(self._hri.NormalizedRegionOfInterest2D, FACE_ROI, face_id),
            cropped=self._publisher(Image, FACE_CROPPED, face_id),
            aligned=self._publisher(Image, FACE_ALIGNED, face_id),
            expression=self._publisher(self._hri.Expression, FACE_EXPRESSION, face_id),
        )

    def _publisher(self, message_type: type, topic: Topic, face_id: str = "") -> Any:
        return self._node.create_publisher(
            message_type,
            topic.name.format(id=face_id),
            self._qos[topic.name],
            qos_overriding_options=NO_OPTIONS,
            event_callbacks=NO_EVENTS,
        )

    def _destroy(self, topics: _FaceTopics) -> None:
        for publisher in topics.all:
            self._node.destroy_publisher(publisher)


def cropped(image: NDArray[np.uint8], face: FaceResult) -> NDArray[np.uint8]:
    """The face's box as it is in the image, scaled to fit and centered on black.

    Returns:
        (128, 128, 3) or, for a gray image, (128, 128) uint8.
    """
    x, y, width, height = face.roi
    scale = CROP_SIDE / max(width, height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    scaled = cv2.resize(
        image[y : y + height, x : x + width], size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    )
    canvas = np.zeros((CROP_SIDE, CROP_SIDE, *image.shape[2:]), np.uint8)
    left, top = (CROP_SIDE - size[0]) // 2, (CROP_SIDE - size[1]) // 2
    canvas[top : top + size[1], left : left + size[0]] = scaled
    return canvas


def aligned(image: NDArray[np.uint8], face: FaceResult) -> NDArray[np.uint8]:
    """The face turned upright and scaled as the network sees it, in the image's colors; black outside the image.

    Returns:
        (128, 128, 3) or, for a gray image, (128, 128) uint8.
    """
    (transform,) = crop_transforms(np.array([face.roi], np.float32), [face.landmarks], size=CROP_SIDE)
    crop = np.empty((CROP_SIDE, CROP_SIDE, *image.shape[2:]), np.uint8)
    warp_face(image, transform, crop, border=cv2.BORDER_CONSTANT)
    return crop
