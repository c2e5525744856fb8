"""Bags of real faces, replayed over DDS to the node in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytestmark = [pytest.mark.ros, pytest.mark.slow]

DEAD = "/dead/image_raw"
START_S = 1_700_000_000
STEP_S = 0.1
KINDS = [(storage, compressed) for storage in ("mcap", "sqlite3") for compressed in (False, True)]


def topic_of(storage: str, *, compressed: bool) -> str:
    return f"/{storage}/image_raw/compressed" if compressed else f"/{storage}/image_raw"


@pytest.fixture(scope="module")
def clip() -> list[np.ndarray]:
    """The demonstration clip at 10 Hz, 400x300: smaller than Fast DDS' shared memory, so that nothing is lost."""
    pytest.importorskip("skimage")
    pytest.importorskip("matplotlib")
    from fer_perception.demo.clip import RATE, clip_frames

    every = round(RATE * STEP_S)
    return [
        cv2.resize(frame, (400, 300), interpolation=cv2.INTER_AREA)
        for index, (_, frame) in enumerate(clip_frames())
        if index % every == 0
    ]


def write_bag(path: Path, clip: list[np.ndarray], topic: str, *, sqlite3: bool, compressed: bool) -> None:
    from rosbags.rosbag2 import StoragePlugin, Writer
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS2_JAZZY)
    types = store.types
    kind = f"sensor_msgs/msg/{'CompressedImage' if compressed else 'Image'}"
    plugin = StoragePlugin.SQLITE3 if sqlite3 else StoragePlugin.MCAP
    with Writer(path, version=9, storage_plugin=plugin) as writer:
        connection = writer.add_connection(topic, kind, typestore=store)
        for index, frame in enumerate(clip):
            # Stamps that no other clock would give, and a frame of their own.
            nanoseconds = round(index * STEP_S * 1e9) + 123
            stamp = types["builtin_interfaces/msg/Time"](START_S + nanoseconds // 10**9, nanoseconds % 10**9)
            header = types["std_msgs/msg/Header"](stamp, f"optical_frame_{index}")
            if compressed:
                data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].reshape(-1)
                message = types[kind](header, "bgr8; jpeg compressed bgr8", data)
            else:
                message = types[kind](header, 300, 400, "bgr8", 0, 1200, frame.reshape(-1))
            writer.write(connection, START_S * 10**9 + nanoseconds, store.serialize_cdr(message, kind))


@pytest.fixture
def node_process(ros_domain_id: int, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    topics = [topic_of(storage, compressed=compressed) for storage, compressed in KINDS]
    command = [sys.executable, "-m", "fer_perception.node", "--ros-args"]
    command += ["-p", f"image_topics:={[*topics, DEAD]}", "-p", "threads:=1", "-p", "deterministic_ids:=true"]
    with (tmp_path / "node.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, text=True, env=dict(os.environ))
        yield process
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0, (tmp_path / "node.log").read_text(encoding="utf-8")
    print((tmp_path / "node.log").read_text(encoding="utf-8"))


def test_replayed_bags_are_answered_frame_by_frame(
    node_process: subprocess.Popen[str], probe: Any, clip: list[np.ndarray], tmp_path: Path
) -> None:
    from rclpy.serialization import deserialize_message
    from sensor_msgs.msg import CompressedImage, Image

    from fer_perception.replay.bags import BagReader

    answers_of: dict[tuple[str, bool], list[Any]] = {}
    for storage, compressed in KINDS:
        topic = topic_of(storage, compressed=compressed)
        path = tmp_path / f"{storage}_{compressed}"
        write_bag(path, clip, topic, sqlite3=storage == "sqlite3", compressed=compressed)
        kind = CompressedImage if compressed else Image
        publisher = probe.node.create_publisher(kind, topic, 1)
        probe.until(lambda publisher=publisher: publisher.get_subscription_count() > 0)
        answers: list[Any] = []
        with BagReader(path) as reader:
            for stored in reader.messages([topic]):
                message = deserialize_message(stored.data, kind)
                publisher.publish(message)
                answers.append(answer_to(probe, publisher, message, topic, first=not answers))
                assert answers[-1].header == message.header
        assert len(answers) == len(clip)
        answers_of[storage, compressed] = answers
        check_story(answers)

    stale = probe.until_status(f"camera {DEAD}", "stale: no image yet; nobody publishes on this topic")
    assert stale.level == b"\x01"
    assert DEAD not in {message.camera for message in probe.emotions}

    # How an image was stored makes no difference.
    for one, other in zip(answers_of["mcap", False], answers_of["sqlite3", False], strict=True):
        assert len(one.emotions) == len(other.emotions)
        for face, same in zip(one.emotions, other.emotions, strict=True):
            assert list(face.scores) == pytest.approx(list(same.scores), abs=1e-5)
            assert face.emotion == same.emotion


def answer_to(probe: Any, publisher: Any, message: Any, topic: str, *, first: bool) -> Any:
    """Wait for the answer; a first image may be lost because the node has not found us yet, and is sent again."""

    def arrived() -> Any:
        found = next((m for m in reversed(probe.emotions) if m.header == message.header and m.camera == topic), None)
        if found is None and first:
            publisher.publish(message)
        return found

    return probe.until(arrived)


def check_story(answers: list[Any]) -> None:
    """Who is there when, under one id each, and that the astronaut smiles."""
    from fer_perception.demo.clip import ASTRONAUT_SPANS, HOPPER_SPANS
    from fer_perception.settings.pipeline_settings import PipelineSettings

    people: dict[str, set[str]] = {"astronaut": set(), "hopper": set()}
    labels: list[str] = []
    timeout = PipelineSettings().track_timeout
    for index, answer in enumerate(answers):
        t = index * STEP_S
        assert (answer.image_width, answer.image_height) == (400, 300)
        astronaut, hopper = (
            any(first + 0.3 <= t < last - 0.01 for first, last in spans) for spans in (ASTRONAUT_SPANS, HOPPER_SPANS)
        )
        if astronaut and t < ASTRONAUT_SPANS[0][1]:
            face = next(face for face in answer.emotions if center(face) < 215)
            people["astronaut"].add(face.face_id)
            labels.append(face.emotion)
        if hopper:
            people["hopper"].add(next(face for face in answer.emotions if center(face) > 215).face_id)
        if (
            ASTRONAUT_SPANS[0][1] + timeout + 0.05 < t < ASTRONAUT_SPANS[1][0] - 0.01
            or t < ASTRONAUT_SPANS[0][0] - 0.01
        ):
            assert list(answer.emotions) == [], f"nobody is there at {t:.1f} s"
    assert {name: len(ids) for name, ids in people.items()} == {"astronaut": 1, "hopper": 1}
    assert people["astronaut"] != people["hopper"]
    assert labels.count("happy") > 0.9 * len(labels)


def center(face: Any) -> float:
    return float(face.roi.x_offset + face.roi.width / 2)
