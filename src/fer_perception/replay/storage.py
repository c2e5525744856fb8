"""Storage files of a rosbag2, whatever their format: topics, and messages in the order they were received."""

from __future__ import annotations

import heapq
import shutil
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rosbags.interfaces import MessageDefinition

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"

#: Bytes that a message or a chunk of messages may unpack to; the largest image that is decoded has half as many.
MAX_UNPACKED = 1 << 29

#: Time of receipt (ns), key of the channel, data.
StoredMessage = tuple[int, int, bytes]


class DamagedFileError(Exception):
    """A storage file, or the part of it that is told, cannot be read."""


@dataclass(frozen=True)
class Channel:
    """One topic of a storage file under one type.

    Attributes:
        topic: its name.
        msgtype: its type, as "sensor_msgs/msg/Image".
        encoding: how its messages are serialized: "cdr", or what this package does not read.
        definition: text of its type; format NONE where the file has none.
        digest: RIHS01 hash of its type, "" where unknown.
        qos: what the publishers offered, as YAML.
        count: its messages.
    """

    topic: str
    msgtype: str
    encoding: str
    definition: MessageDefinition
    digest: str
    qos: str
    count: int


class StorageFile(Protocol):
    """One file with messages.

    Attributes:
        channels: by the key that `messages` gives.
        start_ns: no message was received before.
        damage: parts that cannot be read, in words; grows while messages are read.
        notes: what is unusual and harms nothing.
    """

    channels: dict[int, Channel]
    start_ns: int
    damage: list[str]
    notes: list[str]

    def messages(self, wanted: Collection[int]) -> Iterator[StoredMessage]:
        """Messages of the channels `wanted` in the order they were received; raises DamagedFileError."""

    def close(self) -> None:
        """Close the file; idempotent."""


def merged(parts: Sequence[tuple[int, Callable[[], Iterator[StoredMessage]]]]) -> Iterator[StoredMessage]:
    """Merge sorted messages of several places by time of receipt; at equal times the earlier place comes first.

    Args:
        parts: of each place a time (ns) before which it has none, and a function that opens it. It is called when that
            time has come, so that only places that overlap are open at once.
    """
    waiting = sorted(range(len(parts)), key=lambda index: parts[index][0], reverse=True)
    heads: list[tuple[int, int, StoredMessage, Iterator[StoredMessage]]] = []
    while waiting or heads:
        while waiting and (not heads or parts[waiting[-1]][0] <= heads[0][0]):
            index = waiting.pop()
            iterator = parts[index][1]()
            for message in iterator:
                heapq.heappush(heads, (message[0], index, message, iterator))
                break
        if not heads:
            continue
        _, index, message, iterator = heads[0]
        yield message
        following = next(iterator, None)
        if following is None:
            heapq.heappop(heads)
        else:
            heapq.heapreplace(heads, (following[0], index, following, iterator))


def unzstd(data: bytes, limit: int = MAX_UNPACKED) -> bytes:
    """Unpack one zstd frame, which may be at most `limit` bytes.

    Raises:
        DamagedFileError: it is damaged or larger.
    """
    decompressor = zstd.ZstdDecompressor()
    try:
        unpacked = decompressor.decompress(data, max_length=limit)
    except (zstd.ZstdError, EOFError) as err:
        msg = f"zstd: {err}"
        raise DamagedFileError(msg) from None
    if not decompressor.eof:
        msg = f"zstd data that is cut, or unpacks to more than {limit} bytes"
        raise DamagedFileError(msg)
    return unpacked


def unzstd_file(path: Path, target: Path) -> None:
    """Unpack a file.

    Raises:
        DamagedFileError: it is damaged.
        OSError: one of them cannot be opened, or there is no room.
    """
    try:
        with path.open("rb") as packed, zstd.open(packed, "rb") as source, target.open("wb") as unpacked:
            shutil.copyfileobj(source, unpacked, 1 << 20)
    except (zstd.ZstdError, EOFError) as err:
        msg = f"it does not unpack: zstd: {err}"
        raise DamagedFileError(msg) from None


def natural(path: Path) -> list[tuple[int, str]]:
    """Key to sort files by, so that bag_10 comes after bag_9."""
    parts, digits = [], ""
    for character in f"{path.name}\0":
        if character.isascii() and character.isdigit():
            digits += character
            continue
        if digits:
            parts.append((int(digits), ""))
            digits = ""
        parts.append((-1, character))
    return parts
