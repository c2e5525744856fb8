"""SQLite files of rosbag2, with what their recorder has left beside them."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

from rosbags.interfaces import MessageDefinition, MessageDefinitionFormat

from fer_perception.replay.storage import Channel, DamagedFileError, StoredMessage

MAGIC = b"SQLite format 3\0"

_FORMATS = {"ros2msg": MessageDefinitionFormat.MSG, "ros2idl": MessageDefinitionFormat.IDL}
_NO_DEFINITION = MessageDefinition(MessageDefinitionFormat.NONE, "")


class SqliteFile:
    """One SQLite file; see `storage.StorageFile`.

    A `-wal` or `-journal` beside the file holds what its recorder, running or killed, has not brought into it yet. The
    first is read with the file; the second, and what cannot be read in place, is applied to a copy. The file itself is
    never changed.

    Args:
        path: of the file.

    Raises:
        DamagedFileError: it is no database of rosbag2, or is damaged.
        OSError: it cannot be opened, or there is no room for the copy.
    """

    def __init__(self, path: Path) -> None:
        self.damage: list[str] = []
        self.notes: list[str] = []
        self._stack = ExitStack()
        try:
            self._database = self._open(path)
            self.channels = self._read_channels()
            row = self._row("SELECT MIN(timestamp) FROM messages")
        except (sqlite3.Error, UnicodeDecodeError) as err:
            self.close()
            raise DamagedFileError(str(err)) from None
        except BaseException:
            self.close()
            raise
        self.start_ns = row[0] if isinstance(row[0], int) else 0

    def messages(self, wanted: Collection[int]) -> Iterator[StoredMessage]:
        """Messages of the channels `wanted` in the order they were received; unusable rows are left out and counted.

        Raises:
            DamagedFileError: the file turns out to be damaged.
        """
        keys = sorted(wanted)
        query = (
            f"SELECT topic_id, timestamp, data FROM messages WHERE topic_id IN ({','.join('?' * len(keys))}) "  # noqa: S608
            "ORDER BY timestamp, id"
        )
        unusable = 0
        try:
            for key, received_ns, data in self._database.execute(query, keys):
                if isinstance(received_ns, int) and isinstance(data, bytes):
                    yield received_ns, key, data
                else:
                    unusable += 1
        except (sqlite3.Error, UnicodeDecodeError) as err:
            raise DamagedFileError(str(err)) from None
        told = f"{unusable} messages have no time or no bytes"
        if unusable and told not in self.damage:
            self.damage.append(told)

    def close(self) -> None:
        """Close the database; idempotent."""
        self._stack.close()

    def _row(self, query: str) -> Any:
        return self._database.execute(query).fetchone()

    def _open(self, path: Path) -> sqlite3.Connection:
        beside = [_beside(path, ending) for ending in ("-wal", "-journal")]
        unfinished = [file for file in beside if file.is_file() and file.stat().st_size]
        if not unfinished:
            return self._connect(path, "mode=ro&immutable=1")
        names = " and ".join(file.name for file in unfinished)
        self.notes.append(f"{path.name} is read with {names} beside it: its recorder still runs, or was killed")
        # Without -shm, SQLite would make one there, and it would stay.
        if unfinished == beside[:1] and _beside(path, "-shm").is_file():
            try:
                database = self._connect(path, "mode=ro")
                # One state for all that follows, even while a recorder goes on.
                database.execute("BEGIN")
                database.execute("SELECT count(*) FROM sqlite_master").fetchone()
            except sqlite3.OperationalError:
                # A folder that may not be written.
                pass
            else:
                return database
        folder = Path(self._stack.enter_context(TemporaryDirectory()))
        for file in (path, *unfinished):
            shutil.copyfile(file, folder / file.name)
        return self._connect(folder / path.name, "mode=rw")

    def _connect(self, path: Path, options: str) -> sqlite3.Connection:
        # A literal %, # or ? in a name is none of the URI.
        uri = f"file:{quote(os.fsencode(path.absolute()))}?{options}"
        database = sqlite3.connect(uri, uri=True, isolation_level=None)
        self._stack.callback(database.close)
        return database

    def _columns(self, table: str) -> set[str]:
        return {row[1] for row in self._database.execute(f"PRAGMA table_info({table})")}

    def _read_channels(self) -> dict[int, Channel]:
        columns = self._columns("topics")
        if not columns or not self._columns("messages"):
            msg = "the database has no tables topics and messages"
            raise DamagedFileError(msg)
        definitions: dict[str, MessageDefinition] = {}
        if self._columns("message_definitions"):
            query = "SELECT topic_type, encoding, encoded_message_definition FROM message_definitions"
            for kind, shape, text in self._database.execute(query):
                if shape in _FORMATS and isinstance(text, str):
                    definitions.setdefault(kind, MessageDefinition(_FORMATS[shape], text))
        counts = dict(self._database.execute("SELECT topic_id, count(*) FROM messages GROUP BY topic_id").fetchall())
        # The first versions of rosbag2 had fewer columns.
        later = [name if name in columns else "''" for name in ("type_description_hash", "offered_qos_profiles")]
        query = f"SELECT id, name, type, serialization_format, {', '.join(later)} FROM topics ORDER BY id"  # noqa: S608
        channels = {}
        for key, topic, kind, encoding, digest, qos in self._database.execute(query):
            if not all(isinstance(value, str) for value in (topic, kind, encoding)):
                msg = f"name, type and encoding of a topic are {topic!r}, {kind!r} and {encoding!r}"
                raise DamagedFileError(msg)
            definition = definitions.get(kind, _NO_DEFINITION)
            count = counts.pop(key, 0)
            channels[key] = Channel(topic, kind, encoding, definition, _text(digest), _text(qos), count)
        if counts:
            self.damage.append(f"{sum(counts.values())} messages belong to topics that it does not define")
        return channels


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(f"{path.name}{ending}")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
