"""The live node and the replay say the same of the same frames."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from made_bags import START_NS, STORE, jpeg, raw, write_bag

from fer_perception.demo.clip import RATE, clip_frames
from fer_perception.pipeline import build_pipeline
from fer_perception.pipeline_types import FrameResult
from fer_perception.replay.bags import EMOTIONS_TYPE, BagReader, BagWriter
from fer_perception.replay.replay import Replay
from fer_perception.results.messages import result_from_message
from fer_perception.settings.pipeline_settings import PipelineSettings

pytestmark = pytest.mark.ros

PERIOD = 10**9 // RATE
BACKEND = "onnxruntime"


class LockStep:
    """Hands the messages of a bag to the live node one by one, each after the answer to the one before."""

    def __init__(self, domain: int, topic: str, message_class: Any) -> None:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor

        from fer_msgs.msg import EmotionArray

        self._rclpy = rclpy
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain, args=[])
        self.node = rclpy.create_node("lock_step", context=self.context)
        self.publisher = self.node.create_publisher(message_class, topic, 5)
        self.answers: dict[int, Any] = {}
        self.node.create_subscription(EmotionArray, "/emotions", self._on_emotions, 50)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)

    def _on_emotions(self, message: Any) -> None:
        self.answers[message.header.stamp.sec * 10**9 + message.header.stamp.nanosec] = message

    def ask(self, data: bytes, stamp_ns: int, seconds: float) -> Any:
        """Publish one message; None where no answer came in time."""
        self.publisher.publish(data)
        end = time.monotonic() + seconds
        while stamp_ns not in self.answers and time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.05)
        return self.answers.get(stamp_ns)

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        self._rclpy.try_shutdown(context=self.context)


def live_results(bag: Path, topic: str, domain: int, log: Path) -> list[FrameResult]:
    from sensor_msgs.msg import CompressedImage, Image

    command = [
        sys.executable, "-m", "fer_perception.node", "--ros-args", "-r", f"image_raw:={topic}",
        "-p", f"backend:={BACKEND}", "-p", "track_timeout:=5.0",
    ]  # fmt: skip
    with BagReader(bag) as reader:
        messages = [(reader.read_image(m).stamp_ns, m.data) for m in reader.messages([topic])]
    message_class = CompressedImage if topic.endswith("/compressed") else Image
    answers = []
    with log.open("wb") as file, subprocess.Popen(command, stdout=file, stderr=file, env=os.environ) as process:
        steps = LockStep(domain, topic, message_class)
        try:
            # The first frame again and again until all have found each other: same stamp, so no time passes.
            deadline = time.monotonic() + 60
            while steps.ask(messages[0][1], messages[0][0], 0.2) is None:
                assert time.monotonic() < deadline, log.read_text()
                assert process.poll() is None, log.read_text()
            for stamp_ns, data in messages:
                # The node takes images with best effort: an image that got lost on the way is sent again.
                answer = next(filter(None, (steps.ask(data, stamp_ns, 4.0) for _ in range(5))), None)
                assert answer is not None, (len(answers), log.read_text())
                answers.append(result_from_message(answer))
        finally:
            steps.close()
            process.send_signal(signal.SIGINT)
            process.wait(timeout=20)
    return answers


@pytest.mark.parametrize("topic", ["/cam/image_raw", "/cam/image_raw/compressed"])
def test_scores_and_tracks(tmp_path: Path, ros_domain_id: int, topic: str) -> None:
    make = jpeg if topic.endswith("/compressed") else raw
    # One face, then a second one beside it; every other frame is enough.
    images = [image for _, image in clip_frames(5.0)][2::2]
    if make is raw:
        # Raw images beyond Fast DDS's default shared-memory segment (512 KB) may be lost on a busy machine.
        images = [cv2.resize(image, (400, 300), interpolation=cv2.INTER_AREA) for image in images]
    bag = write_bag(
        tmp_path / "bag",
        [(topic, START_NS + i * PERIOD, make(image, START_NS + i * PERIOD)) for i, image in enumerate(images)],
    )
    pipeline = build_pipeline(PipelineSettings(deterministic_ids=True, backend=BACKEND, track_timeout=5.0))
    with BagReader(bag) as reader, BagWriter(tmp_path / "out") as writer:
        list(Replay(reader, pipeline, [topic], writer=writer).run())
    pipeline.close()
    with BagReader(tmp_path / "out") as reader:
        offline = [
            result_from_message(STORE.deserialize_cdr(message.data, EMOTIONS_TYPE))
            for message in reader.messages(["/emotions"])
        ]
    live = live_results(bag, topic, ros_domain_id, tmp_path / "node.log")

    assert [r.stamp_ns for r in live] == [r.stamp_ns for r in offline]
    assert sum(len(result.faces) for result in offline) > 30
    names: dict[str, str] = {}
    for there, here in zip(live, offline, strict=True):
        assert len(there.faces) == len(here.faces)
        assert (there.labels, there.model_id, there.camera) == (here.labels, here.model_id, here.camera)
        by_roi = {face.roi: face for face in there.faces}
        for face in here.faces:
            other = by_roi[face.roi]
            assert names.setdefault(face.face_id, other.face_id) == other.face_id
            assert (other.emotion, other.phase, other.observed) == (face.emotion, face.phase, face.observed)
            np.testing.assert_allclose(other.scores, face.scores, atol=1e-5)
    assert len(set(names.values())) == len(names) == 2
