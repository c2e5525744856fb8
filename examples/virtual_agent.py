"""Example: a virtual face that mirrors the nearest person until that one leaves.

Subscribes to `emotions` (fer_msgs/EmotionArray), publishes `blendshapes` (fer_msgs/Blendshapes) at a fixed 30 Hz,
eased, and sends the same as OSC (VMC protocol) where `osc_port` is set.

    python examples/virtual_agent.py --ros-args -p rig:=arkit -p osc_host:=127.0.0.1 -p osc_port:=39539
"""

from __future__ import annotations

import time

from face_rig import ACTION_UNITS, RIGS, Easing, names_of, target_weights
from osc import OscSender
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from running import number, run

from fer_msgs.msg import Blendshapes, EmotionArray

RATE = 30.0


class VirtualAgent(Node):
    """Eases the weights of a rig towards the expression of one face, and back to rest when nobody is there."""

    def __init__(self) -> None:
        super().__init__("virtual_agent")
        self._rig = str(self.declare_parameter("rig", "arkit").value)
        if self._rig not in RIGS:
            msg = f"rig is {self._rig!r}; expected one of: {', '.join(RIGS)}"
            raise ValueError(msg)
        self._easing = Easing(names_of(self._rig), number(self, "time_constant", 0.12))
        self._patience = number(self, "patience", 0.7)
        host = str(self.declare_parameter("osc_host", "127.0.0.1").value)
        port = int(number(self, "osc_port", 0))
        if not 0 <= port <= 65535:
            msg = f"osc_port is {port}; expected 1 to 65535, or 0 to send no OSC"
            raise ValueError(msg)
        try:
            self._osc = OscSender(host, port) if port else None
        except OSError as err:
            msg = f"osc_host is {host!r}; expected the name or address of a host ({err.strerror or err})"
            raise ValueError(msg) from None
        self._face_id = ""
        self._frame_id = ""
        self._targets: dict[str, float] = {}
        self._seen_at = 0.0
        self._heard_at = 0.0
        self._pause = 0.0
        self._publisher = self.create_publisher(Blendshapes, "blendshapes", 5)
        self.create_subscription(EmotionArray, "emotions", self._on_emotions, 5)
        # The clock of a bag (use_sim_time) stands when the bag is over; the face comes to rest all the same.
        self.create_timer(1.0 / RATE, self._on_timer, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _on_emotions(self, message: EmotionArray) -> None:
        if not ACTION_UNITS.keys() & set(message.labels):
            self.get_logger().warning(
                f"the face stays at rest: none of the classes of {message.model_id} ({', '.join(message.labels)}) is "
                f"among those it can show ({', '.join(ACTION_UNITS)}; see ACTION_UNITS in face_rig.py)",
                once=True,
            )
        now = time.monotonic()
        self._pause, self._heard_at = now - self._heard_at if self._heard_at else 0.0, now
        whole = len(message.labels)
        faces = {face.face_id: face for face in message.emotions if face.observed and len(face.scores) == whole}
        gone = self._is_gone(now)
        # Keep looking at the same person; take the nearest (largest) one when that one has left.
        if self._face_id not in faces:
            if not faces or (self._face_id and not gone):
                return
            self._face_id = max(faces, key=lambda name: faces[name].roi.width * faces[name].roi.height)
        face = faces[self._face_id]
        self._targets = target_weights(dict(zip(message.labels, face.scores, strict=True)), self._rig)
        self._frame_id = message.header.frame_id
        self._seen_at = now

    def _is_gone(self, now: float) -> bool:
        """Not seen for long, and for longer than images of a slow camera are apart."""
        return now - self._seen_at > max(self._patience, 2.5 * self._pause)

    def _on_timer(self) -> None:
        if self._face_id and self._is_gone(time.monotonic()):
            self._face_id, self._targets = "", {}
        weights = self._easing.step(self._targets, 1.0 / RATE)
        message = Blendshapes(face_id=self._face_id, names=list(weights), weights=list(weights.values()))
        message.header.stamp = self.get_clock().now().to_msg()
        message.header.frame_id = self._frame_id
        self._publisher.publish(message)
        if self._osc is not None:
            try:
                self._osc.send(weights)
            except OSError as err:
                self.get_logger().warning(f"OSC is not sent: {err}", throttle_duration_sec=10.0)


def main(args: list[str] | None = None) -> None:
    """Run the node until Ctrl-C."""
    run(VirtualAgent, args)


if __name__ == "__main__":
    main()
