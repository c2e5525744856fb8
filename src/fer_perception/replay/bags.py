"""Reader and writer of rosbag2 files without a ROS installation: camera topics in, messages of any type out."""

from __future__ import annotations

import contextlib
import errno
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from rosbags.interfaces import Connection, ConnectionExtRosbag2, MessageDefinitionFormat, Qos
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from rosbags.rosbag2.errors import WriterError
from rosbags.typesys import Stores, TypesysError, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from fer_perception.errors import ImageError, SourceError
from fer_perception.imaging.encodings import decode_compressed, decode_raw
from fer_perception.imaging.sources import VIDEO_SUFFIXES
from fer_perception.system.paths import is_file, share_directory

IMAGE_TYPE = "sensor_msgs/msg/Image"
COMPRESSED_TYPE = "sensor_msgs/msg/CompressedImage"
EMOTIONS_TYPE = "fer_msgs/msg/EmotionArray"

_FIX = "record it again, or fix it with `ros2 bag reindex` or `mcap recover`"


def message_definitions() -> Path:
    """The directory with the .msg files of fer_msgs: of an ament installation, else of the source tree.

    Raises:
        SourceError: neither is there.
    """
    share = share_directory()
    candidates = [share.parent / "fer_msgs" / "msg", share / "src" / "fer_msgs" / "msg"]
    prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    candidates.extend(Path(prefix) / "share" / "fer_msgs" / "msg" for prefix in prefixes if prefix)
    for candidate in candidates:
        if is_file(candidate / "EmotionArray.msg"):
            return candidate
    told = ", ".join(map(str, candidates))
    msg = f"the message definitions of fer_msgs are in none of {told}; build fer_msgs and source it"
    raise SourceError(msg)


def fer_typestore() -> Typestore:
    """The common ROS 2 message types with those of fer_msgs.

    Raises:
        SourceError: see `message_definitions`.
    """
    store = get_typestore(Stores.ROS2_JAZZY)
    for path in sorted(message_definitions().glob("*.msg")):
        store.register(get_types_from_msg(path.read_text(encoding="utf-8"), f"fer_msgs/msg/{path.stem}"))
    return store


@dataclass(frozen=True)
class BagMessage:
    """One message of a bag.

    Attributes:
        connection: its topic, type and QoS.
        received_ns: when the recorder got it, in ns.
        data: CDR bytes.
    """

    connection: Connection
    received_ns: int
    data: bytes

    @property
    def topic(self) -> str:
        """Name of the topic."""
        return self.connection.topic


@dataclass(frozen=True)
class BagImage:
    """Header and still encoded image of an image message.

    Attributes:
        topic: camera topic.
        header: the std_msgs/Header.
        stamp_ns: its stamp; 0 where the driver set none.
        received_ns: when the recorder got it.
        decode: gives (H, W, 3) uint8 BGR or (H, W) gray; raises ImageError.
    """

    topic: str
    header: Any
    stamp_ns: int
    received_ns: int
    decode: Callable[[], NDArray[np.uint8]]


