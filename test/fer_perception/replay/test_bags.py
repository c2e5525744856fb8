from __future__ import annotations

import contextlib
import os
import re
import sqlite3 as sqlite
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from made_bags import START_NS, jpeg, raw, text, write_bag
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from rosbags.rosbag2.enums import CompressionFormat, CompressionMode
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from fer_perception.errors import ImageError, SourceError
from fer_perception.replay.bags import BagReader, BagWriter, fer_typestore

IMAGE = np.arange(32 * 24 * 3, dtype=np.uint8).reshape(24, 32, 3)


def small_bag(path: Path, *, sqlite3: bool = False) -> Path:
    messages = [("/cam/image_raw", START_NS + i * 10**8, raw(IMAGE, START_NS + i * 10**8)) for i in range(5)]
    messages.insert(2, ("/notes", START_NS + 150_000_000, text("hello")))
    return write_bag(path, messages, sqlite3=sqlite3)


@pytest.mark.parametrize("sqlite3", [False, True])
def test_reads_what_was_written(tmp_path: Path, *, sqlite3: bool) -> None:
    path = small_bag(tmp_path / "bag", sqlite3=sqlite3)
    assert list(path.glob("*.db3" if sqlite3 else "*.mcap"))
    with BagReader(path) as reader:
        assert reader.camera_topics() == ["/cam/image_raw"]
        assert reader.count(["/cam/image_raw"]) == 5
        messages = list(reader.messages())
        assert [m.topic for m in messages].count("/notes") == 1
        image = reader.read_image(messages[0])
        assert image.stamp_ns == START_NS
        assert image.header.frame_id == "optical"
        np.testing.assert_array_equal(image.decode(), IMAGE)


def test_a_single_file_without_metadata(tmp_path: Path) -> None:
    path = small_bag(tmp_path / "bag")
    with BagReader(path / "bag.mcap") as reader:
        assert len(list(reader.messages(["/cam/image_raw"]))) == 5


@pytest.mark.parametrize("mode", [CompressionMode.MESSAGE, CompressionMode.FILE, CompressionMode.STORAGE])
def test_zstd_compressed(tmp_path: Path, mode: CompressionMode) -> None:
    path = tmp_path / "bag"
    plugin = StoragePlugin.MCAP if mode == CompressionMode.STORAGE else StoragePlugin.SQLITE3
    writer = Writer(path, version=9, storage_plugin=plugin)
    writer.set_compression(mode, CompressionFormat.ZSTD)
    store = fer_typestore()
    with writer:
        kind, data = raw(IMAGE, START_NS)
        writer.write(writer.add_connection("/cam", kind, typestore=store), START_NS, data)
    with BagReader(path) as reader:
        (message,) = reader.messages(reader.camera_topics())
        np.testing.assert_array_equal(reader.read_image(message).decode(), IMAGE)


class TestTopics:
    def test_twins_and_depth_are_left_out(self, tmp_path: Path) -> None:
        write_bag(
            tmp_path / "bag",
            [
                ("/a/image", 1, raw(IMAGE, 1)),
                ("/a/image/compressed", 2, jpeg(IMAGE, 1)),
                ("/a/image/compressedDepth", 2, jpeg(IMAGE, 1)),
                ("/b/image/compressed", 3, jpeg(IMAGE, 1)),
            ],
        )
        with BagReader(tmp_path / "bag") as reader:
            assert reader.camera_topics() == ["/a/image", "/b/image/compressed"]
            assert reader.camera_topics(["/a/image/compressed"]) == ["/a/image/compressed"]

    def test_wrong_topics_are_named_with_the_right_ones(self, tmp_path: Path) -> None:
        with BagReader(small_bag(tmp_path / "bag")) as reader:
            with pytest.raises(SourceError, match=r"no topic /front; its image topics: /cam/image_raw"):
                reader.camera_topics(["/front"])
            with pytest.raises(SourceError, match=r"/notes of .* is a std_msgs/msg/String, not an image"):
                reader.camera_topics(["/notes"])

    def test_no_images_at_all(self, tmp_path: Path) -> None:
        with (
            BagReader(write_bag(tmp_path / "bag", [("/notes", 1, text("x"))])) as reader,
            pytest.raises(SourceError, match=r"has no image topics; .* /notes \(std_msgs/msg/String, 1 message\)"),
        ):
            reader.camera_topics()


