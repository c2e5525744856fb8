"""Example: events for a dialogue manager, one for each lasting change of a person's expression.

Subscribes to `emotions` (fer_msgs/EmotionArray), publishes `emotion_events` (fer_msgs/EmotionEvent), and says in the
log what a dialogue would react to: "face f00003 became angry".

    python examples/dialogue_manager.py --ros-args -p dwell:=0.5 -p refractory:=2.0
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from expression_changes import Change, ExpressionChanges, Seen
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from running import number, run
from std_msgs.msg import Header

from fer_msgs.msg import EmotionArray, EmotionEvent

#: A camera that has been silent for so long, in s, is not remembered; nor are more than so many cameras.
FORGOTTEN_AFTER, MOST_CAMERAS = 60.0, 100


def sentence(change: Change) -> str:
    """A change of expression as one sentence."""
    # Whoever publishes emotions chooses these texts: a line end among them would forge a line of the log.
    face, previous, current = (ascii(text[:80])[1:-1] for text in (change.face_id, change.previous, change.current))
    if not current:
        return f"face {face} has gone (it was {previous})"
    if not previous:
        return f"face {face} is {current}"
    return f"face {face} became {current} (it was {previous})"


@dataclass
class Heard:
    """The latest EmotionArray of a camera: when it came, its header, how long after the one before; s."""

    time: float
    header: Header
    pause: float
    ended: bool = False


class DialogueManager(Node):
    """Publishes an event whenever an expression has changed for good."""

    def __init__(self) -> None:
        super().__init__("dialogue_manager")
        self._changes = ExpressionChanges(
            dwell=number(self, "dwell", 0.5),
            refractory=number(self, "refractory", 2.0),
            min_confidence=number(self, "min_confidence", 0.5),
        )
        self._silence = number(self, "silence", 1.0)
        self._heard: dict[str, Heard] = {}
        self._publisher = self.create_publisher(EmotionEvent, "emotion_events", 10)
        self.create_subscription(EmotionArray, "emotions", self._on_emotions, 5)
        # /emotions falls silent with the camera; then nobody tells that the faces have gone. With a bag its clock
        # (use_sim_time) stands, too.
        self.create_timer(0.25, self._on_timer, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _on_emotions(self, message: EmotionArray) -> None:
        now = time.monotonic()
        before = self._heard.get(message.camera)
        self._heard[message.camera] = Heard(now, message.header, now - before.time if before else 0.0)
        # Drivers that set no stamp leave it zero; then the time of arrival has to do.
        stamp = message.header.stamp.sec + message.header.stamp.nanosec * 1e-9 or now
        faces = [Seen(face.face_id, face.emotion, face.confidence, face.observed) for face in message.emotions]
        self._tell(message.camera, message.header, self._changes.update(message.camera, stamp, faces))
        if len(self._heard) > MOST_CAMERAS:
            oldest = min(self._heard, key=lambda camera: self._heard[camera].time)
            self._tell(oldest, self._heard.pop(oldest).header, self._changes.end(oldest))

    def _on_timer(self) -> None:
        now = time.monotonic()
        for camera, heard in list(self._heard.items()):
            if heard.ended and now - heard.time > FORGOTTEN_AFTER:
                del self._heard[camera]
            # A camera of one image in two seconds is not silent after one.
            if not heard.ended and now - heard.time > max(self._silence, 2.5 * heard.pause):
                heard.ended = True
                self._tell(camera, heard.header, self._changes.end(camera))

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
    run(DialogueManager, args)


if __name__ == "__main__":
    main()
