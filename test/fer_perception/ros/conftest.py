"""A running node under test, a probe beside it, and images of real faces."""

from __future__ import annotations

import array
import gc
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
import pytest

#: Nothing here takes as long; a machine under load gets its time.
DEADLINE_S = 30.0


class Probe:
    """Another node that publishes images and keeps what `fer` says, and the executor of both."""

    def __init__(self, domain_id: int) -> None:
        from diagnostic_msgs.msg import DiagnosticArray
        from rclpy.context import Context
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.node import Node

        from fer_msgs.msg import EmotionArray

        self.context = Context()
        self.context.init(domain_id=domain_id)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.changed = threading.Condition()
        self.node: Any = Node("probe", context=self.context, use_global_arguments=False)
        self.emotions: list[Any] = []
        self.diagnostics: list[Any] = []
        self.fer: Any = None
        self._publishers: dict[str, Any] = {}
        self.subscribe(EmotionArray, "emotions", self.emotions)
        self.subscribe(DiagnosticArray, "/diagnostics", self.diagnostics)
        self.executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()
        self.errors: list[BaseException] = []

    def _spin(self) -> None:
        from rclpy.executors import ExternalShutdownException

        try:
            self.executor.spin()
        except ExternalShutdownException:
            pass
        except BaseException as err:  # noqa: BLE001 - shown by `close`
            self.errors.append(err)

    def start(self, *, wait_for: str = "active", **parameters: Any) -> Any:
        """Start `fer` and wait for a lifecycle state ("" = do not wait)."""
        from rclpy.parameter import Parameter

        from fer_perception.ros.node import FerNode

        # A loaded machine must not look like a silent camera.
        values = {"track_timeout": 30.0, "deterministic_ids": True, "threads": 1, **parameters}
        self.fer = FerNode(
            context=self.context,
            use_global_arguments=False,
            parameter_overrides=[Parameter(name, value=value) for name, value in values.items()],
        )
        self.executor.add_node(self.fer)
        if wait_for:
            self.until(lambda: self.state == wait_for)
        return self.fer

    @property
    def state(self) -> str:
        """Label of the lifecycle state."""
        return str(self.fer._state_machine.current_state[1])

    def subscribe(self, message_type: type, topic: str, into: list[Any], qos: Any = 50) -> Any:
        def receive(message: Any) -> None:
            with self.changed:
                into.append(message)
                self.changed.notify_all()

        return self.node.create_subscription(message_type, topic, receive, qos)

    def listen_to_log(self) -> list[Any]:
        """What the nodes log from now on, and what they have logged before."""
        from rcl_interfaces.msg import Log
        from rclpy.qos import DurabilityPolicy, QoSProfile

        log: list[Any] = []
        self.subscribe(Log, "/rosout", log, QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL))
        return log

    def until(self, condition: Callable[[], Any], deadline_s: float = DEADLINE_S) -> Any:
        """Wait until the condition is true and return its value; fail after the deadline."""
        end = time.monotonic() + deadline_s
        with self.changed:
            while True:
                value = condition()
                if value:
                    return value
                if self.errors:
                    raise self.errors[0]
                left = end - time.monotonic()
                assert left > 0, f"not within {deadline_s} s; last diagnostics: {self.diagnostics[-1:]}"
                self.changed.wait(min(left, 0.02))

    def publisher(self, topic: str, message_type: type | None = None) -> Any:
        from sensor_msgs.msg import Image

        if topic not in self._publishers:
            self._publishers[topic] = self.node.create_publisher(message_type or Image, topic, 1)
            self.until(lambda: self._publishers[topic].get_subscription_count() > 0 and self._is_heard(topic))
        return self._publishers[topic]

    def _is_heard(self, topic: str) -> bool:
        """Whether the node's subscription has found our publisher: a best-effort image before that is lost."""
        from rclpy.subscription import Subscription

        if not hasattr(Subscription, "get_publisher_count"):
            # Humble: that our publisher has found the subscription must do.
            return True
        return any(s.topic_name == topic and s.get_publisher_count() > 0 for s in self.fer.subscriptions)

    def dropped(self, topic: str = "/image_raw") -> dict[str, int]:
        """Counts by cause, without waiting for diagnostics."""
        return dict(self.fer._configured.statistics[topic].snapshot(time.monotonic()).dropped)

    def send_bad(self, message: Any, stamp_s: float, cause: str, topic: str = "/image_raw") -> None:
        """Publish a message and wait until it was dropped for this cause."""
        before = self.dropped(topic).get(cause, 0)
        self.send(message, stamp_s, topic)
        self.until(lambda: self.dropped(topic).get(cause, 0) == before + 1)

    def send(self, image: Any, stamp_s: float, topic: str = "/image_raw") -> Any:
        """Publish an image (or a message as it is) with a stamp."""
        message = image if hasattr(image, "header") else image_message(image)
        message.header.stamp.sec = int(stamp_s)
        message.header.stamp.nanosec = round(stamp_s % 1 * 1e9)
        message.header.frame_id = "camera_optical_frame"
        self.publisher(topic, type(message)).publish(message)
        return message

    def ask(self, image: Any, stamp_s: float, topic: str = "/image_raw") -> Any:
        """Publish an image and wait for the answer to it."""
        sent = self.send(image, stamp_s, topic)
        return self.until(lambda: self.answer(sent, topic))

    def answer(self, sent: Any, topic: str = "/image_raw") -> Any:
        return next((m for m in self.emotions if m.header.stamp == sent.header.stamp and m.camera == topic), None)

    def call(self, service_type: type, name: str, **request: Any) -> Any:
        client = self.node.create_client(service_type, name)
        self.until(client.service_is_ready)
        future = client.call_async(service_type.Request(**request))
        self.until(future.done)
        self.node.destroy_client(client)
        return future.result()

    def change_state(self, transition: int) -> bool:
        from lifecycle_msgs.msg import Transition
        from lifecycle_msgs.srv import ChangeState

        return bool(self.call(ChangeState, "/fer/change_state", transition=Transition(id=transition)).success)

    def set(self, **values: Any) -> list[Any]:
        """Set parameters of `fer` by its service; returns the results."""
        from rcl_interfaces.srv import SetParameters
        from rclpy.parameter import Parameter

        parameters = [
            Parameter(name.replace("__", "."), value=value).to_parameter_msg() for name, value in values.items()
        ]
        return list(self.call(SetParameters, "/fer/set_parameters", parameters=parameters).results)

    def status(self, name: str) -> Any:
        """The newest diagnostic status whose name ends so, or None."""
        for message in reversed(self.diagnostics):
            for status in message.status:
                if status.name.endswith(name):
                    return status
        return None

    def fresh_status(self, name: str) -> Any:
        """A status that was sent after now."""
        now = self.node.get_clock().now().to_msg()
        after = (now.sec, now.nanosec)

        def newer() -> bool:
            stamps = [message.header.stamp for message in self.diagnostics[-1:]]
            return any((stamp.sec, stamp.nanosec) > after for stamp in stamps)

        self.until(newer)
        return self.status(name)

    def until_status(self, name: str, text: str) -> Any:
        """Wait until the newest status of that name has `text` in its message."""
        return self.until(lambda: (status := self.status(name)) and text in status.message and status)

    def join(self) -> None:
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive()

    def close(self) -> None:
        for node in (self.fer, self.node):
            if node is not None:
                self.executor.remove_node(node)
        self.executor.shutdown()
        self.join()
        if self.fer is not None:
            self.fer.destroy_node()
        self.node.destroy_node()
        self.context.try_shutdown()
        self.fer = None
        # rcl keeps one log publisher for each node name: a node that still lingers would take the next one's.
        gc.collect()
        assert not self.errors, self.errors