class TestCameras:
    """Which image topics are looked at."""

    @pytest.mark.parametrize(("raws", "taken"), [(0, "/compressed"), (2, "/compressed"), (9, ""), (10, ""), (12, "")])
    def test_the_twin_that_holds_more(self, tmp_path: Path, raws: int, taken: str) -> None:
        with BagWriter(tmp_path / "bag") as writer:
            kinds = ("/cam", *raw(IMAGE, 1)), ("/cam/compressed", *jpeg(IMAGE, 1))
            topics = [writer.add_topic(name, kind, fer_typestore()) for name, kind, _ in kinds]
            for index, (topic, (_, _, data)) in enumerate(zip(topics, kinds, strict=True)):
                for i in range((raws, 10)[index]):
                    writer.write(topic, START_NS + i, data)
        with BagReader(tmp_path / "bag") as reader:
            assert reader.camera_topics() == [f"/cam{taken}"]
            assert any("is taken instead of" in note for note in reader.notes) is (raws < 10)
            assert reader.camera_topics(["/cam"] if raws else ["/cam/compressed"])

    def test_a_raw_twin_that_cannot_be_used(self, tmp_path: Path) -> None:
        wide = raw(np.zeros((24, 32, 2), np.uint8), 1, encoding="mono16")
        messages = [
            (topic, i, data) for i in range(4) for topic, data in [("/c", wide), ("/c/compressed", jpeg(IMAGE, 1))]
        ]
        with BagReader(write_bag(tmp_path / "bag", messages)) as reader:
            assert reader.camera_topics() == ["/c/compressed"]
            assert "whose images cannot be used" in reader.notes[-1]

    def test_results_are_no_cameras(self, tmp_path: Path) -> None:
        results = ["/fer/debug_image", "/robot/fer/debug_image/compressed", "/humans/faces/f1/cropped",
                   "/robot/humans/faces/f1/aligned", "/humans/bodies/b1/cropped"]  # fmt: skip
        messages = [(topic, 1, raw(IMAGE, 1)) for topic in ["/cam", *results]]
        with BagReader(write_bag(tmp_path / "bag", messages)) as reader:
            assert reader.camera_topics() == ["/cam"]
            assert all(topic in reader.notes[-1] for topic in results)
            assert reader.camera_topics(results) == results
        with (
            BagReader(write_bag(tmp_path / "crops", messages[1:])) as reader,
            pytest.raises(SourceError, match=r"no image topics.*/humans/faces/f1/cropped"),
        ):
            reader.camera_topics()

    def test_topics_without_messages(self, tmp_path: Path) -> None:
        with BagWriter(tmp_path / "bag") as writer:
            kind, data = text("x")
            writer.write(writer.add_topic("/notes", kind, fer_typestore()), 1, data)
            for topic in ("/cam", "/other"):
                writer.add_topic(topic, "sensor_msgs/msg/Image", fer_typestore())
        with BagReader(tmp_path / "bag") as reader:
            for wanted in ([], ["/cam"]):
                with pytest.raises(SourceError, match=r"/notes \(std_msgs/msg/String, 1 message\)"):
                    reader.camera_topics(wanted)

    @pytest.mark.parametrize("sqlite3", [False, True])
    def test_a_topic_of_two_types(self, tmp_path: Path, *, sqlite3: bool) -> None:
        with BagWriter(tmp_path / "bag", sqlite3=sqlite3) as writer:
            for i, (kind, data) in enumerate([text("hello"), raw(IMAGE, 1)]):
                topic = writer.add_topic("/cam", kind, fer_typestore())
                writer.write(topic, i, data)
        with BagReader(tmp_path / "bag") as reader:
            assert reader.topics == {"/cam": "std_msgs/msg/String and sensor_msgs/msg/Image"}
            assert reader.camera_topics() == ["/cam"]
            assert reader.count(["/cam"], ["sensor_msgs/msg/Image"]) == 1
            assert len(list(reader.messages())) == 2
            assert "std_msgs/msg/String: not looked at" in reader.notes[-1]


