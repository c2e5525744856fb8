from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_bags import START_NS, STORE, header, jpeg, raw, text, write_bag
from made_results import make_face, make_result

from fer_perception.demo.clip import RATE, clip_frames
from fer_perception.labels import LABELS
from fer_perception.pipeline import Pipeline, build_pipeline
from fer_perception.replay.bags import EMOTIONS_TYPE, BagReader, BagWriter
from fer_perception.replay.replay import Replay, ReplayedFrame, ReplayStatistics
from fer_perception.replay.sinks import CsvTable, JsonLines
from fer_perception.results.messages import message_from_result, result_from_message
from fer_perception.settings.pipeline_settings import PipelineSettings

PERIOD = 10**9 // RATE
SETTINGS = PipelineSettings(deterministic_ids=True, threads=1)


@pytest.fixture(scope="module")
def clip() -> list[np.ndarray]:
    """Nobody for 0.6 s, then the astronaut."""
    return [image for _, image in clip_frames(1.5)]


@pytest.fixture
def pipeline() -> Iterator[Pipeline]:
    built = build_pipeline(SETTINGS)
    yield built
    built.close()


class Collector:
    def __init__(self) -> None:
        self.frames: list[ReplayedFrame] = []

    def add(self, frame: ReplayedFrame) -> None:
        self.frames.append(frame)


def clip_bag(path: Path, clip: list[np.ndarray], **options: Any) -> Path:
    stamps = [START_NS + i * PERIOD for i in range(len(clip))]
    messages = [("/cam", s + 5_000_000, raw(image, s)) for s, image in zip(stamps, clip, strict=True)]
    messages.insert(1, ("/notes", stamps[1], text("kept")))
    return write_bag(path, messages, **options)


def replay(
    bag: Path, pipeline: Pipeline, out: Path | None = None, **options: Any
) -> tuple[Collector, ReplayStatistics]:
    collector = Collector()
    with BagReader(bag) as reader:
        writer = BagWriter(out) if out else None
        work = Replay(reader, pipeline, reader.camera_topics(), sinks=[collector], writer=writer)
        list(work.run(**options))
        if writer:
            writer.close()
    return collector, work.statistics


class TestResults:
    def test_who_is_seen_when(self, tmp_path: Path, clip: list[np.ndarray], pipeline: Pipeline) -> None:
        collector, statistics = replay(clip_bag(tmp_path / "bag", clip), pipeline)
        assert statistics.frames == {"/cam": 30}
        results = [frame.result for frame in collector.frames]
        assert [result.stamp_ns for result in results] == [START_NS + i * PERIOD for i in range(30)]
        assert all(result.faces == () for result in results[:12])
        assert {face.face_id for result in results for face in result.faces} == {"f00001"}
        assert results[-1].faces[0].emotion == "happy"

    def test_the_new_bag_has_everything_and_the_emotions(
        self, tmp_path: Path, clip: list[np.ndarray], pipeline: Pipeline
    ) -> None:
        bag = clip_bag(tmp_path / "bag", clip)
        collector, statistics = replay(bag, pipeline, tmp_path / "out")
        with BagReader(bag) as old, BagReader(tmp_path / "out") as new:
            assert new.topics == {**old.topics, "/emotions": EMOTIONS_TYPE}
            kept = [m for m in new.messages() if m.topic != "/emotions"]
            assert [(m.topic, m.received_ns, m.data) for m in kept] == [
                (m.topic, m.received_ns, m.data) for m in old.messages()
            ]
            arrays = list(new.messages(["/emotions"]))
        assert statistics.topic == "/emotions"
        assert len(arrays) == 30
        for frame, array in zip(collector.frames, arrays, strict=True):
            message = STORE.deserialize_cdr(array.data, EMOTIONS_TYPE)
            assert array.received_ns == frame.received_ns
            assert message.header.frame_id == "optical"
            assert message.camera == "/cam"
            assert tuple(message.labels) == LABELS
            read = result_from_message(message)
            assert read.stamp_ns == frame.result.stamp_ns
            assert [f.face_id for f in read.faces] == [f.face_id for f in frame.result.faces]
            for told, face in zip(read.faces, frame.result.faces, strict=True):
                np.testing.assert_allclose(told.scores, face.scores, atol=1e-6)
                assert told.phase == face.phase
                assert told.roi == face.roi

    def test_the_same_bag_gives_the_same_bytes(self, tmp_path: Path, clip: list[np.ndarray]) -> None:
        bag = clip_bag(tmp_path / "bag", clip)
        contents = []
        for name in ("one", "two"):
            built = build_pipeline(SETTINGS)
            replay(bag, built, tmp_path / name)
            built.close()
            with BagReader(tmp_path / name) as reader:
                contents.append([(m.received_ns, m.data) for m in reader.messages(["/emotions"])])
        assert len(contents[0]) == 30
        assert contents[0] == contents[1]

    def test_compressed_images_in_sqlite3(self, tmp_path: Path, clip: list[np.ndarray], pipeline: Pipeline) -> None:
        messages = [
            ("/cam/compressed", START_NS + i * PERIOD, jpeg(c, START_NS + i * PERIOD)) for i, c in enumerate(clip)
        ]
        collector, _ = replay(write_bag(tmp_path / "bag", messages, sqlite3=True), pipeline)
        assert collector.frames[-1].result.faces[0].emotion == "happy"

    def test_two_cameras_have_their_own_tracks(
        self, tmp_path: Path, clip: list[np.ndarray], pipeline: Pipeline
    ) -> None:
        messages = [
            (topic, START_NS + i * PERIOD, raw(image, START_NS + i * PERIOD))
            for i, image in enumerate(clip)
            for topic in ("/left", "/right")
        ]
        collector, statistics = replay(write_bag(tmp_path / "bag", messages), pipeline)
        assert statistics.frames == {"/left": 30, "/right": 30}
        ids = {(f.result.camera, face.face_id) for f in collector.frames for face in f.result.faces}
        assert len(ids) == 2
        assert len({face_id for _, face_id in ids}) == 2

    def test_emotions_that_were_recorded_are_kept(
        self, tmp_path: Path, clip: list[np.ndarray], pipeline: Pipeline
    ) -> None:
        once = tmp_path / "once"
        replay(clip_bag(tmp_path / "bag", clip[:2]), pipeline, once)
        _, statistics = replay(once, pipeline, tmp_path / "twice")
        assert statistics.topic == "/emotions/replay"
        with BagReader(tmp_path / "twice") as reader:
            assert reader.count(["/emotions"]) == reader.count(["/emotions/replay"]) == 2


