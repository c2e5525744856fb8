"""SQLite bags as recorders leave them, and in places with names that are no URI."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from made_bags import START_NS, raw, write_bag

from fer_perception.errors import SourceError
from fer_perception.replay.bags import BagReader

MORE = "INSERT INTO messages SELECT ?, topic_id, ?, data FROM messages LIMIT 1"
IMAGE = np.arange(32 * 24 * 3, dtype=np.uint8).reshape(24, 32, 3)


def database(folder: Path, count: int = 6) -> Path:
    messages = [("/cam", START_NS + i, raw(IMAGE, START_NS + i)) for i in range(count)]
    return next(write_bag(folder, messages, sqlite3=True).glob("*.db3"))


def times(path: Path) -> tuple[list[int], list[str]]:
    with BagReader(path) as reader:
        assert reader.camera_topics() == ["/cam"]
        return [message.received_ns - START_NS for message in reader.messages()], reader.notes


def killed(file: Path, journal: str) -> None:
    """Let a recorder that was killed in the middle of its work leave its state beside the file."""
    code = f"""
import os, sqlite3
database = sqlite3.connect({str(file)!r}, isolation_level=None)
database.execute("PRAGMA journal_mode={journal}")
database.execute("PRAGMA cache_size=1")
topic, data = database.execute("SELECT topic_id, data FROM messages").fetchone()
database.execute("BEGIN")
for i in range(6, 40):
    database.execute("INSERT INTO messages (topic_id, timestamp, data) VALUES (?, ?, ?)", (topic, {START_NS} + i, data))
if "{journal}" == "WAL":
    database.execute("COMMIT")
os._exit(9)
"""  # noqa: S608
    subprocess.run([sys.executable, "-c", code], check=False)


def state(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith("-shm")}


@pytest.mark.parametrize("shm", [True, False])
def test_what_a_killed_recorder_has_left_in_the_wal_is_read(tmp_path: Path, *, shm: bool) -> None:
    file = database(tmp_path / "bag")
    killed(file, "WAL")
    before = state(file.parent)
    assert before["bag.db3-wal"]
    if not shm:
        (file.parent / "bag.db3-shm").unlink()
    for path in (file, file.parent):
        found, notes = times(path)
        assert found == list(range(40))
        assert "bag.db3-wal beside it: its recorder still runs, or was killed" in notes[0]
    # The bag is read, not repaired.
    assert state(file.parent) == before
    assert (file.parent / "bag.db3-shm").exists() is shm


def test_a_transaction_that_was_not_finished_is_undone(tmp_path: Path) -> None:
    file = database(tmp_path / "bag")
    killed(file, "DELETE")
    before = state(file.parent)
    assert before["bag.db3-journal"]
    found, notes = times(file)
    assert found == list(range(6))
    assert "bag.db3-journal" in notes[0]
    assert state(file.parent) == before


def test_a_recorder_that_still_runs(tmp_path: Path) -> None:
    file = database(tmp_path / "bag")
    recorder = sqlite3.connect(file, isolation_level=None)
    recorder.execute("PRAGMA journal_mode=WAL")
    recorder.execute(MORE, (7, START_NS + 6))
    with BagReader(file) as reader:
        recorder.execute(MORE, (8, START_NS + 7))
        # The state at the start, of which the counts are told.
        assert reader.count(["/cam"]) == len(list(reader.messages())) == 7
    recorder.execute(MORE, (9, START_NS + 8))
    recorder.close()
    assert len(times(file)[0]) == 9


@pytest.mark.parametrize("place", ["take%201", "run#2", "what?", "100%41", "a b", "?mode=memory", "%", "täglich"])
def test_names_that_mean_something_in_a_uri(tmp_path: Path, place: str) -> None:
    shutil.move(database(tmp_path / "short", 2).parent, tmp_path / "take 1")
    (tmp_path / place).mkdir()
    shutil.copytree(database(tmp_path / "bag").parent, tmp_path / place / "b")
    assert len(times(tmp_path / place / "b")[0]) == 6
    # In the name of the file, too.
    file = tmp_path / place / f"{place}.db3"
    (tmp_path / place / "b" / "bag.db3").rename(file)
    assert len(times(file)[0]) == 6


def test_messages_of_no_topic_are_told(tmp_path: Path) -> None:
    file = database(tmp_path / "bag")
    with sqlite3.connect(file) as changed:
        changed.execute("UPDATE messages SET topic_id = 9 WHERE id < 3")
    with BagReader(file) as reader, pytest.raises(SourceError, match="2 messages belong to topics"):
        assert len(list(reader.messages())) == 4


def test_rows_that_are_no_messages_are_counted_and_the_others_read(tmp_path: Path) -> None:
    file = database(tmp_path / "bag")
    with sqlite3.connect(file) as changed:
        changed.execute("UPDATE messages SET data = 'text' WHERE id < 3")
    found = []
    with BagReader(file) as reader, pytest.raises(SourceError, match="2 messages have no time or no bytes"):
        for message in reader.messages():
            found.append(message.received_ns - START_NS)
    assert found == [2, 3, 4, 5]


@pytest.mark.parametrize("version", [1, 2])
def test_the_first_versions_of_the_format(tmp_path: Path, version: int) -> None:
    file = database(tmp_path / "bag")
    with sqlite3.connect(file) as changed:
        for table in ("schema", "metadata", "message_definitions"):
            changed.execute(f"DROP TABLE {table}")
        changed.execute("ALTER TABLE topics DROP COLUMN type_description_hash")
        if version == 1:
            changed.execute("ALTER TABLE topics DROP COLUMN offered_qos_profiles")
    assert times(file)[0] == list(range(6))


def test_a_database_of_something_else(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "a.db3") as other:
        other.execute("CREATE TABLE birds (name)")
    with pytest.raises(SourceError, match="no tables topics and messages"):
        BagReader(tmp_path / "a.db3")