class TestDamage:
    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(SourceError, match=r"does not exist; expected a rosbag2 directory"):
            BagReader(tmp_path / "nothing")

    def test_a_directory_that_is_no_bag(self, tmp_path: Path) -> None:
        with pytest.raises(SourceError, match=r"holds no metadata\.yaml and no \.mcap or \.db3 file"):
            BagReader(tmp_path)

    @pytest.mark.parametrize("keep", [0, 4, 200, 3000])
    @pytest.mark.parametrize("sqlite3", [False, True])
    def test_truncated(self, tmp_path: Path, keep: int, *, sqlite3: bool) -> None:
        path = small_bag(tmp_path / "bag", sqlite3=sqlite3)
        file = next(path.glob("bag.*"))
        file.write_bytes(file.read_bytes()[:keep])
        # Nothing whole is in so little of it, and neither `ros2 bag reindex` nor `mcap recover` would help.
        with pytest.raises(SourceError, match="readable rosbag2") as caught, BagReader(path) as reader:
            list(reader.messages())
        assert "copy it again" in str(caught.value)
        assert "reindex" not in str(caught.value)

    def test_metadata_that_is_no_yaml(self, tmp_path: Path) -> None:
        path = small_bag(tmp_path / "bag")
        (path / "metadata.yaml").write_text("{[")
        with pytest.raises(SourceError, match="readable rosbag2"):
            BagReader(path)

    def test_a_message_that_does_not_follow_its_type(self, tmp_path: Path) -> None:
        kind, data = raw(IMAGE, START_NS)
        path = write_bag(tmp_path / "bag", [("/cam", 1, (kind, data[:30])), ("/cam", 2, (kind, data))])
        with BagReader(path) as reader:
            broken, whole = reader.messages()
            with pytest.raises(ImageError) as caught:
                reader.read_image(broken)
            assert caught.value.cause == "corrupt"
            assert reader.read_image(whole).decode().shape == (24, 32, 3)


class TestWriter:
    @pytest.mark.parametrize("hashed", [True, False])
    def test_types_nobody_knows_are_copied_with_their_definition(self, tmp_path: Path, *, hashed: bool) -> None:
        store = get_typestore(Stores.ROS2_JAZZY)
        store.register(get_types_from_msg("std_msgs/Header header\nfloat32[2] torque\n", "robot_msgs/msg/Joint"))
        with BagWriter(tmp_path / "old") as writer:
            writer.write(writer.add_topic("/joint", "robot_msgs/msg/Joint", store), 1, b"\0\1\0\0" + bytes(24))
        if not hashed:
            # Bags of Humble have no hashes.
            metadata = tmp_path / "old" / "metadata.yaml"
            metadata.write_text(
                re.sub(r"type_description_hash:\s+\S+", "type_description_hash: ''", metadata.read_text())
            )
        with BagReader(tmp_path / "old") as reader, BagWriter(tmp_path / "new") as writer:
            (message,) = reader.messages()
            assert bool(message.connection.digest) is hashed
            copy = writer.copy_connection(message.connection)
            assert copy is not None
            writer.write(copy, message.received_ns, message.data)
        with BagReader(tmp_path / "new") as reader:
            (again,) = reader.messages()
            assert again.data == message.data
            assert "float32[2] torque" in again.connection.msgdef.data

    @pytest.mark.parametrize("definition", ["=", "nobody_msgs/Unknown field", "float99 x"])
    def test_definitions_that_are_none(self, tmp_path: Path, definition: str) -> None:
        old = small_bag(tmp_path / "old", sqlite3=True)
        (file,) = old.glob("*.db3")
        with contextlib.closing(sqlite.connect(file)) as database, database:
            database.execute("UPDATE topics SET type_description_hash = ''")
            database.execute("UPDATE topics SET type = 'nobody_msgs/msg/Note' WHERE name = '/notes'")
            database.execute("UPDATE message_definitions SET encoded_message_definition = ?", (definition,))
            database.execute(
                "UPDATE message_definitions SET topic_type = 'nobody_msgs/msg/Note' WHERE topic_type LIKE '%String'"
            )
        with BagReader(file) as reader, BagWriter(tmp_path / "new") as writer:
            copies = {c.topic: writer.copy_connection(c) for c in reader.connections}
            for message in reader.messages():
                copy = copies[message.topic]
                if copy is not None:
                    writer.write(copy, message.received_ns, message.data)
        # An image is an image, whatever a damaged definition says of it.
        assert copies["/notes"] is None
        with BagReader(tmp_path / "new") as reader:
            assert reader.topics == {"/cam/image_raw": "sensor_msgs/msg/Image"}
            assert len(list(reader.messages())) == 5

    def test_an_exception_leaves_a_complete_bag(self, tmp_path: Path) -> None:
        kind, data = raw(IMAGE, START_NS)

        def write_some() -> None:
            with BagWriter(tmp_path / "bag") as writer:
                writer.write(writer.add_topic("/cam", kind, fer_typestore()), 1, data)
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            write_some()
        with Reader(tmp_path / "bag") as reader:
            assert reader.message_count == 1

    def test_does_not_overwrite(self, tmp_path: Path) -> None:
        small_bag(tmp_path / "bag")
        with pytest.raises(SourceError, match="exists already"):
            BagWriter(tmp_path / "bag")

    def test_an_impossible_place(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(SourceError, match="cannot be made"):
            BagWriter(tmp_path / "file" / "bag")


@pytest.mark.parametrize(("name", "fix"), [("old.bag", "rosbags-convert"), ("talk.mp4", "fer run")])
def test_what_is_no_rosbag2_is_told_where_to_go(tmp_path: Path, name: str, fix: str) -> None:
    (tmp_path / name).write_bytes(b"something else")
    with pytest.raises(SourceError, match=fix) as caught:
        BagReader(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE messages SET data = 1099511627776",
        "UPDATE messages SET data = 'text'",
        "UPDATE messages SET timestamp = 'noon'",
        "UPDATE messages SET timestamp = -1 WHERE id = 3",
    ],
)
def test_columns_of_another_type_are_damage(tmp_path: Path, change: str) -> None:
    path = small_bag(tmp_path / "bag", sqlite3=True)
    (file,) = path.glob("*.db3")
    with contextlib.closing(sqlite.connect(file)) as database, database:
        database.execute(change)
    with BagReader(path) as reader, pytest.raises(SourceError, match="damaged or incomplete"):
        list(reader.messages())