class TestTime:
    def test_unusable_frames_are_counted_and_numbered(
        self, tmp_path: Path, clip: list[np.ndarray], pipeline: Pipeline
    ) -> None:
        stamps = [START_NS + i * PERIOD for i in range(5)]
        messages = [
            ("/cam", stamps[0], raw(clip[0], stamps[0])),
            ("/cam", stamps[1], raw(clip[0][..., 0].astype(np.uint8), stamps[1], encoding="mono16")),
            ("/cam", stamps[2], (raw(clip[0], stamps[2])[0], b"\0\1\0\0broken")),
            ("/cam", stamps[3], raw(clip[0], stamps[0] - 1000)),
            ("/cam", stamps[4], raw(clip[0], stamps[4])),
        ]
        collector, statistics = replay(write_bag(tmp_path / "bag", messages), pipeline)
        assert statistics.bad == {"/cam": {"encoding": 1, "corrupt": 1, "out_of_order": 1}}
        assert "mono16" in statistics.examples["encoding"]
        assert [frame.index for frame in collector.frames] == [0, 4]

    def test_a_bag_whose_stamps_begin_anew(self, tmp_path: Path, clip: list[np.ndarray], pipeline: Pipeline) -> None:
        face = clip[-4:]
        stamps = [*(START_NS + i * PERIOD for i in range(4))] * 2
        messages = [
            ("/cam", START_NS + i * PERIOD, raw(image, stamp))
            for i, (stamp, image) in enumerate(zip(stamps, [*face, *face], strict=True))
        ]
        messages[4:] = [(t, r, raw(i, s - 10**10)) for (t, r, _), i, s in zip(messages[4:], face, stamps, strict=False)]
        collector, statistics = replay(write_bag(tmp_path / "bag", messages), pipeline)
        assert statistics.restarts == {"/cam": 1}
        assert len({face.face_id for frame in collector.frames for face in frame.result.faces}) == 2

    def test_a_camera_that_was_silent_starts_with_new_faces(
        self, tmp_path: Path, clip: list[np.ndarray], pipeline: Pipeline
    ) -> None:
        times = [*range(4), *range(200, 204)]
        messages = [("/cam", START_NS + i * PERIOD, raw(clip[-1], START_NS + i * PERIOD)) for i in times]
        collector, _ = replay(write_bag(tmp_path / "bag", messages), pipeline)
        first, last = collector.frames[3].result, collector.frames[-1].result
        assert first.faces[0].face_id != last.faces[0].face_id

    def test_without_stamps_the_time_of_recording_counts(
        self, tmp_path: Path, clip: list[np.ndarray], pipeline: Pipeline
    ) -> None:
        messages = [("/cam", START_NS + i * PERIOD, raw(clip[-1], 0)) for i in range(4)]
        collector, _ = replay(write_bag(tmp_path / "bag", messages), pipeline, tmp_path / "out")
        assert [frame.result.stamp_ns for frame in collector.frames] == [START_NS + i * PERIOD for i in range(4)]
        assert collector.frames[-1].result.faces
        with BagReader(tmp_path / "out") as reader:
            message = STORE.deserialize_cdr(next(reader.messages(["/emotions"])).data, EMOTIONS_TYPE)
        assert (message.header.stamp.sec, message.header.stamp.nanosec) == (0, 0)