def insist(process: subprocess.Popen[str]) -> None:
    """Send Ctrl-C again and again until the process has ended."""
    end = time.monotonic() + DEADLINE_S
    while process.poll() is None:
        assert time.monotonic() < end
        process.send_signal(signal.SIGINT)
        time.sleep(0.01)


def image_message(image: np.ndarray, encoding: str = "") -> Any:
    from sensor_msgs.msg import Image

    channels = 1 if image.ndim == 2 else image.shape[2]
    return Image(
        height=image.shape[0],
        width=image.shape[1],
        step=image.shape[1] * channels,
        encoding=encoding or ("mono8" if channels == 1 else "bgr8"),
        data=array.array("B", image.tobytes()),
    )


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """What `main` does to signals must not reach the next test, nor the processes that it starts."""
    former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in former.items():
        signal.signal(number, handler)


@pytest.fixture
def probe(ros_domain_id: int) -> Iterator[Probe]:
    probe = Probe(ros_domain_id)
    yield probe
    probe.close()


@pytest.fixture
def interrupt() -> Callable[[subprocess.Popen[str]], None]:
    """End a process by Ctrl-C, sent more than once: launch passes on what the terminal has sent already."""
    return insist


@pytest.fixture
def as_message() -> Callable[..., Any]:
    """Image -> sensor_msgs/Image."""
    return image_message


@pytest.fixture(scope="session")
def astronaut() -> np.ndarray:
    """(240, 320, 3) BGR: one smiling face."""
    data = pytest.importorskip("skimage.data")
    image = cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2BGR)
    return np.ascontiguousarray(cv2.resize(image[0:300, 50:450], (320, 240), interpolation=cv2.INTER_AREA))


@pytest.fixture(scope="session")
def nobody() -> np.ndarray:
    """(240, 320, 3) BGR: a gray wall."""
    return np.full((240, 320, 3), 150, np.uint8)
