"""The demo's camera and its subscriber when the other end is late, silent or interrupted, over real DDS."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from made_results import make_face, make_result
from started_processes import started_by

pytestmark = pytest.mark.ros

TOPIC = "/emotions"


@pytest.fixture
def other_end(ros_domain_id: int) -> Iterator[Any]:
    """A node in the domain of the processes that a test starts."""
    import rclpy

    context = rclpy.Context()
    rclpy.init(context=context, domain_id=ros_domain_id, args=[])
    node = rclpy.create_node("other_end", context=context)
    yield node
    node.destroy_node()
    rclpy.try_shutdown(context=context)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[int]]:
    pytest.importorskip("skimage")
    from fer_perception.demo.camera import write_clip

    bag = tmp_path_factory.mktemp("demo") / "clip"
    return bag, write_clip(bag, 0.3)


def test_the_camera_stays_for_the_last_answer(clip: tuple[Path, list[int]], other_end: Any) -> None:
    from fer_perception.demo.camera import CAMERA_TOPIC, replay

    cameras: list[int] = []

    def stay() -> None:
        deadline = time.monotonic() + 20
        while not other_end.count_publishers(CAMERA_TOPIC) and time.monotonic() < deadline:
            time.sleep(0.05)
        cameras.append(other_end.count_publishers(CAMERA_TOPIC))

    heard, hears = os.pipe()
    os.write(hears, b".")
    try:
        sent = replay(clip[0], heard, lambda: None, stay)
    finally:
        os.close(heard)
        os.close(hears)
    assert list(sent) == clip[1]
    assert cameras == [1]


def watching(clip: tuple[Path, list[int]], out: Path, timeout: float) -> tuple[subprocess.Popen[str], int]:
    """The subscriber's process, and what becomes readable when it has heard something."""
    bag, stamps = clip
    heard, hears = os.pipe()
    process = subprocess.Popen(
        [
            sys.executable, "-m", "fer_perception.demo.watcher", "--bag", str(bag), "--out", str(out), "--topic", TOPIC,
            "--first-stamp", str(stamps[0]), "--last-stamp", str(stamps[-1]), "--rate", "20",
            "--ready-fd", str(hears), "--start-timeout", "60", "--timeout", str(timeout),
        ],
        pass_fds=[hears], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    os.close(hears)
    return process, heard


def answer(node: Any, heard: int, stamp_ns: int) -> None:
    """Publish an answer until the subscriber has heard it."""
    from std_msgs.msg import Header

    from fer_msgs.msg import EmotionArray
    from fer_perception.ros.conversions import emotion_array

    publisher = node.create_publisher(EmotionArray, TOPIC, 5)
    header = Header(frame_id="camera")
    header.stamp.sec, header.stamp.nanosec = divmod(stamp_ns, 10**9)
    array = emotion_array(make_result(make_face("f1_1", "happy", (9, 9, 50, 50))), header)
    deadline = time.monotonic() + 60
    while not select.select([heard], [], [], 0.1)[0]:
        assert time.monotonic() < deadline, "the subscriber does not hear"
        publisher.publish(array)


def test_a_node_that_falls_silent(clip: tuple[Path, list[int]], other_end: Any, tmp_path: Path) -> None:
    process, heard = watching(clip, tmp_path, timeout=0.5)
    try:
        answer(other_end, heard, clip[1][1])
        told, _ = process.communicate(timeout=60)
    finally:
        os.close(heard)
        process.kill()
    assert process.returncode == 0, told
    assert (tmp_path / "emotions.jsonl").read_text().count('"happy"') >= 1
    assert all((tmp_path / name).stat().st_size > 1000 for name in ("demo.mp4", "timeline.png"))


def test_ctrl_c_twice_still_leaves_the_images(clip: tuple[Path, list[int]], other_end: Any, tmp_path: Path) -> None:
    process, heard = watching(clip, tmp_path, timeout=60)
    try:
        answer(other_end, heard, clip[1][1])
        process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + 60
        while not (tmp_path / "emotions.jsonl").exists() and time.monotonic() < deadline:
            time.sleep(0.002)
        process.send_signal(signal.SIGINT)
        told, _ = process.communicate(timeout=60)
    finally:
        os.close(heard)
        process.kill()
    assert process.returncode == 0, told
    assert "Traceback" not in told
    assert all((tmp_path / name).stat().st_size > 1000 for name in ("demo.mp4", "timeline.png"))


def test_a_demo_that_is_ended_while_it_starts_its_processes_leaves_none(ros_domain_id: int, tmp_path: Path) -> None:
    pytest.importorskip("skimage")
    command = [sys.executable, "-m", "fer_perception.demo", "--seconds", "0.3", "--domain", str(ros_domain_id)]
    demo = subprocess.Popen([*command, "--out", str(tmp_path)], stderr=subprocess.PIPE, text=True)
    started: list[int] = []
    try:
        deadline = time.monotonic() + 60
        # No pause: the node is there, and the subscriber is being started.
        while not (started := started_by(demo.pid, "fer_perception.node")):
            assert demo.poll() is None and time.monotonic() < deadline
        demo.terminate()
        started += started_by(demo.pid, "fer_perception.demo.watcher")
        # Until all who hold its stderr have ended.
        _, told = demo.communicate(timeout=60)
        assert told.endswith("demo: interrupted\n")
        assert [pid for pid in started if Path(f"/proc/{pid}").is_dir()] == []
    finally:
        for pid in (demo.pid, *started):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
