"""What people give as a bag: folders, files, parents, pipes; and bags of several files."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import yaml
from backports import zstd
from made_bags import START_NS, raw, write_bag

from fer_perception.errors import SourceError
from fer_perception.replay.bags import BagReader

IMAGE = np.arange(32 * 24 * 3, dtype=np.uint8).reshape(24, 32, 3)


def bag(folder: Path, times: Sequence[int] = range(5), *, sqlite3: bool = False) -> Path:
    messages = [("/cam", START_NS + i, raw(IMAGE, START_NS + i)) for i in times]
    return write_bag(folder, messages, sqlite3=sqlite3)


def times(path: Path) -> tuple[list[int], list[str]]:
    with BagReader(path) as reader:
        return [message.received_ns - START_NS for message in reader.messages(reader.camera_topics())], reader.notes


def change(path: Path, pattern: str, new: str) -> None:
    metadata = path / "metadata.yaml"
    text, count = re.subn(pattern, new, metadata.read_text())
    assert count
    metadata.write_text(text)


class TestPlaces:
    @pytest.mark.parametrize("sqlite3", [False, True])
    def test_metadata_that_names_no_storage(self, tmp_path: Path, *, sqlite3: bool) -> None:
        """`ros2 bag reindex` of Humble writes this."""
        path = bag(tmp_path / "bag", sqlite3=sqlite3)
        change(path, "storage_identifier: .*", "storage_identifier: ''")
        assert times(path) == ([*range(5)], [])

    def test_metadata_of_a_newer_ros(self, tmp_path: Path) -> None:
        path = bag(tmp_path / "bag")
        change(path, "version: 8", "version: 23")
        found, notes = times(path)
        assert found == [*range(5)]
        assert "version 23, of a newer ROS" in notes[0]
        assert "update fer_perception and rosbags" in notes[0]

    def test_metadata_itself(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = bag(tmp_path / "bag")
        assert times(path / "metadata.yaml")[0] == [*range(5)]
        monkeypatch.chdir(path)
        assert times(Path("metadata.yaml"))[0] == [*range(5)]

    def test_no_metadata(self, tmp_path: Path) -> None:
        path = bag(tmp_path / "bag")
        (path / "metadata.yaml").unlink()
        found, notes = times(path)
        assert found == [*range(5)]
        assert "has no metadata.yaml; read: bag.mcap" in notes[0]

    def test_splits_without_metadata_are_one_bag_and_other_files_several(self, tmp_path: Path) -> None:
        folder = tmp_path / "bag"
        folder.mkdir()
        for index in range(11):
            # A tie of all: the number decides.
            shutil.copy(bag(tmp_path / f"part{index}", [index]) / f"part{index}.mcap", folder / f"take_{index}.mcap")
        assert times(folder)[0] == [*range(11)]
        shutil.copy(folder / "take_0.mcap", folder / "other.mcap")
        with pytest.raises(
            SourceError, match=r"several bags and no metadata\.yaml: other\.mcap, take_0\.mcap.*name one"
        ):
            BagReader(folder)

    def test_a_folder_of_bags(self, tmp_path: Path) -> None:
        for index in range(12):
            bag(tmp_path / f"bag_{index}")
        with pytest.raises(SourceError, match=r"is no bag but holds 12: bag_0, bag_1, .*bag_9 and 2 more; name one"):
            BagReader(tmp_path)

    @pytest.mark.parametrize("sqlite3", [False, True])
    @pytest.mark.parametrize("name", ["X.MCAP", "x.Db3", "x_0.mcap.zstd", "x.db3.ZST", "no suffix"])
    def test_files_are_told_by_their_content(self, tmp_path: Path, name: str, *, sqlite3: bool) -> None:
        file = next(bag(tmp_path / "bag", sqlite3=sqlite3).glob("bag.*")).read_bytes()
        (tmp_path / name).write_bytes(zstd.compress(file) if ".z" in name.lower() else file)
        assert times(tmp_path / name) == ([*range(5)], [])

    @pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: data[:9] + data[30:]])
    def test_a_damaged_zstd_file(self, tmp_path: Path, damage: object) -> None:
        file = next(bag(tmp_path / "bag").glob("bag.*")).read_bytes()
        assert callable(damage)
        (tmp_path / "x.mcap.zstd").write_bytes(damage(zstd.compress(file)))
        with pytest.raises(SourceError, match="it does not unpack: zstd"):
            BagReader(tmp_path / "x.mcap.zstd")

    @pytest.mark.parametrize(
        ("name", "content", "told"),
        [
            ("old.bag", b"#ROSBAG V2.0\n", "a bag of ROS 1.*rosbags-convert"),
            ("renamed.mcap", b"#ROSBAG V2.0\n", "a bag of ROS 1.*rosbags-convert"),
            ("a.mp4", b"\0\0\0\x18ftyp", "a video.*fer run"),
            ("a.jpg", b"\xff\xd8\xff", "an image.*fer run"),
            ("a.mcap", b"", "an empty file.*copy it again"),
            ("a.mcap", b"\0" * 100, "neither MCAP nor SQLite.*copy it again"),
            ("a.txt", b"hello", "neither MCAP nor SQLite.*name another file"),
        ],
    )
    def test_what_is_no_bag_is_told_what_it_is(self, tmp_path: Path, name: str, content: bytes, told: str) -> None:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SourceError, match=told) as caught:
            BagReader(tmp_path / name)
        assert "reindex" not in str(caught.value)

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
    def test_a_pipe_is_refused_instead_of_waited_for(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "a.mcap")
        with pytest.raises(SourceError, match="no regular file but a pipe"):
            BagReader(tmp_path / "a.mcap")
        for name in ("bag.mcap", "metadata.yaml"):
            path = bag(tmp_path / name.replace(".", "_") / "bag")
            (path / name).unlink()
            os.mkfifo(path / name)
            with pytest.raises(SourceError, match=r"no regular file but a pipe|lists bag\.mcap"):
                BagReader(path)


def joined(path: Path, parts: Sequence[Sequence[int]], *, sqlite3: bool = False) -> Path:
    """One bag whose files hold messages of these times, in this order."""
    path.mkdir()
    information = None
    for index, part in enumerate(parts):
        folder = bag(path.parent / f"{path.name}_part{index}", part, sqlite3=sqlite3)
        own = yaml.safe_load((folder / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
        file = next(folder.glob(f"{folder.name}.*"))
        shutil.copy(file, path / f"b_{index}{file.suffix}")
        if information is None:
            information = {**own, "relative_file_paths": []}
        else:
            topics = information["topics_with_message_count"]
            topics[0]["message_count"] += own["topics_with_message_count"][0]["message_count"]
        information["relative_file_paths"].append(f"b_{index}{file.suffix}")
    (path / "metadata.yaml").write_text(yaml.safe_dump({"rosbag2_bagfile_information": information}))
    return path


class TestSplits:
    @pytest.mark.parametrize("sqlite3", [False, True])
    @pytest.mark.parametrize(
        "parts",
        [
            [[*range(10), 12, 14], [10, 11, 13, *range(15, 20)]],
            [range(0, 20, 2), range(1, 20, 2)],
            [range(5), range(15, 20), range(5, 15)],
            [range(20), range(0), range(20, 22)],
            [[3], [2], [1], [0]],
        ],
    )
    def test_messages_come_as_they_were_received(
        self, tmp_path: Path, parts: Sequence[Sequence[int]], *, sqlite3: bool
    ) -> None:
        parts = [part for part in parts if part]
        path = joined(tmp_path / "bag", parts, sqlite3=sqlite3)
        assert times(path) == (sorted(i for part in parts for i in part), [])
        (path / "metadata.yaml").unlink()
        assert times(path)[0] == sorted(i for part in parts for i in part)

    def test_equal_times_come_in_the_order_of_the_files(self, tmp_path: Path) -> None:
        path = joined(tmp_path / "bag", [[5], [5], [5]])
        with BagReader(path) as reader:
            first = [message.data for message in reader.messages()]
        with BagReader(path) as reader:
            assert [message.data for message in reader.messages()] == first

    def test_a_split_that_is_missing_or_damaged_costs_its_own_messages(self, tmp_path: Path) -> None:
        path = joined(tmp_path / "bag", [range(5), range(5, 10), range(10, 15)])
        (path / "b_1.mcap").write_bytes(b"\0" * 99)
        expected = [*range(5), *range(10, 15)]
        for told in (r"b_1\.mcap: .*neither MCAP.* 10 of 15 on /cam", r"lists b_1\.mcap, not there.* 10 of 15 on /cam"):
            found = []
            with BagReader(path) as reader, pytest.raises(SourceError, match=told):
                for message in reader.messages():
                    found.append(message.received_ns - START_NS)
            assert found == expected
            (path / "b_1.mcap").unlink(missing_ok=True)

    def test_a_file_that_is_not_listed_is_told(self, tmp_path: Path) -> None:
        path = bag(tmp_path / "bag")
        shutil.copy(path / "bag.mcap", path / "more.mcap")
        found, notes = times(path)
        assert found == [*range(5)]
        assert "metadata.yaml does not list it: more.mcap" in notes[0]

    def test_files_that_were_renamed(self, tmp_path: Path) -> None:
        path = bag(tmp_path / "bag")
        (path / "bag.mcap").rename(path / "new.mcap")
        found, notes = times(path)
        assert found == [*range(5)]
        assert "lists bag.mcap, not there; read instead: new.mcap" in notes[0]
        (path / "new.mcap").unlink()
        with pytest.raises(SourceError, match=r"holds none of the files that metadata\.yaml lists: bag\.mcap"):
            BagReader(path)
