"""Example: tell a dialogue manager when somebody's expression changes.

Subscribes to `emotions` (fer_msgs/EmotionArray), publishes `emotion_events` (fer_msgs/EmotionEvent), and says in the
log what a dialogue would react to: "face f00003 became angry".

    python examples/dialogue_manager.py --ros-args -p dwell:=0.5 -p refractory:=2.0
"""

from __future__ import annotations

import time

import rclpy
from expression_changes import Change, ExpressionChanges, Seen
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from std_msgs.msg import Header

from fer_msgs.msg import EmotionArray, EmotionEvent


def sentence(change: Change) -> str:
    """What happened, as one would tell it."""
    if not change.current:
        return f"face {change.face_id} has gone (it was {change.previous})"
    if not change.previous:
        return f"face {change.face_id} is {change.current}"
    return f"face {change.face_id} became {change.current} (it was {change.previous})"


class DialogueManager(Node):
    """Publishes an event whenever an expression has changed for good."""

    def __init__(self) -> None:
        super().__init__("dialogue_manager")
        self._changes = ExpressionChanges(
            dwell=self.declare_parameter("dwell", 0.5).value,
            refractory=self.declare_parameter("refractory", 2.0).value,
            min_confidence=self.declare_parameter("min_confidence", 0.5).value,
        )
        self._silence = float(self.declare_parameter("silence", 1.0).value)
        self._heard: dict[str, tuple[float, Header]] = {}
        self._publisher = self.create_publisher(EmotionEvent, "emotion_events", 10)
        self.create_subscription(EmotionArray, "emotions", self._on_emotions, 5)
        # /emotions falls silent with the camera; then nobody tells that the faces have gone.
        self.create_timer(0.25, self._on_timer)

    def _on_emotions(self, message: EmotionArray) -> None:
        self._heard[message.camera] = (time.monotonic(), message.header)
        stamp = message.header.stamp.sec + message.header.stamp.nanosec * 1e-9
        faces = [Seen(face.face_id, face.emotion, face.confidence, face.observed) for face in message.emotions]
        self._tell(message.camera, message.header, self._changes.update(message.camera, stamp, faces))

    def _on_timer(self) -> None:
        now = time.monotonic()
        for camera in [name for name, (heard, _) in self._heard.items() if now - heard > self._silence]:
            _, header = self._heard.pop(camera)
            self._tell(camera, header, self._changes.end(camera))

    def _tell(self, camera: str, header: Header, changes: list[Change]) -> None:
        for change in changes:
            self.get_logger().info(sentence(change))
            self._publisher.publish(
                EmotionEvent(
                    header=header,
                    camera=camera,
                    face_id=change.face_id,
                    previous=change.previous,
                    current=change.current,
                    confidence=change.confidence,
                )
            )


def main(args: list[str] | None = None) -> None:
    """Run the node until Ctrl-C."""
    rclpy.init(args=args)
    try:
        rclpy.spin(DialogueManager())
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