class TestMetadata:
    """What metadata.yaml says is checked."""

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("name: /cam/image_raw", "name: [1]"),
            ("name: /cam/image_raw", "name:"),
            ("type: sensor_msgs/msg/Image", "type: 1.5"),
            ("message_count: 5", "message_count: five"),
        ],
    )
    def test_values_of_another_type_are_damage(self, tmp_path: Path, old: str, new: str) -> None:
        path = small_bag(tmp_path / "bag")
        text = (path / "metadata.yaml").read_text()
        assert old in text
        (path / "metadata.yaml").write_text(text.replace(old, new))
        with pytest.raises(SourceError, match="no readable rosbag2"), BagReader(path) as reader:
            reader.camera_topics()

    def test_messages_that_it_announces_are_missed(self, tmp_path: Path) -> None:
        path = small_bag(tmp_path / "bag")
        text = (path / "metadata.yaml").read_text()
        (path / "metadata.yaml").write_text(text.replace("name: /cam/image_raw", "name: /other"))
        with BagReader(path) as reader:
            messages = reader.messages()
            assert [next(messages).topic for _ in range(6)].count("/cam/image_raw") == 5
            with pytest.raises(SourceError, match="more messages than can be read: 0 of 5 on /other"):
                next(messages)


@pytest.mark.parametrize(("error", "told"), [(MemoryError(), "MemoryError"), (KeyError("depth"), "KeyError 'depth'")])
def test_an_error_of_few_words_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, told: str
) -> None:
    def refuse(_: Path) -> None:
        raise error

    monkeypatch.setattr("fer_perception.replay.bags.find_files", refuse)
    with pytest.raises(SourceError, match=rf"\({told}\)"):
        BagReader(small_bag(tmp_path / "bag"))


def test_a_killed_writer_leaves_no_bag_and_its_part_goes_at_the_next_start(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from made_bags import *; writer = BagWriter(Path(sys.argv[1]));"
        "kind, data = text('x'); writer.write(writer.add_topic('/notes', kind, STORE), 1, data); os._exit(9)"
    )
    helpers = Path(__file__).parents[2] / "helpers"
    path = os.pathsep.join([str(helpers), os.environ.get("PYTHONPATH", "")])
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "bag")], check=False, env={**os.environ, "PYTHONPATH": path}
    )
    (part,) = tmp_path.iterdir()
    assert part.name.startswith(".bag.")
    small_bag(tmp_path / "bag")
    assert [p.name for p in tmp_path.iterdir()] == ["bag"]
    assert sorted(p.name for p in (tmp_path / "bag").iterdir()) == ["bag.mcap", "metadata.yaml"]
