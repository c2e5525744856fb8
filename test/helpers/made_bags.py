"""Tiny bags of real and of broken images."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from fer_perception.imaging.encodings import encode_jpeg
from fer_perception.replay.bags import COMPRESSED_TYPE, IMAGE_TYPE, BagWriter, fer_typestore

STORE = fer_typestore()
START_NS = 1_700_000_000_000_000_000


def header(stamp_ns: int, frame_id: str = "optical") -> Any:
    stamp = STORE.types["builtin_interfaces/msg/Time"](stamp_ns // 10**9, stamp_ns % 10**9)
    return STORE.types["std_msgs/msg/Header"](stamp, frame_id)


def raw(image: np.ndarray, stamp_ns: int, *, encoding: str = "bgr8") -> tuple[str, bytes]:
    """A sensor_msgs/Image: its type and CDR bytes."""
    height, width = image.shape[:2]
    data = np.ascontiguousarray(image).reshape(-1)
    message = STORE.types[IMAGE_TYPE](header(stamp_ns), height, width, encoding, 0, data.size // height, data)
    return IMAGE_TYPE, bytes(STORE.serialize_cdr(message, IMAGE_TYPE))


def jpeg(image: np.ndarray, stamp_ns: int) -> tuple[str, bytes]:
    """A sensor_msgs/CompressedImage: its type and CDR bytes."""
    data = np.frombuffer(encode_jpeg(image, 92), np.uint8)
    message = STORE.types[COMPRESSED_TYPE](header(stamp_ns), "jpeg", data)
    return COMPRESSED_TYPE, bytes(STORE.serialize_cdr(message, COMPRESSED_TYPE))


def text(value: str) -> tuple[str, bytes]:
    """A std_msgs/String: its type and CDR bytes."""
    kind = "std_msgs/msg/String"
    return kind, bytes(STORE.serialize_cdr(STORE.types[kind](value), kind))


def write_bag(path: Path, messages: Iterable[tuple[str, int, tuple[str, bytes]]], *, sqlite3: bool = False) -> Path:
    """Write messages of (topic, time of receipt in ns, (type, CDR bytes))."""
    with BagWriter(path, sqlite3=sqlite3) as writer:
        topics: dict[str, Any] = {}
        for topic, received_ns, (kind, data) in messages:
            if topic not in topics:
                topics[topic] = writer.add_topic(topic, kind, STORE)
            writer.write(topics[topic], received_ns, data)
    return path
