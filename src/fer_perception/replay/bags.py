"""Reader and writer of rosbag2 files without a ROS installation: camera topics in, messages of any type out."""

from __future__ import annotations

import errno
import os
import re
import shutil
import sqlite3 as sqlite
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from rosbags.interfaces import Connection, ConnectionExtRosbag2, MessageDefinitionFormat, Qos
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.rosbag2.metadata import parse_qos
from rosbags.typesys import Stores, TypesysError, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from fer_perception.errors import ImageError, SourceError
from fer_perception.imaging.encodings import decode_message
from fer_perception.replay.bag_files import find_files, open_file
from fer_perception.replay.storage import (
    ZSTD_MAGIC,
    Channel,
    DamagedFileError,
    StorageFile,
    StoredMessage,
    merged,
    unzstd,
)
from fer_perception.results.messages import stamp_ns_of
from fer_perception.system.part_files import hold, part_of, remove_leftovers
from fer_perception.system.paths import is_file, share_directory

IMAGE_TYPE = "sensor_msgs/msg/Image"
COMPRESSED_TYPE = "sensor_msgs/msg/CompressedImage"
EMOTIONS_TYPE = "fer_msgs/msg/EmotionArray"

IMAGE_TYPES = (IMAGE_TYPE, COMPRESSED_TYPE)

