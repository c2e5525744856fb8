"""Consumer of ROS4HRI faces (REP-155): crops of another detector in, expressions out."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.subscription import Subscription
from sensor_msgs.msg import Image

from fer_perception.live.camera_slots import Received
from fer_perception.pipeline_types import FrameResult
from fer_perception.ros.hri_messages import expression_message
from fer_perception.ros.outputs import send
from fer_perception.ros.qos import NO_EVENTS, NO_OPTIONS, TopicQos
from fer_perception.ros.topics import FACE_CROPPED, FACE_EXPRESSION, TRACKED_FACES
from fer_perception.system.text import quoted

#: An id becomes a part of topic names, which may have 247 characters.
_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
#: Each face costs a subscription and a publisher.
_MOST_FACES = 64
#: Names of bad ids in one warning.
_MOST_NAMED = 5
#: Crops are camera images too: sensor data, the newest counts.
_CROPS = replace(FACE_CROPPED, direction="in", reliable=False)


@dataclass(frozen=True)
class FaceCallbacks:
    """Callbacks for the faces of the other node, by the topic of their crops.

    Attributes:
        appeared: a face is tracked from now on.
        received: a crop arrived.
        vanished: a face is gone.
    """

    appeared: Callable[[str], None]
    received: Callable[[str, Any], None]
    vanished: Callable[[str], None]


@dataclass(frozen=True)
class _Face:
    crops: Subscription
    expression: Publisher


class FacesConsumer:
    """Follows `/humans/faces/tracked`, subscribes to each face's crops and publishes its expression.

    An `Output`: all but its three methods that take results belongs to the executor's thread.

    Args:
        node: that subscribes.
        hri: the module hri_msgs.msg.
        qos: of the topics, asked for here.
        callbacks: told of faces and crops.
    """

    def __init__(self, node: Node, hri: ModuleType, qos: TopicQos, callbacks: FaceCallbacks) -> None:
        self._node = node
        self._hri = hri
        self._tracked_qos = qos(TRACKED_FACES, "subscription")
        self._crops_qos = qos(_CROPS, "subscription")
        self._expression_qos = qos(FACE_EXPRESSION, "publisher")
        self._callbacks = callbacks
        self._faces: dict[str, _Face] = {}
        self._tracked: Subscription | None = None

    def start(self) -> None:
        """Follow the faces from now on."""
        self._tracked = self._node.create_subscription(
            self._hri.IdsList,
            TRACKED_FACES.name,
            self._follow,
            self._tracked_qos,
            qos_overriding_options=NO_OPTIONS,
        )

    def publish(self, result: FrameResult, received: Received, image: NDArray[np.uint8]) -> None:  # noqa: ARG002
        """Publish the expression of the face whose crop `result` is of."""
        face = self._faces.get(result.camera)
        if face is not None:
            header = received.message.header
            send(self._node, face.expression, expression_message(self._hri, result.faces[0], result.labels, header))

    def published(self, result: FrameResult, received: Received, image: NDArray[np.uint8]) -> None:
        """Nothing else is sent."""

    def camera_ended(self, camera: str) -> None:
        """The other node says when a face is gone."""

    def close(self) -> None:
        """The same as `stop`."""
        self.stop()

    def stop(self) -> None:
        """Forget all faces and unsubscribe; idempotent."""
        for topic in list(self._faces):
            self._forget(topic)
        if self._tracked is not None:
            self._node.destroy_subscription(self._tracked)
            self._tracked = None

    def _follow(self, message: Any) -> None:
        usable = [face_id for face_id in message.ids if _ID.fullmatch(face_id)]
        if len(usable) < len(message.ids):
            refused = [face_id for face_id in message.ids if not _ID.fullmatch(face_id)]
            bad = ", ".join(quoted(face_id, 40) for face_id in refused[:_MOST_NAMED])
            bad += f" and {len(refused) - _MOST_NAMED} more" if len(refused) > _MOST_NAMED else ""
            self._node.get_logger().warning(
                f"{TRACKED_FACES.name} names {bad}, no part of a topic name: ignored; expected letters, digits and _, "
                "100 at most",
                throttle_duration_sec=30.0,
            )
        if len(usable) > _MOST_FACES:
            self._node.get_logger().warning(
                f"{TRACKED_FACES.name} names {len(usable)} faces; the first {_MOST_FACES} are followed",
                throttle_duration_sec=30.0,
            )
            usable = usable[:_MOST_FACES]
        wanted = {FACE_CROPPED.name.format(id=face_id): face_id for face_id in usable}
        for topic in self._faces.keys() - wanted.keys():
            self._forget(topic)
        for topic, face_id in wanted.items():
            if topic not in self._faces:
                self._remember(topic, face_id)

    def _remember(self, topic: str, face_id: str) -> None:
        def receive(message: Any) -> None:
            self._callbacks.received(topic, message)

        expression = self._node.create_publisher(
            self._hri.Expression,
            FACE_EXPRESSION.name.format(id=face_id),
            self._expression_qos,
            qos_overriding_options=NO_OPTIONS,
            event_callbacks=NO_EVENTS,
        )
        self._callbacks.appeared(topic)
        crops = self._node.create_subscription(
            Image, topic, receive, self._crops_qos, qos_overriding_options=NO_OPTIONS
        )
        self._faces[topic] = _Face(crops, expression)

    def _forget(self, topic: str) -> None:
        face = self._faces.pop(topic)
        self._node.destroy_subscription(face.crops)
        self._node.destroy_publisher(face.expression)
        self._callbacks.vanished(topic)
