"""Test rig for the node over real DDS: the node in a process of its own, a camera and a listener here."""

from __future__ import annotations

import array
import importlib.util
import json
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_perception.errors import SourceError
from fer_perception.ros.process import use_large_shared_memory
from fer_perception.system.process import ending_signals_wait, python_command

TOPIC = "/benchmark/image_raw"
#: Frames after the first answer that are not counted: first allocations.
WARM_UP = 30
#: On a busy machine readers and writers that know of each other may still take a while to be connected, s.
CONNECTING = 20.0


@dataclass
class Feed:
    """Result of one feed.

    Attributes:
        sent: frames published after the warm-up.
        latencies: s from the publish call to the listener's callback, of the answered ones.
        faces: mean number of faces in the answers.
    """

    sent: int = 0
    latencies: list[float] = field(default_factory=list)
    faces: float = 0.0


class RosRig:
    """Starts the node and waits until it listens.

    Args:
        parameters: of the node, as `name:=value`.
        domain_id: DDS domain of the rig.
        keep: the node keeps every frame's figures, which takes memory; else it is the plain node.

    Raises:
        SourceError: rclpy is missing, or the node ended or does not come up.
    """

    def __init__(self, parameters: Sequence[str] = (), domain_id: int | None = None, *, keep: bool = True) -> None:
        os.environ["ROS_DOMAIN_ID"] = str(domain_id or 1 + os.getpid() % 101)
        if os.environ.get("ROS_DISTRO") == "humble":
            os.environ["ROS_LOCALHOST_ONLY"] = "1"
        else:
            os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
        use_large_shared_memory()
        if importlib.util.find_spec("rclpy") is None:
            msg = "rclpy is not installed; `make setup` makes an environment that has it"
            raise SourceError(msg)
        #: Everything of ours that must be given back; the node's process is not among it.
        self._ours = ExitStack()
        directory = Path(self._ours.enter_context(tempfile.TemporaryDirectory()))
        self._kept = directory / "kept.json"
        self._log = self._ours.enter_context((directory / "node.log").open("w+", encoding="utf-8"))
        module = "fer_perception.benchmark.measured_node" if keep else "fer_perception.node"
        kept = [str(self._kept)] if keep else []
        command = python_command(*kept, "--ros-args", "-r", f"image_raw:={TOPIC}", module=module)
        for parameter in parameters:
            command += ["-p", parameter]
        self._nodes_end = ExitStack()
        try:
            with ending_signals_wait():
                self._process = subprocess.Popen(command, stdout=self._log, stderr=subprocess.STDOUT)  # noqa: S603
                self._nodes_end.callback(self._end_node)
            self._connect()
            self._wait_for_the_node()
        except BaseException:
            # Ctrl-C and SIGTERM too: nobody else could end the node.
            self.close()
            raise

    def _connect(self) -> None:
        import rclpy
        from sensor_msgs.msg import Image

        from fer_msgs.msg import EmotionArray
        from fer_perception.ros.qos import default_qos
        from fer_perception.ros.topics import IMAGES

        self._context = rclpy.Context()
        self._context.init()
        self._ours.callback(self._context.try_shutdown)
        self._node: Any = rclpy.create_node("benchmark", context=self._context, use_global_arguments=False)
        self._ours.callback(self._node.destroy_node)
        self._publisher = self._node.create_publisher(Image, TOPIC, default_qos(IMAGES))
        self._lock = threading.Lock()
        self._sent: dict[int, float] = {}
        self._answers: dict[int, tuple[float, int]] = {}
        self._node.create_subscription(EmotionArray, "emotions", self._listen, 50)
        self._executor = rclpy.executors.SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        thread = threading.Thread(target=self._spin, daemon=True)
        thread.start()
        self._ours.callback(thread.join, 10.0)
        self._ours.callback(self._executor.shutdown)
        self._stamp = 0

    def _wait_for_the_node(self) -> None:
        deadline = time.monotonic() + 60.0
        while self._publisher.get_subscription_count() == 0 or self._node.count_publishers("emotions") == 0:
            if self._process.poll() is not None or time.monotonic() > deadline:
                msg = f"the node does not come up: {self._read_log()}"
                raise SourceError(msg)
            time.sleep(0.02)

    def feed(self, images: Sequence[NDArray[np.uint8]], rate_hz: float, seconds: float) -> Feed:
        """Publish images as a camera does and wait for the answers.

        Args:
            images: (H, W, 3) uint8 BGR, repeated from the start at the end.
            rate_hz: frames a second.
            seconds: how long, from the first answer and the warm-up on.
        """
        messages = [self._message(image) for image in images]
        deadline = time.monotonic() + CONNECTING
        while not self._answers and time.monotonic() < deadline:
            self._publish(messages[0], rate_hz)
            time.sleep(1 / rate_hz)
        count = WARM_UP + round(rate_hz * seconds)
        first = self._stamp + WARM_UP
        start = time.perf_counter()
        for index in range(count):
            self._publish(messages[index % len(messages)], rate_hz)
            time.sleep(max(0.0, start + (index + 1) / rate_hz - time.perf_counter()))
        time.sleep(0.3)
        result = Feed(sent=count - WARM_UP)
        with self._lock:
            answered = {round((stamp - 1) * rate_hz / 1e9): answer for stamp, answer in self._answers.items()}
            self._answers.clear()
        self._stamp = 0
        found = [
            (answered[frame], self._sent[frame]) for frame in range(first, first + result.sent) if frame in answered
        ]
        result.latencies = [arrived - sent for (arrived, _), sent in found]
        result.faces = float(np.mean([faces for (_, faces), _ in found])) if found else 0.0
        return result

    def _publish(self, message: Any, rate_hz: float) -> None:
        # Header time goes on as the camera's clock would.
        stamp_ns = round(self._stamp * 1e9 / rate_hz) + 1
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 1_000_000_000)
        self._sent[self._stamp] = time.perf_counter()
        self._publisher.publish(message)
        self._stamp += 1

    def resident_mb(self) -> float:
        """Resident memory of the node's process in MB (Linux); NaN elsewhere."""
        try:
            pages = int(Path(f"/proc/{self._process.pid}/statm").read_text(encoding="ascii").split()[1])
        except OSError:
            return float("nan")
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def processor_seconds(self) -> float:
        """Processor time the node has used, all threads (Linux); NaN elsewhere."""
        try:
            fields = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
        except OSError:
            return float("nan")
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> dict[str, Any]:
        """End the node; returns what it kept (see measured_node), empty where it kept nothing; idempotent."""
        self._nodes_end.close()
        kept: dict[str, Any] = json.loads(self._kept.read_text(encoding="utf-8")) if self._kept.is_file() else {}
        self._ours.close()
        return kept

    def _end_node(self) -> None:
        if self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(20.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> RosRig:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _spin(self) -> None:
        from rclpy.executors import ExternalShutdownException

        try:
            self._executor.spin()
        except ExternalShutdownException:
            return

    def _listen(self, message: Any) -> None:
        now = time.perf_counter()
        stamp_ns = message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec
        with self._lock:
            self._answers[stamp_ns] = (now, len(message.emotions))

    def _message(self, image: NDArray[np.uint8]) -> Any:
        from sensor_msgs.msg import Image

        height, width = image.shape[:2]
        return Image(
            height=height, width=width, encoding="bgr8", step=width * 3, data=array.array("B", image.tobytes())
        )

    def _read_log(self) -> str:
        self._log.seek(0)
        return self._log.read()[-2000:]
