"""MCAP files (https://mcap.dev/spec), with every option their writers have.

Where the index at the end leads to every message it is used; where it does not (no summary, no message index, channels
or schemas that are not repeated, a recorder that was killed) the file is read once from start to end and indexed here.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

import lz4.frame
from rosbags.interfaces import MessageDefinition, MessageDefinitionFormat

from fer_perception.replay.storage import MAX_UNPACKED, Channel, DamagedFileError, StoredMessage, merged, unzstd

MAGIC = b"\x89MCAP0\r\n"

_FOOTER, _SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _CHUNK_INDEX, _STATISTICS, _DATA_END = 2, 3, 4, 5, 6, 8, 11, 15
#: Kinds of records whose content is looked at.
_READ = {_SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _CHUNK_INDEX, _STATISTICS}
#: Kinds from one on may be a writer's own from the other on.
_LAST_KNOWN, _FIRST_PRIVATE = 15, 0x80

#: Code and length.
_RECORD = struct.Struct("<BQ")
#: Channel, sequence, time of receipt, time of publication.
_MESSAGE_START = struct.Struct("<HIQQ")
#: Bytes of the footer record and the magic after it.
_TAIL = 37

_FORMATS = {"ros2msg": MessageDefinitionFormat.MSG, "ros2idl": MessageDefinitionFormat.IDL}
_FORMATS["omgidl"] = MessageDefinitionFormat.IDL


@dataclass(frozen=True)
class _Chunk:
    """A chunk, or one message outside of chunks, by its place in the file; `channels` None = not known."""

    offset: int
    start_ns: int
    channels: frozenset[int] | None


@dataclass
class _Contents:
    """Contents of a file, from its summary or from a scan."""

    schemas: dict[int, tuple[str, MessageDefinition]] = field(default_factory=dict)
    channels: dict[int, tuple[int, str, str, dict[str, str]]] = field(default_factory=dict)
    chunks: list[_Chunk] = field(default_factory=list)
    counts: Counter[int] = field(default_factory=Counter)


class _Cursor:
    """Fields of a record one after the other; raises DamagedFileError where it ends too early."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, layout: str) -> tuple[int, ...]:
        size = struct.calcsize(layout)
        return struct.unpack(layout, self.raw(size))

    def raw(self, size: int) -> bytes:
        part = self._data[self._at : self._at + size]
        if len(part) < size:
            msg = f"a record of {len(self._data)} bytes is too short for what it announces"
            raise DamagedFileError(msg)
        self._at += size
        return part

    def blob(self) -> bytes:
        return self.raw(self.take("<I")[0])

    def text(self) -> str:
        return self.blob().decode("utf-8", errors="replace")

    def left(self) -> bool:
        return self._at < len(self._data)