#: How image_transport names the compressed twin of a raw topic.
_TWIN = "/compressed"
#: Results that look like cameras: debug images, and all that lies below a face or body of REP-155.
_DERIVED = re.compile(r"/(debug_image(/compressed)?|humans/(faces|bodies)/[^/]+/.+)$")
#: Share of its twin's messages that a raw topic must have, and how many of its images are tried.
_ENOUGH, _TRIED = 0.9, 3
#: Topics and kinds of damage that an error names.
_LISTED, _DAMAGE_TOLD = 20, 3


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
    """Reads a rosbag2: a directory, its metadata.yaml, or one storage file (MCAP or SQLite, zstd-compressed ones too).

    The splits of a bag are merged by time of receipt. What cannot be read is left out, and told at the end.

    Args:
        path: of the bag.

    Attributes:
        notes: what is unusual about the bag and harms nothing: for people, each one sentence.
        passed_over: topics whose messages are not CDR, with their encoding and number.

    Raises:
        SourceError: it does not exist, is no rosbag2 or is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.passed_over: dict[str, tuple[str, int]] = {}
        self._stack = ExitStack()
        self._opened: list[tuple[str, StorageFile, dict[int, int]]] = []
        try:
            self._files = find_files(path)
            self._open_files()
        except SourceError:
            self.close()
            raise
        except Exception as err:  # noqa: BLE001 - arbitrary bytes fail in arbitrary ways in the layers below
            self.close()
            raise self._unreadable(err) from None
        self.notes = [*self._files.notes, *(note for _, file, _ in self._opened for note in file.notes)]
        for topic, (encoding, count) in self.passed_over.items():
            told = f"{encoding!r}" if encoding else "unknown"
            self.notes.append(f"{topic} is passed over: the encoding of its {_messages(count)} is {told}, not CDR")
        self._store = get_typestore(Stores.ROS2_JAZZY)

    @property
    def connections(self) -> list[Connection]:
        """Every topic with its type and QoS; a topic that has several types is there once with each."""
        return list(self._connections)

    @property
    def topics(self) -> dict[str, str]:
        """Topic name -> message type; several types are joined by " and "."""
        types: dict[str, list[str]] = {}
        for connection in self._connections:
            types.setdefault(connection.topic, []).append(connection.msgtype or "of unknown type")
        return {topic: " and ".join(kinds) for topic, kinds in types.items()}

    def count(self, topics: Sequence[str], types: Sequence[str] = ()) -> int:
        """Number of messages on `topics`; of `types` only, where any are given."""
        return sum(c.msgcount for c in self._connections if c.topic in topics and (not types or c.msgtype in types))

    def camera_topics(self, wanted: Sequence[str] = ()) -> list[str]:
        """The image topics to look at; what is not obvious about the choice becomes one of the `notes`.

        Args:
            wanted: topics the user named; empty = every raw or compressed image topic that holds a message, without
                compressed depth, without results of this node and crops of REP-155, and only one of a raw topic and
                its compressed twin: the raw one, unless it holds less or cannot be used.

        Raises:
            SourceError: a wanted topic is missing or carries no images, or there is no image topic with messages.
        """
        images = {c.topic for c in self._connections if c.msgtype in IMAGE_TYPES}
        told = ", ".join(sorted(images)) or "none"
        for name in wanted:
            if name not in self.topics:
                why = f"; its messages are {self.passed_over[name][0]!r}, not CDR" if name in self.passed_over else ""
                msg = f"{self.path} has no topic {name}{why}; its image topics: {told}"
                raise SourceError(msg)
            if name not in images:
                msg = f"topic {name} of {self.path} is a {self.topics[name]}, not an image; its image topics: {told}"
                raise SourceError(msg)
        chosen = list(dict.fromkeys(wanted)) or self._choose_cameras(images)
        empty = [name for name in chosen if not self.count([name], IMAGE_TYPES)]
        if len(empty) == len(chosen):
            what = f"no message on {', '.join(empty)}" if empty else "no image topics"
            msg = f"{self.path} has {what}; expected {IMAGE_TYPE} or {COMPRESSED_TYPE}; its topics: {self._listing()}"
            raise SourceError(msg)
        if empty:
            self.notes.append(f"no message on {', '.join(empty)}")
        for name in chosen:
            others = [c for c in self._connections if c.topic == name and c.msgtype not in IMAGE_TYPES]
            for other in others:
                told = f"{_messages(other.msgcount)} of type {other.msgtype or 'unknown'}"
                self.notes.append(f"{name} also carries {told}: not looked at")
        return chosen

    def messages(self, topics: Sequence[str] = ()) -> Iterator[BagMessage]:
        """The messages of `topics` (empty = of all) in the order they were received.

        Raises:
            SourceError: after the last message: a part of the bag could not be read, or it holds fewer messages than it
                announces; what came before is valid.
        """
        found: Counter[str] = Counter()
        damage = list(self._files.damage)
        entries = [
            (file.start_ns, partial(self._guarded, index, topics, damage))
            for index, (_, file, _) in enumerate(self._opened)
        ]
        for received_ns, key, data in merged(entries):
            connection = self._connections[key]
            found[connection.topic] += 1
            if received_ns < 0:
                # mcap has no such times, so such a message could not be copied.
                damage.append(f"a message was received at {received_ns} ns, expected 0 or later")
                continue
            if data.startswith(ZSTD_MAGIC):
                # CDR never begins like this: each message was compressed by itself.
                try:
                    unpacked = unzstd(data)
                except DamagedFileError as err:
                    damage.append(f"a message on {connection.topic}: {err}")
                    continue
                yield BagMessage(connection, received_ns, unpacked)
            else:
                yield BagMessage(connection, received_ns, data)
        for name, file, _ in self._opened:
            damage += [f"{name}: {part}" for part in file.damage]
        damage += self._short(topics, found)
        if damage:
            more = [f"and {len(damage) - _DAMAGE_TOLD} more"] if len(damage) > _DAMAGE_TOLD else []
            told = "; ".join([*damage[:_DAMAGE_TOLD], *more])
            msg = f"{self.path} is damaged or incomplete ({told}); copy it again, or record it anew"
            raise SourceError(msg)

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
        return BagImage(
            message.topic,
            parts.header,
            stamp_ns_of(parts.header.stamp),
            message.received_ns,
            partial(decode_message, parts),
        )

    def close(self) -> None:
        """Close the files; idempotent."""
        self._stack.close()

    def __enter__(self) -> BagReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open_files(self) -> None:
        """Open every storage file; one that cannot be read is damage where there are others."""
        self._connections: list[Connection] = []
        places: dict[tuple[str, str], int] = {}
        last: DamagedFileError | SourceError | None = None
        for path in self._files.paths:
            try:
                file = open_file(path, self._stack)
            except (DamagedFileError, SourceError) as err:
                self._files.damage.append(f"{path.name}: {err}")
                last = err
                continue
            keys = {}
            for key, channel in file.channels.items():
                if channel.encoding != "cdr":
                    count = self.passed_over.get(channel.topic, ("", 0))[1] + channel.count
                    self.passed_over[channel.topic] = (channel.encoding, count)
                    continue
                place = places.setdefault((channel.topic, channel.msgtype), len(places))
                if place == len(self._connections):
                    self._connections.append(self._connection(channel, place))
                self._connections[place] = _with_channel(self._connections[place], channel)
                keys[key] = place
            self._opened.append((path.name, file, keys))
        if last is not None and not self._opened:
            raise last

    def _connection(self, channel: Channel, place: int) -> Connection:
        try:
            qos = parse_qos(channel.qos)
        except Exception:  # noqa: BLE001 - whatever a file says there; the defaults serve as well
            qos = []
            self._files.notes.append(f"the QoS profiles of {channel.topic} cannot be read")
        digest = self._files.digests.get((channel.topic, channel.msgtype), channel.digest)
        extension = ConnectionExtRosbag2("cdr", qos)
        return Connection(place, channel.topic, channel.msgtype, channel.definition, digest, 0, extension, self)

    def _guarded(self, index: int, topics: Sequence[str], damage: list[str]) -> Iterator[StoredMessage]:
        """Messages of one file, with places in `_connections` as keys; what ends it early becomes damage."""
        name, file, keys = self._opened[index]
        wanted = [key for key, place in keys.items() if not topics or self._connections[place].topic in topics]
        try:
            for received_ns, key, data in file.messages(wanted) if wanted else ():
                yield received_ns, keys[key], data
        except Exception as err:  # noqa: BLE001 - as in __init__
            damage.append(f"{name}: {_words(err)}")

    def _short(self, topics: Sequence[str], found: Counter[str]) -> list[str]:
        """Topics with fewer messages than the files, or metadata.yaml, announce."""
        announced: Counter[str] = Counter()
        for connection in self._connections:
            announced[connection.topic] += connection.msgcount
        announced |= Counter({t: n for t, n in self._files.announced.items() if t not in self.passed_over})
        short = [
            f"{found[topic]} of {count} on {topic}"
            for topic, count in sorted(announced.items())
            if found[topic] < count and (not topics or topic in topics)
        ]
        return [f"it announces more messages than can be read: {', '.join(short)}"] if short else []

    def _choose_cameras(self, images: set[str]) -> list[str]:
        derived = sorted(name for name in images if _DERIVED.search(name))
        if derived:
            told = ", ".join(derived)
            self.notes.append(f"left out, being results and no cameras: {told}; --topic names one to look at it")
        candidates = {n for n in images - set(derived) if not n.endswith("/compressedDepth")}
        chosen = []
        for name in sorted(candidates):
            raw, twin = name.removesuffix(_TWIN), f"{name.removesuffix(_TWIN)}{_TWIN}"
            if {raw, twin} <= candidates:
                if name == raw:
                    chosen.append(self._better_twin(raw, twin))
            elif self.count([name], IMAGE_TYPES) or len(candidates) == 1:
                chosen.append(name)
            else:
                self.notes.append(f"no message on {name}")
        return sorted(chosen)

    def _better_twin(self, raw: str, twin: str) -> str:
        """One of a raw topic and its compressed twin."""
        both = self.count([raw], IMAGE_TYPES), self.count([twin], IMAGE_TYPES)
        chosen, why = raw, ""
        if both[0] < _ENOUGH * both[1]:
            chosen = twin
        elif both[1] and not self._usable(raw) and self._usable(twin):
            chosen, why = twin, ", whose images cannot be used"
        if chosen == twin or both[0] < both[1]:
            other = raw if chosen == twin else twin
            counts = dict(zip((raw, twin), map(_messages, both), strict=True))
            self.notes.append(f"{chosen} ({counts[chosen]}) is taken instead of {other} ({counts[other]}){why}")
        return chosen

    def _usable(self, topic: str) -> bool:
        """True where one of the first images of a topic can be used."""
        with suppress(SourceError):
            for message in islice(self.messages([topic]), _TRIED):
                if message.connection.msgtype in IMAGE_TYPES:
                    with suppress(ImageError):
                        self.read_image(message).decode()
                        return True
        return False

    def _listing(self) -> str:
        told = [f"{c.topic} ({c.msgtype or 'unknown type'}, {_messages(c.msgcount)})" for c in self._connections]
        told += [f"{topic} ({kind or 'unknown'}, not CDR)" for topic, (kind, _) in self.passed_over.items()]
        more = [f"and {len(told) - _LISTED} more"] if len(told) > _LISTED else []
        return ", ".join([*told[:_LISTED], *more]) or "none"

    def _unreadable(self, err: Exception) -> SourceError:
        if isinstance(err, OSError) and err.errno == errno.ENOSPC:
            msg = f"{self.path} cannot be unpacked: {err.strerror}; make room, or set TMPDIR to a folder that has some"
            return SourceError(msg)
        if isinstance(err, PermissionError):
            return SourceError(f"{self.path} cannot be read: {err.strerror}; ask its owner for permission to read it")
        fix = "copy it again from where it was recorded"
        if str(err).startswith("metadata.yaml"):
            fix = "name one of its files, or let `ros2 bag reindex` write metadata.yaml anew"
        return SourceError(f"{self.path} is no readable rosbag2 ({_words(err)}); {fix}")


def _with_channel(connection: Connection, channel: Channel) -> Connection:
    """A connection with the messages of one more channel, and the definition of its type where it had none."""
    better = connection.msgdef.format is MessageDefinitionFormat.NONE
    return connection._replace(
        msgcount=connection.msgcount + channel.count,
        msgdef=channel.definition if better else connection.msgdef,
        digest=connection.digest or channel.digest,
    )


def _messages(count: int) -> str:
    return f"{count} message{'' if count == 1 else 's'}"


def _words(err: Exception) -> str:
    """Text of an error on one line; some have none, or one word, such as a missing key."""
    told = " ".join(str(err).split())
    return told if " " in told else f"{type(err).__name__} {told}".strip()


class BagWriter:
    """Writes a new rosbag2 (mcap). Used with `with`, it is a complete bag whatever ends the block, Ctrl-C included.

    It grows in `.NAME.<hex>.part` beside its place, which it takes when it is closed: of a process that was killed no
    bag is left, and the next one removes its part.

    Args:
        path: directory that will be made; must not exist.

    Attributes:
        complete: it has taken its place.

    Raises:
        SourceError: it exists or cannot be made.
    """

    def __init__(self, path: Path, *, sqlite3: bool = False) -> None:
        self.path = path
        self.complete = False
        if path.exists() or path.is_symlink():
            msg = f"{path} exists already; name a new bag, or remove it first"
            raise SourceError(msg)
        plugin = StoragePlugin.SQLITE3 if sqlite3 else StoragePlugin.MCAP
        self._place = path.absolute()
        self._part = part_of(self._place)
        with ExitStack() as stack:
            try:
                self._place.parent.mkdir(parents=True, exist_ok=True)
                remove_leftovers(self._place)
                self._part.mkdir()
                stack.callback(shutil.rmtree, self._part, ignore_errors=True)
                folder = os.open(self._part, os.O_RDONLY)
                stack.callback(os.close, folder)
                hold(folder)
                # The file in it is named after the folder.
                self._writer = Writer(self._part / self._place.name, version=8, storage_plugin=plugin)
                self._writer.open()
            except (OSError, sqlite.Error) as err:
                msg = f"{path} cannot be made: {getattr(err, 'strerror', None) or err}"
                raise SourceError(msg) from None
            self._stack = stack.pop_all()

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
            with suppress(TypesysError):
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
        """Write index and metadata and take the bag's place; idempotent.

        Raises:
            SourceError: the disk is full or gone; no bag is left.
        """
        with self._stack.pop_all():
            if self.complete or not self._part.exists():
                return
            try:
                self._writer.close()
                (self._part / self._place.name).rename(self._place)
            except OSError as err:
                msg = f"{self.path} cannot be finished: {err.strerror}; make room, or name another place"
                raise SourceError(msg) from None
            self.complete = True

    def __enter__(self) -> BagWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
