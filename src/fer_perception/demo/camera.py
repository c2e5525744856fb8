"""The demo's camera: the clip as a bag, replayed in real time over DDS with the stamps of its frames."""

from __future__ import annotations

import itertools
import select
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fer_perception.demo import clip as demo_clip
from fer_perception.errors import SourceError
from fer_perception.imaging.encodings import encode_jpeg
from fer_perception.replay.bags import COMPRESSED_TYPE, BagReader, BagWriter, fer_typestore

CAMERA_TOPIC = "/camera/image_raw/compressed"

FRAME_ID = "camera_color_optical_frame"


BAG, NODE_LOG, MONTAGE = "clip", "node.log", "demo.png"


#: Header time of the clip's first frame, in ns: the same at every run.
START_NS = 1_700_000_000_000_000_000

#: How long the node may take to load its models and the processes to find each other, in s.
START_DEADLINE = 60.0


def write_clip(bag: Path, seconds: float = demo_clip.DURATION) -> list[int]:
    """Write the clip as a rosbag2 (mcap) with one JPEG camera topic.

    Args:
        bag: directory of the bag; an older one is replaced.
        seconds: how much of the clip.

    Returns:
        Header stamps of the frames in ns.
    """
    if (bag / "metadata.yaml").is_file():
        shutil.rmtree(bag)
    store = fer_typestore()
    types = store.types
    stamps: list[int] = []
    with BagWriter(bag) as writer:
        topic = writer.add_topic(CAMERA_TOPIC, COMPRESSED_TYPE, store)
        for t, image in demo_clip.clip_frames(seconds):
            stamp_ns = START_NS + round(t * 1e9)
            stamp = types["builtin_interfaces/msg/Time"](stamp_ns // 10**9, stamp_ns % 10**9)
            header = types["std_msgs/msg/Header"](stamp, FRAME_ID)
            data = np.frombuffer(encode_jpeg(image, 92), dtype=np.uint8)
            message = types[COMPRESSED_TYPE](header, "bgr8; jpeg compressed bgr8", data)
            writer.write(topic, stamp_ns, store.serialize_cdr(message, COMPRESSED_TYPE))
            stamps.append(stamp_ns)
    return stamps


def replay(bag: Path, heard: int, check: Callable[[], None], stay: Callable[[], None]) -> dict[int, int]:
    """Publish the bag's images at the pace they were recorded, once the others listen.

    Until the subscriber has heard the node's first answer, the empty wall is repeated with earlier stamps.

    Args:
        bag: with one CompressedImage topic, which is published under its own name.
        heard: file descriptor that becomes readable when the subscriber has heard the node.
        check: called while waiting; raises if there is nobody left to wait for.
        stay: called after the last image and before the camera goes: what the node has not taken yet would go with it.

    Returns:
        Header stamp in ns -> monotonic time of its publication in ns.

    Raises:
        SourceError: nobody answered within `START_DEADLINE`.
    """
    import rclpy
    from rclpy.qos import QoSProfile
    from sensor_msgs.msg import CompressedImage

    context = rclpy.Context()
    rclpy.init(context=context, args=[])
    node = rclpy.create_node("demo_camera", context=context)
    try:
        publisher = node.create_publisher(CompressedImage, CAMERA_TOPIC, QoSProfile(depth=5))
        end = time.monotonic() + START_DEADLINE
        prelude = _prelude(bag)
        # Waiting for the answer also sets the pace: ten images a second.
        while not select.select([heard], [], [], 0.1)[0]:
            check()
            if time.monotonic() > end:
                log = tail(bag.parent / NODE_LOG)
                msg = f"the node did not answer to {CAMERA_TOPIC} within {START_DEADLINE:.0f} s{log}"
                raise SourceError(msg)
            publisher.publish(next(prelude))
        say("3/4  replaying in real time")
        sent: dict[int, int] = {}
        with BagReader(bag) as reader:
            first = 0
            begin = time.monotonic_ns()
            for message in reader.messages([CAMERA_TOPIC]):
                first = first or message.received_ns
                pause = (message.received_ns - first - (time.monotonic_ns() - begin)) / 1e9
                if pause > 0:
                    time.sleep(pause)
                check()
                sent[reader.read_image(message).stamp_ns] = time.monotonic_ns()
                publisher.publish(message.data)
        stay()
        return sent
    finally:
        node.destroy_node()
        rclpy.try_shutdown(context=context)


def _prelude(bag: Path) -> Iterator[bytes]:
    """The clip's first image again and again, with stamps before the clip that move forward.

    Yields:
        CDR bytes of CompressedImage.
    """
    store = fer_typestore()
    with BagReader(bag) as reader:
        first = next(reader.messages([CAMERA_TOPIC]))
    message: Any = store.deserialize_cdr(first.data, COMPRESSED_TYPE)
    for stamp_ns in itertools.count(START_NS - 10 * 60 * 10**9, 10**8):
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 10**9)
        yield bytes(store.serialize_cdr(message, COMPRESSED_TYPE))


def tail(log: Path, lines: int = 12) -> str:
    """The last lines of a log, for a message."""
    text = log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:] if log.is_file() else []
    return f"; the node's last words ({log}):\n  " + "\n  ".join(text) if text else ""


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)
