"""MCAP files with the options of every writer, made with the format's own library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_bags import START_NS, STORE, raw
from mcap.writer import CompressionType, IndexType, Writer

from fer_perception.errors import SourceError
from fer_perception.replay.bags import IMAGE_TYPE, BagReader, BagWriter
from fer_perception.replay.mcap_file import McapFile
from fer_perception.replay.storage import DamagedFileError

IMAGE = np.arange(32 * 24 * 3, dtype=np.uint8).reshape(24, 32, 3)
MESSAGE = raw(IMAGE, START_NS)[1]
#: In the order they are written, by twos in a chunk; the later ones are late.
ORDER = [0, 1, 4, 5, 2, 3, 8, 9, 6, 7]


def write_mcap(path: Path, *, beside: tuple[str, str] | None = None, profile: str = "ros2", **options: Any) -> Path:
    """Ten images on /cam, and beside them ten messages on a topic of another (encoding, schema encoding)."""
    with path.open("wb") as file:
        # Two messages fill a chunk.
        writer = Writer(file, chunk_size=len(MESSAGE) + 100, **{"compression": CompressionType.NONE, **options})
        writer.start(profile=profile, library="test")
        text = STORE.generate_msgdef(IMAGE_TYPE)[0].encode()
        channels = [writer.register_channel("/cam", "cdr", writer.register_schema(IMAGE_TYPE, "ros2msg", text))]
        if beside is not None:
            encoding, kind = beside
            channels.append(writer.register_channel("/other", encoding, writer.register_schema("other", kind, b"{}")))
        for i in ORDER:
            for channel in channels:
                time = START_NS + i
                writer.add_message(
                    channel, log_time=time, publish_time=time, data=MESSAGE if not channel - 1 else b"{}"
                )
        writer.finish()
    return path


def read(path: Path) -> tuple[list[int], BagReader]:
    with BagReader(path) as reader:
        assert reader.camera_topics() == ["/cam"]
        assert reader.count(["/cam"]) == 10
        messages = list(reader.messages(["/cam"]))
        np.testing.assert_array_equal(reader.read_image(messages[0]).decode(), IMAGE)
        return [message.received_ns - START_NS for message in messages], reader


OPTIONS: dict[str, dict[str, Any]] = {
    "usual": {},
    "lz4": {"compression": CompressionType.LZ4},
    "zstd": {"compression": CompressionType.ZSTD},
    "no message index": {"index_types": IndexType.CHUNK},
    "no chunk index": {"index_types": IndexType.MESSAGE},
    "no index": {"index_types": IndexType.NONE},
    "no statistics": {"use_statistics": False},
    "no statistics, no message index": {"use_statistics": False, "index_types": IndexType.CHUNK},
    "channels not repeated": {"repeat_channels": False},
    "schemas not repeated": {"repeat_schemas": False},
    "no summary": {
        **{"index_types": IndexType.NONE, "repeat_channels": False, "repeat_schemas": False},
        **{"use_statistics": False, "use_summary_offsets": False},
    },
    "no chunks": {"use_chunking": False},
    "no profile": {"profile": ""},
    "no checksums": {"enable_crcs": False},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_gives_every_message_in_order(tmp_path: Path, name: str) -> None:
    order, reader = read(write_mcap(tmp_path / "a.mcap", **OPTIONS[name]))
    assert order == list(range(10))
    assert reader.notes == []


@pytest.mark.parametrize("beside", [("json", "jsonschema"), ("protobuf", "protobuf"), ("ros1", "ros1msg"), ("", "")])
@pytest.mark.parametrize("options", [{}, {"index_types": IndexType.NONE}])
def test_what_is_not_cdr_is_passed_over_and_told(
    tmp_path: Path, beside: tuple[str, str], options: dict[str, Any]
) -> None:
    order, reader = read(write_mcap(tmp_path / "a.mcap", beside=beside, **options))
    assert order == list(range(10))
    assert reader.passed_over == {"/other": (beside[0], 10)}
    assert "/other is passed over" in reader.notes[0]
    assert "10 messages" in reader.notes[0]


def test_a_wanted_topic_that_is_not_cdr(tmp_path: Path) -> None:
    path = write_mcap(tmp_path / "a.mcap", beside=("json", "jsonschema"))
    with (
        BagReader(path) as reader,
        pytest.raises(SourceError, match="no topic /other; its messages are 'json', not CDR"),
    ):
        reader.camera_topics(["/other"])


@pytest.mark.parametrize("options", [{}, {"compression": CompressionType.ZSTD}, {"use_chunking": False}])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_of_a_file_that_was_not_finished_the_whole_messages_are_read(
    tmp_path: Path, options: dict[str, Any], share: float
) -> None:
    path = write_mcap(tmp_path / "a.mcap", **options)
    data = path.read_bytes()
    # Behind the last message lies its index.
    end = data.rindex(b"\x0f\x04\0\0\0\0\0\0\0")
    path.write_bytes(data[: round(share * end)])
    with BagReader(path) as reader:
        count = reader.count(["/cam"])
        assert 0 < count < 10
        messages = reader.messages()
        for _ in range(count):
            assert next(messages).data == MESSAGE
        with pytest.raises(SourceError, match="not finished or is cut"):
            next(messages)


def test_a_damaged_chunk_costs_its_own_messages(tmp_path: Path) -> None:
    data = bytearray(write_mcap(tmp_path / "a.mcap").read_bytes())
    place = data.index(MESSAGE, len(data) // 3)
    data[place + 200] ^= 0xFF
    for name, content in {"indexed": bytes(data), "cut": bytes(data[:-20])}.items():
        path = tmp_path / f"{name}.mcap"
        path.write_bytes(content)
        found = []
        with BagReader(path) as reader, pytest.raises(SourceError, match="checksum is wrong"):
            found.extend([message.received_ns - START_NS for message in reader.messages()])
        with BagReader(path) as reader, pytest.raises(SourceError, match="checksum is wrong"):
            for message in reader.messages():
                found.append(message.received_ns - START_NS)
        assert found == sorted(found)
        assert len(found) == 8


def test_a_summary_that_announces_more(tmp_path: Path) -> None:
    path = write_mcap(tmp_path / "a.mcap", use_chunking=False)
    data = path.read_bytes()
    summary = data.rindex(b"\x0b" + (42 + 4 + 10).to_bytes(8, "little"))
    path.write_bytes(data[: summary + 9] + (12).to_bytes(8, "little") + data[summary + 17 :])
    with BagReader(path) as reader, pytest.raises(SourceError, match="announces 12 messages and holds 10"):
        list(reader.messages())


def test_sizes_that_no_memory_holds(tmp_path: Path) -> None:
    path = write_mcap(tmp_path / "a.mcap", compression=CompressionType.ZSTD)
    data = bytearray(path.read_bytes())
    chunk = data.index(b"\x06", 20)
    data[chunk + 9 + 16 : chunk + 9 + 24] = (1 << 40).to_bytes(8, "little")
    path.write_bytes(data)
    with BagReader(path) as reader, pytest.raises(SourceError, match="a chunk of 1099511627776 bytes"):
        list(reader.messages())


def test_no_mcap(tmp_path: Path) -> None:
    (tmp_path / "a.mcap").write_bytes(b"something else")
    with pytest.raises(DamagedFileError, match="does not start as an MCAP file"):
        McapFile(tmp_path / "a.mcap")


def test_a_copy_keeps_what_can_be_copied(tmp_path: Path) -> None:
    path = write_mcap(tmp_path / "a.mcap", beside=("json", "jsonschema"), repeat_schemas=False)
    with BagReader(path) as reader, BagWriter(tmp_path / "new") as writer:
        copies = {c.topic: writer.copy_connection(c) for c in reader.connections}
        for message in reader.messages():
            copy = copies[message.topic]
            assert copy is not None
            writer.write(copy, message.received_ns, message.data)
    order, again = read(tmp_path / "new")
    assert order == list(range(10))
    assert again.topics == {"/cam": IMAGE_TYPE}