class BagReader:
    """Reads a rosbag2: a directory with metadata.yaml, or one .mcap or .db3 file; zstd-compressed ones too.

    Args:
        path: of the bag.

    Raises:
        SourceError: it does not exist, is no rosbag2 or is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            msg = f"{path} does not exist; expected a rosbag2 directory, .mcap or .db3 file"
            raise SourceError(msg)
        if path.is_dir() and not (path / "metadata.yaml").is_file():
            msg = f"{path} holds no metadata.yaml, so it is no complete rosbag2; {_FIX}"
            raise SourceError(msg)
        try:
            self._reader = Reader(path)
            self._reader.open()
            self._check_connections()
        except Exception as err:  # noqa: BLE001 - on damaged files the reader lets errors of every layer below through
            raise self._damaged(err) from None
        self._store = get_typestore(Stores.ROS2_JAZZY)

    @property
    def connections(self) -> list[Connection]:
        """Every topic with its type and QoS."""
        return self._reader.connections

    @property
    def topics(self) -> dict[str, str]:
        """Topic name -> message type."""
        return {connection.topic: connection.msgtype for connection in self.connections}

    def count(self, topics: Sequence[str]) -> int:
        """Number of messages on `topics`."""
        return sum(c.msgcount for c in self.connections if c.topic in topics)

    def camera_topics(self, wanted: Sequence[str] = ()) -> list[str]:
        """The image topics to look at.

        Args:
            wanted: topics the user named; empty = every raw or compressed image topic, without compressed depth and
                without the compressed twins of raw topics.

        Raises:
            SourceError: a wanted topic is missing or carries no images, or there are no image topics.
        """
        images = [name for name, kind in self.topics.items() if kind in {IMAGE_TYPE, COMPRESSED_TYPE}]
        told = ", ".join(sorted(images)) or "none"
        for name in wanted:
            if name not in self.topics:
                msg = f"{self.path} has no topic {name}; its image topics: {told}"
                raise SourceError(msg)
            if name not in images:
                msg = f"topic {name} of {self.path} is a {self.topics[name]}, not an image; its image topics: {told}"
                raise SourceError(msg)
        if wanted:
            return list(dict.fromkeys(wanted))
        found = [
            name
            for name in sorted(images)
            if not name.endswith("/compressedDepth") and name.removesuffix("/compressed") not in set(images) - {name}
        ]
        if not found:
            kinds = ", ".join(sorted(set(self.topics.values()))) or "no messages at all"
            msg = f"{self.path} has no image topics ({kinds}); expected {IMAGE_TYPE} or {COMPRESSED_TYPE}"
            raise SourceError(msg)
        return found

    def messages(self, topics: Sequence[str] = ()) -> Iterator[BagMessage]:
        """The messages of `topics` (empty = of all) in the order they were received.

        Raises:
            SourceError: the bag turns out to be damaged, or to hold fewer messages than it announces; what came before
                is valid.
        """
        connections = [c for c in self.connections if not topics or c.topic in topics]
        if not connections:
            return
        found: Counter[str] = Counter()
        iterator = self._reader.messages(connections)
        while True:
            try:
                # Whatever types the columns of a damaged sqlite3 file have.
                connection, received_ns, data = cast(tuple[Any, Any, Any], next(iterator))
            except StopIteration:
                break
            except Exception as err:  # noqa: BLE001 - as in __init__
                raise self._damaged(err) from None
            if not isinstance(received_ns, int) or not isinstance(data, (bytes, bytearray, memoryview)):
                kinds = f"{type(received_ns).__name__} and {type(data).__name__}"
                raise self._damaged(TypeError(f"time and data of a message are {kinds}, expected int and bytes"))
            if received_ns < 0:
                # mcap has no such times, so such a message could not be copied.
                raise self._damaged(ValueError(f"a message was received at {received_ns} ns, expected 0 or later"))
            found[connection.topic] += 1
            yield BagMessage(connection, received_ns, bytes(data))
        self._check_complete(connections, found)

    def read_image(self, message: BagMessage) -> BagImage:
        """Take an image message apart; the image itself is decoded later, by `BagImage.decode`.

        Raises:
            ImageError: cause "corrupt": the message's bytes do not follow its type.
        """
        kind = message.connection.msgtype
        try:
            parts = cast(Any, self._store.deserialize_cdr(message.data, kind))
        except Exception as err:  # noqa: BLE001 - arbitrary bytes make the deserializer fail in arbitrary ways
            cause, text = "corrupt", f"a message on {message.topic} is no valid {kind} ({type(err).__name__}: {err})"
            raise ImageError(cause, text) from None
        stamp = parts.header.stamp
        stamp_ns = int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)

        def decode() -> NDArray[np.uint8]:
            if kind == COMPRESSED_TYPE:
                return decode_compressed(format=parts.format, data=parts.data)
            return decode_raw(
                encoding=parts.encoding,
                width=parts.width,
                height=parts.height,
                step=parts.step,
                data=parts.data,
                is_bigendian=parts.is_bigendian,
            )

        return BagImage(message.topic, parts.header, stamp_ns, message.received_ns, decode)

    def close(self) -> None:
        """Close the files; idempotent."""
        if self._reader.is_open:
            self._reader.close()

    def __enter__(self) -> BagReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_connections(self) -> None:
        """The reader takes whatever metadata.yaml says; raises TypeError where it is not what it must be."""
        for connection in self.connections:
            names, count = (connection.topic, connection.msgtype), connection.msgcount
            if not all(isinstance(name, str) for name in names) or not isinstance(count, int):
                msg = f"name, type and number of messages of a topic are {names[0]!r}, {names[1]!r} and {count!r}"
                raise TypeError(msg)

    def _check_complete(self, connections: Sequence[Connection], found: Counter[str]) -> None:
        """The reader passes over what an index or metadata.yaml does not lead to, without a word."""
        announced: Counter[str] = Counter()
        for connection in connections:
            announced[connection.topic] += connection.msgcount
        short = [f"{found[topic]} of {n} on {topic}" for topic, n in sorted(announced.items()) if found[topic] < n]
        if short:
            msg = (
                f"{self.path} announces more messages than can be read ({', '.join(short)}): a file or its index is "
                f"damaged, or metadata.yaml is of another recording; {_FIX}"
            )
            raise SourceError(msg)

    def _damaged(self, err: Exception) -> SourceError:
        fix = _FIX
        if self.path.suffix == ".bag":
            fix = "bags of ROS 1 become readable with `rosbags-convert --src OLD.bag --dst NEW`"
        elif self.path.suffix.lower() in VIDEO_SUFFIXES:
            fix = "videos go through `fer run`"
        if isinstance(err, OSError) and err.errno == errno.ENOSPC:
            msg = f"{self.path} cannot be unpacked: {err.strerror}; make room, or set TMPDIR to a folder that has some"
            return SourceError(msg)
        # Some errors say nothing, such as that of a length no memory holds, or one word, such as a missing key.
        told = " ".join(str(err).split())
        told = told if " " in told else f"{type(err).__name__} {told}".strip()
        return SourceError(f"{self.path} is no readable rosbag2 ({told}); {fix}")


class BagWriter:
    """Writes a new rosbag2 (mcap). Used with `with`, it is a complete bag whatever ends the block, Ctrl-C included.

    Args:
        path: directory that will be made; must not exist.

    Raises:
        SourceError: it exists or cannot be made.
    """

    def __init__(self, path: Path, *, sqlite3: bool = False) -> None:
        self.path = path
        plugin = StoragePlugin.SQLITE3 if sqlite3 else StoragePlugin.MCAP
        try:
            self._writer = Writer(path, version=8, storage_plugin=plugin)
            self._writer.open()
        except WriterError:
            msg = f"{path} exists already; name a new bag, or remove it first"
            raise SourceError(msg) from None
        except OSError as err:
            msg = f"{path} cannot be made: {err.strerror}"
            raise SourceError(msg) from None
        self._open = True

    def copy_connection(self, connection: Connection) -> Connection | None:
        """Announce a topic of another bag here.

        Returns:
            What `write` takes; None where the other bag lacks a usable definition of the type and it is not a common
            one.
        """
        ext = cast(ConnectionExtRosbag2, connection.ext)
        qos = ext.offered_qos_profiles
        definition = connection.msgdef.data
        if definition and connection.digest:
            return self._writer.add_connection(
                connection.topic,
                connection.msgtype,
                msgdef=definition,
                rihs01=connection.digest,
                offered_qos_profiles=qos,
            )
        # Older bags carry no hash of the type: it is worked out from the definition.
        store = fer_typestore()
        if definition and connection.msgdef.format is MessageDefinitionFormat.MSG:
            # One that does not parse is as good as none.
            with contextlib.suppress(TypesysError):
                types = get_types_from_msg(definition, connection.msgtype)
                store.register({name: fields for name, fields in types.items() if name not in store.fielddefs})
        if connection.msgtype not in store.fielddefs:
            return None
        try:
            return self._writer.add_connection(
                connection.topic, connection.msgtype, typestore=store, offered_qos_profiles=qos
            )
        except TypesysError:
            # It has fields of types that are defined nowhere.
            return None

    def add_topic(self, topic: str, msgtype: str, store: Typestore, qos: Sequence[Qos] = ()) -> Connection:
        """Announce a new topic of a type that `store` knows."""
        return self._writer.add_connection(topic, msgtype, typestore=store, offered_qos_profiles=qos)

    def write(self, connection: Connection, received_ns: int, data: bytes | memoryview) -> None:
        """Append one message.

        Raises:
            SourceError: the disk is full or gone.
        """
        try:
            self._writer.write(connection, received_ns, data)
        except OSError as err:
            msg = f"{self.path} cannot be written: {err.strerror}"
            raise SourceError(msg) from None

    def close(self) -> None:
        """Write index and metadata; idempotent.

        Raises:
            SourceError: the disk is full or gone.
        """
        if self._open:
            self._open = False
            try:
                self._writer.close()
            except OSError as err:
                msg = f"{self.path} cannot be finished: {err.strerror}; its last messages and its index are missing"
                raise SourceError(msg) from None

    def __enter__(self) -> BagWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