class McapFile:
    """One MCAP file; see `storage.StorageFile`.

    Args:
        path: of the file.

    Raises:
        DamagedFileError: it is no MCAP file, or not one message of it can be read.
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.damage: list[str] = []
        self.notes: list[str] = []
        self._path = path
        with path.open("rb") as file:
            self._size = file.seek(0, 2)
            file.seek(0)
            if file.read(len(MAGIC)) != MAGIC:
                msg = "it does not start as an MCAP file"
                raise DamagedFileError(msg)
            contents, announced = self._from_summary(file)
            if contents is None:
                contents = self._scan(file)
                if (total := sum(contents.counts.values())) < announced:
                    self.damage.append(f"it announces {announced} messages and holds {total} that can be read")
        if self.damage and not contents.chunks:
            raise DamagedFileError("; ".join(self.damage))
        self._contents = contents
        if lost := sum(count for key, count in contents.counts.items() if key not in contents.channels):
            self.damage.append(f"{lost} messages belong to topics that it does not define")
        self.channels = {key: _channel(contents, key) for key in contents.channels}
        self.start_ns = min((chunk.start_ns for chunk in contents.chunks), default=0)

    def messages(self, wanted: Collection[int]) -> Iterator[StoredMessage]:
        """Messages of the channels `wanted` in the order they were received; damaged chunks are left out and noted."""
        keys = frozenset(wanted)
        chunks = [chunk for chunk in self._contents.chunks if chunk.channels is None or chunk.channels & keys]
        with self._path.open("rb") as file:
            yield from merged([(chunk.start_ns, partial(self._read, file, chunk, keys)) for chunk in chunks])

    def close(self) -> None:
        """Nothing is open between the calls."""

    def _read(self, file: BinaryIO, chunk: _Chunk, keys: frozenset[int]) -> Iterator[StoredMessage]:
        try:
            opcode, body, _ = self._record_at(file, chunk.offset)
            found = _messages(opcode, body)
        except DamagedFileError as err:
            told = f"the messages at byte {chunk.offset}: {err}"
            if told not in self.damage:
                self.damage.append(told)
            return
        yield from sorted((message for message in found if message[1] in keys), key=lambda message: message[0])

    def _record_at(self, file: BinaryIO, offset: int) -> tuple[int, bytes, int]:
        """Kind and content (of those in `_READ`) of a record, and where the next one begins."""
        file.seek(offset)
        start = file.read(_RECORD.size)
        if len(start) < _RECORD.size:
            msg = "the file ends there"
            raise DamagedFileError(msg)
        opcode, length = _RECORD.unpack(start)
        if opcode == 0 or _LAST_KNOWN < opcode < _FIRST_PRIVATE:
            msg = f"{opcode} is no kind of record"
            raise DamagedFileError(msg)
        if length > self._size - offset - _RECORD.size:
            msg = f"a record of {length} bytes does not fit into the file"
            raise DamagedFileError(msg)
        following = offset + _RECORD.size + length
        return opcode, file.read(length) if opcode in _READ else b"", following

    def _from_summary(self, file: BinaryIO) -> tuple[_Contents | None, int]:
        """Contents by the index at the end, None where that does not lead to every message; messages announced."""
        announced = 0
        contents = _Contents()
        chunks_announced = -1
        with suppress(DamagedFileError):
            file.seek(max(0, self._size - _TAIL))
            tail = file.read()
            if tail[:1] != bytes([_FOOTER]) or not tail.endswith(MAGIC):
                return None, 0
            (at,) = struct.unpack_from("<Q", tail, _RECORD.size)
            end = self._size - _TAIL
            while len(MAGIC) <= at < end:
                opcode, body, at = self._record_at(file, at)
                if opcode in {_SCHEMA, _CHANNEL}:
                    _take_definition(contents, opcode, body)
                elif opcode == _CHUNK_INDEX:
                    contents.chunks.append(_chunk_index(body))
                elif opcode == _STATISTICS:
                    announced, chunks_announced, contents.counts = _statistics(body)
            used = {key for key, count in contents.counts.items() if count}
            told = used <= set(contents.channels) and sum(contents.counts.values()) == announced
            if told and announced and 0 < chunks_announced == len(contents.chunks):
                schemas = {contents.channels[key][0] for key in used} - {0}
                if schemas <= set(contents.schemas):
                    return contents, announced
        return None, announced

    def _scan(self, file: BinaryIO) -> _Contents:
        contents = _Contents()
        at = len(MAGIC)
        while True:
            try:
                opcode, body, following = self._record_at(file, at)
            except DamagedFileError as err:
                where = f"{at} of its {self._size} bytes"
                self.damage.append(f"it was not finished or is cut ({err}): {where} can be read")
                break
            if opcode in {_DATA_END, _FOOTER}:
                break
            try:
                self._take(contents, opcode, body, at)
            except DamagedFileError as err:
                self.damage.append(f"a part at byte {at}: {err}")
            at = following
        return contents

    def _take(self, contents: _Contents, opcode: int, body: bytes, at: int) -> None:
        if opcode in {_SCHEMA, _CHANNEL}:
            _take_definition(contents, opcode, body)
        elif opcode == _MESSAGE:
            time, key, _ = _message(body)
            contents.counts[key] += 1
            contents.chunks.append(_Chunk(at, time, frozenset([key])))
        elif opcode == _CHUNK:
            counts: Counter[int] = Counter()
            start = -1
            for code, part in _records(_unpack(body)):
                if code in {_SCHEMA, _CHANNEL}:
                    _take_definition(contents, code, part)
                elif code == _MESSAGE:
                    time, key, _ = _message(part)
                    counts[key] += 1
                    start = time if start < 0 else min(start, time)
            if counts:
                contents.counts += counts
                contents.chunks.append(_Chunk(at, start, frozenset(counts)))


def _records(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Code and body of each record of an unpacked chunk."""
    at = 0
    while at < len(data):
        if at + _RECORD.size > len(data):
            msg = "its last record is cut"
            raise DamagedFileError(msg)
        opcode, length = _RECORD.unpack_from(data, at)
        at += _RECORD.size
        if length > len(data) - at:
            msg = f"a record of {length} bytes does not fit into its chunk"
            raise DamagedFileError(msg)
        yield opcode, data[at : at + length]
        at += length


