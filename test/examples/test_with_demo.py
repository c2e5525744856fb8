"""The demo and both examples as processes of their own, over real DDS."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest

pytestmark = pytest.mark.ros

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SECONDS = 4.5


@contextlib.contextmanager
def running(*command: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=20)


class Listener:
    """Subscribes to what the examples publish."""

    def __init__(self, domain: int) -> None:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor

        from fer_msgs.msg import Blendshapes, EmotionEvent

        self._rclpy = rclpy
        self.events: list[Any] = []
        self.shapes: list[tuple[float, Any]] = []
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain, args=[])
        self.node = rclpy.create_node("listener", context=self.context)
        self.node.create_subscription(EmotionEvent, "emotion_events", self.events.append, 50)
        self.node.create_subscription(Blendshapes, "blendshapes", self._on_shapes, 50)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)

    def _on_shapes(self, message: Any) -> None:
        self.shapes.append((time.monotonic(), message))

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        self._rclpy.try_shutdown(context=self.context)


def test_the_demo_drives_both_examples(ros_domain_id: int, tmp_path: Path) -> None:
    out = tmp_path / "demo"
    demo = [sys.executable, "-m", "fer_perception.demo", "--out", str(out), "--seconds", str(SECONDS), "--domain",
            str(ros_domain_id)]  # fmt: skip
    listener = Listener(ros_domain_id)
    agent_log, dialogue_log = tmp_path / "agent.log", tmp_path / "dialogue.log"
    try:
        with (
            running(sys.executable, str(EXAMPLES / "virtual_agent.py"), log=agent_log),
            running(sys.executable, str(EXAMPLES / "dialogue_manager.py"), log=dialogue_log),
        ):
            deadline = time.monotonic() + 60
            # The agent speaks as soon as it runs, with or without faces.
            while not listener.shapes and time.monotonic() < deadline:
                listener.executor.spin_once(timeout_sec=0.1)
            assert listener.shapes, agent_log.read_text()
            assert set(listener.shapes[0][1].weights) == {0.0}
            with running(*demo, log=tmp_path / "demo.log") as process:
                deadline = time.monotonic() + 120
                while process.poll() is None and time.monotonic() < deadline:
                    listener.executor.spin_once(timeout_sec=0.1)
                told = (tmp_path / "demo.log").read_text()
                assert process.poll() == 0, told
            # The camera is silent now: the dialogue manager says so, the face goes back to rest.
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                listener.executor.spin_once(timeout_sec=0.1)
                gone = [event for event in listener.events if not event.current]
                if gone and max(listener.shapes[-1][1].weights) < 0.01:
                    break
    finally:
        listener.close()

    check_demo_files(out, told)
    happy = [event for event in listener.events if event.current == "happy"]
    assert len(happy) == 1
    assert happy[0].previous == ""
    assert happy[0].confidence > 0.5
    assert happy[0].camera == "/camera/image_raw/compressed"
    assert happy[0].header.frame_id == "camera_color_optical_frame"
    assert happy[0].face_id in {event.face_id for event in listener.events if event.current == ""}
    assert f"face {happy[0].face_id} is happy" in dialogue_log.read_text()

    smiles = [message for _, message in listener.shapes if message.face_id == happy[0].face_id]
    names = list(smiles[-1].names)
    assert smiles[-1].weights[names.index("mouthSmileLeft")] > 0.5
    assert max(listener.shapes[-1][1].weights) < 0.01
    assert listener.shapes[-1][1].face_id == ""


def check_demo_files(out: Path, told: str) -> None:
    assert "the smiling astronaut: happy in" in told
    assert "p50" in told
    rows = [json.loads(line) for line in (out / "emotions.jsonl").read_text().splitlines()]
    assert len(rows) > 20
    assert rows[0]["faces"] == []
    assert any(face["emotion"] == "happy" for face in rows[-1]["faces"])
    capture = cv2.VideoCapture(str(out / "demo.mp4"))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == pytest.approx(SECONDS * 20, abs=1)
    capture.release()
    for name in ("timeline.png", "demo.png"):
        image = cv2.imread(str(out / name))
        assert image is not None
        assert min(image.shape[:2]) > 200