def test_stopping_leaves_a_readable_bag(tmp_path: Path, clip: list[np.ndarray], pipeline: Pipeline) -> None:
    seen = iter(range(100))
    _, statistics = replay(
        clip_bag(tmp_path / "bag", clip), pipeline, tmp_path / "out", should_stop=lambda: next(seen) >= 8
    )
    assert statistics.interrupted
    with BagReader(tmp_path / "out") as reader:
        assert reader.count(["/emotions"]) == statistics.frames["/cam"] > 0


def test_json_lines_and_csv_say_the_same(tmp_path: Path, clip: list[np.ndarray], pipeline: Pipeline) -> None:
    collector, _ = replay(clip_bag(tmp_path / "bag", clip), pipeline)
    lines, table = JsonLines(tmp_path / "a.jsonl"), CsvTable(tmp_path / "a.csv", pipeline.labels)
    for frame in collector.frames:
        lines.add(frame)
        table.add(frame)
    lines.close()
    table.close()
    rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [row["frame"] for row in rows] == list(range(30))
    assert {row["camera"] for row in rows} == {"/cam"}
    with (tmp_path / "a.csv").open(newline="") as file:
        cells = list(csv.DictReader(file))
    assert [int(cell["frame"]) for cell in cells] == list(range(30))
    assert cells[0]["face_id"] == ""
    # All digits of the header, in both.
    stamps = [frame.result.stamp_ns for frame in collector.frames]
    assert [int(cell["stamp"].replace(".", "")) for cell in cells] == stamps
    assert [row["stamp"] for row in rows] == [float(Fraction(stamp, 10**9)) for stamp in stamps]
    face = rows[-1]["faces"][0]
    assert cells[-1]["face_id"] == face["face_id"]
    assert cells[-1]["emotion"] == "happy"
    seen = collector.frames[-1].result.faces[0]
    assert seen.raw_scores is not None
    for label, score, unfiltered in zip(LABELS, seen.scores, seen.raw_scores, strict=True):
        # Nine places in the lines, six significant digits in the table.
        assert (face["scores"][label], face["raw_scores"][label]) == (
            round(float(score), 9),
            round(float(unfiltered), 9),
        )
        assert (cells[-1][f"score_{label}"], cells[-1][f"raw_{label}"]) == (f"{score:.6g}", f"{unfiltered:.6g}")


@pytest.mark.ros
def test_the_bytes_are_those_rclpy_writes(tmp_path: Path, clip: list[np.ndarray], pipeline: Pipeline) -> None:
    from rclpy.serialization import deserialize_message, serialize_message
    from std_msgs.msg import Header

    from fer_msgs.msg import EmotionArray
    from fer_perception.ros.conversions import emotion_array

    collector, _ = replay(clip_bag(tmp_path / "bag", clip), pipeline)
    for frame in collector.frames:
        own = message_from_result(frame.result, header(START_NS), STORE.types)
        data = bytes(STORE.serialize_cdr(own, EMOTIONS_TYPE))
        live_header = Header(frame_id="optical")
        live_header.stamp.sec = START_NS // 10**9
        live = emotion_array(frame.result, live_header)
        assert serialize_message(deserialize_message(data, EmotionArray)) == serialize_message(live)


def test_names_that_are_formulas_are_text_in_a_table(tmp_path: Path) -> None:
    names = ["=1+1", "+1", "-1", "@SUM(1)", "\t=1", "/camera"]
    table = CsvTable(tmp_path / "a.csv", LABELS)
    for index, name in enumerate(names):
        result = make_result(make_face("f1", "happy", (0, 0, 9, 9)), camera=name)
        table.add(ReplayedFrame(index, 0, np.zeros((9, 9), np.uint8), result))
    table.close()
    with (tmp_path / "a.csv").open(newline="") as file:
        cells = [row["camera"] for row in csv.DictReader(file)]
    assert cells == [*(f"'{name}" for name in names[:-1]), "/camera"]