def _unpack(body: bytes) -> bytes:
    """The records of a chunk."""
    cursor = _Cursor(body)
    _, _, size, checksum = cursor.take("<QQQI")
    compression = cursor.text()
    packed = cursor.raw(cursor.take("<Q")[0])
    if size > MAX_UNPACKED:
        msg = f"a chunk of {size} bytes; at most {MAX_UNPACKED} are unpacked"
        raise DamagedFileError(msg)
    if compression == "zstd":
        # The end of a frame is seen only where there is room behind its last byte.
        data = unzstd(packed, size + 1)
    elif compression == "lz4":
        try:
            data = lz4.frame.LZ4FrameDecompressor().decompress(packed, max_length=size)
        except (RuntimeError, EOFError) as err:
            msg = f"lz4: {err}"
            raise DamagedFileError(msg) from None
    elif not compression:
        data = packed
    else:
        msg = f"compression {compression[:40]!r}; expected zstd, lz4 or none"
        raise DamagedFileError(msg)
    if len(data) != size or (checksum and crc32(data) != checksum):
        msg = "a chunk whose size or checksum is wrong"
        raise DamagedFileError(msg)
    return data


def _messages(opcode: int, body: bytes) -> list[StoredMessage]:
    """The messages of a chunk, or the one that lies outside of chunks."""
    if opcode == _MESSAGE:
        return [_message(body)]
    if opcode == _CHUNK:
        return [_message(part) for code, part in _records(_unpack(body)) if code == _MESSAGE]
    msg = "the index leads there, and no messages begin there"
    raise DamagedFileError(msg)


def _message(body: bytes) -> StoredMessage:
    if len(body) < _MESSAGE_START.size:
        msg = f"a message record of {len(body)} bytes"
        raise DamagedFileError(msg)
    key, _, received_ns, _ = _MESSAGE_START.unpack_from(body)
    return received_ns, key, body[_MESSAGE_START.size :]


def _take_definition(contents: _Contents, opcode: int, body: bytes) -> None:
    cursor = _Cursor(body)
    if opcode == _SCHEMA:
        (key,) = cursor.take("<H")
        name, kind = cursor.text(), cursor.text()
        text = cursor.text()
        shape = _FORMATS.get(kind, MessageDefinitionFormat.NONE)
        definition = MessageDefinition(shape, text if shape is not MessageDefinitionFormat.NONE else "")
        contents.schemas[key] = (name, definition)
        return
    key, schema = cursor.take("<HH")
    topic, encoding = cursor.text(), cursor.text()
    entries = _Cursor(cursor.blob())
    metadata = {}
    while entries.left():
        name = entries.text()
        metadata[name] = entries.text()
    contents.channels[key] = (schema, topic, encoding, metadata)


def _chunk_index(body: bytes) -> _Chunk:
    cursor = _Cursor(body)
    start_ns, _, offset, _ = cursor.take("<QQQQ")
    entries = _Cursor(cursor.blob())
    keys = set()
    while entries.left():
        keys.add(entries.take("<HQ")[0])
    # Without a message index it is not known which channels are in it.
    return _Chunk(offset, start_ns, frozenset(keys) if keys else None)


def _statistics(body: bytes) -> tuple[int, int, Counter[int]]:
    """Messages, chunks, and messages of each channel."""
    cursor = _Cursor(body)
    fields = cursor.take("<QHIIIIQQ")
    entries = _Cursor(cursor.blob())
    counts: Counter[int] = Counter()
    while entries.left():
        key, count = entries.take("<HQ")
        counts[key] = count
    return fields[0], fields[5], counts


def _channel(contents: _Contents, key: int) -> Channel:
    schema, topic, encoding, metadata = contents.channels[key]
    name, definition = contents.schemas.get(schema, ("", MessageDefinition(MessageDefinitionFormat.NONE, "")))
    digest, qos = metadata.get("topic_type_hash", ""), metadata.get("offered_qos_profiles", "")
    return Channel(topic, name, encoding, definition, digest, qos, contents.counts[key])
