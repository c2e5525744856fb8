from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from made_bags import START_NS, jpeg, raw, text, write_bag
from made_results import make_face, make_result
from run_fer import run_fer

from fer_perception.cli.replay import MOST_FACES, _summary
from fer_perception.demo.clip import RATE, clip_frames
from fer_perception.replay.bags import BagReader
from fer_perception.replay.replay import ReplayedFrame, ReplayStatistics
from fer_perception.replay.summary import SeenFaces

PERIOD = 10**9 // RATE


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    messages = [
        ("/cam/compressed", START_NS + i * PERIOD, jpeg(image, START_NS + i * PERIOD))
        for i, (_, image) in enumerate(clip_frames(1.5))
    ]
    return write_bag(tmp_path_factory.mktemp("bags") / "walk", messages)


def test_every_output(bag: Path, tmp_path: Path) -> None:
    done = run_fer(
        "replay", bag, "--out", tmp_path / "out", "--jsonl", tmp_path / "a.jsonl", "--csv", tmp_path / "a.csv",
        "--report", tmp_path / "a.html", "--json",
    )  # fmt: skip
    assert done.returncode == 0
    summary = json.loads(done.stdout)
    assert summary["frames"] == {"/cam/compressed": 30}
    assert summary["emotions_topic"] == "/emotions"
    (face,) = summary["faces"]
    assert (face["camera"], face["face_id"], face["emotion"]) == ("/cam/compressed", "f00001", "happy")
    assert 0 < face["frames"] <= 30
    assert 0.5 < face["share"] <= 1
    assert face["last"] == pytest.approx((START_NS + 29 * PERIOD) / 1e9)
    assert len(summary["files"]) == 4
    with BagReader(tmp_path / "out") as reader:
        assert reader.count(["/emotions"]) == 30
    last = json.loads((tmp_path / "a.jsonl").read_text().splitlines()[-1])
    assert last["faces"][0]["emotion"] == "happy"
    assert last["faces"][0]["face_id"] == "f00001"
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 31
    assert "Who showed what when" in (tmp_path / "a.html").read_text()


def test_for_people_and_other_ids_in_the_file(bag: Path, tmp_path: Path) -> None:
    params = tmp_path / "fer.yaml"
    params.write_text("deterministic_ids: false\n")
    done = run_fer("replay", bag, "--params", params, "--jsonl", tmp_path / "a.jsonl")
    assert done.returncode == 0
    told = done.stdout.splitlines()
    assert told[0].startswith("30 frames in")
    assert told[1] == "  /cam/compressed: 30 frames, 1.4 s, 1 face"
    face, _, rest = told[2].strip().partition(": ")
    assert face == "f00001"
    assert "frames, happy in" in rest
    last = json.loads((tmp_path / "a.jsonl").read_text().splitlines()[-1])
    assert last["faces"][0]["face_id"] == "f00001"


def test_lines_on_stdout_are_alone_there(bag: Path, tmp_path: Path) -> None:
    done = run_fer("replay", bag, "--jsonl", "-")
    assert done.returncode == 0
    frames = [json.loads(line) for line in done.stdout.splitlines()]
    assert [frame["frame"] for frame in frames] == list(range(30))
    assert "30 frames in" in done.stderr
    assert not Path("-").exists()
    refused = run_fer("replay", bag, "--jsonl", "-", "--json")
    assert refused.returncode == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupting_leaves_complete_files(tmp_path: Path, number: signal.Signals) -> None:
    image = next(iter(clip_frames(0.1)))[1]
    messages = [("/cam", START_NS + i * PERIOD, jpeg(image, START_NS + i * PERIOD)) for i in range(1500)]
    long = write_bag(tmp_path / "long", messages)
    # Tests that were started with nohup would hand on that SIGHUP is ignored.
    code = f"import signal; signal.signal({int(number)}, signal.SIG_DFL); from fer_perception.cli import main; main()"
    command = [sys.executable, "-c", code, "replay", str(long), "--out", str(tmp_path / "out"), "--progress"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        said = b""
        # The bar shows a speed as soon as frames have been dealt with.
        while b"frames/s" not in said and (part := process.stderr.read1(4096)):
            said += part
        process.send_signal(number)
        said += process.stderr.read()
        assert process.wait(timeout=60) == 1
    assert b"interrupted" in said
    with BagReader(tmp_path / "out") as reader:
        assert 0 < reader.count(["/emotions"]) < 1500
        assert len(list(reader.messages())) == reader.count(["/emotions", "/cam"])


def test_a_bag_whose_name_is_no_text(bag: Path, tmp_path: Path) -> None:
    try:
        shutil.copytree(bag, named := tmp_path / os.fsdecode(b"b\xe4g"))
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    done = run_fer("replay", named, "--report", tmp_path / "a.html", "--csv", tmp_path / "a.csv")
    assert done.returncode == 0
    # A warning that YuNet is missing may come.
    assert all(line.startswith("fer: warning: haar serves") for line in done.stderr.splitlines())
    assert r"<title>Faces in b\udce4g</title>" in (tmp_path / "a.html").read_text(encoding="utf-8")


def test_a_reader_that_has_seen_enough_takes_nothing_from_the_other_files(bag: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from fer_perception.cli import main; main()", "replay", str(bag), "--jsonl", "-",
               "--csv", str(tmp_path / "a.csv"), "--report", str(tmp_path / "a.html")]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        # Gone before the first line: the pipe breaks whenever the lines leave the buffer.
        process.stdout.close()
        said = process.stderr.read()
        assert process.wait(timeout=60) == 0, said
    assert "Traceback" not in said
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 31
    assert "Who showed what when" in (tmp_path / "a.html").read_text()


class TestFailures:
    def test_what_cannot_start_leaves_older_files_alone(self, bag: Path, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        older = {tmp_path / name: f"older {name}" for name in ("a.jsonl", "a.csv", "a.html")}
        for path, words in older.items():
            path.write_text(words)
        names = ("--jsonl", tmp_path / "a.jsonl", "--csv", tmp_path / "a.csv", "--report", tmp_path / "a.html")
        assert run_fer("replay", bag, *names, "--out", tmp_path / "out").returncode == 1
        done = run_fer("replay", bag, *names[:4], "--report", tmp_path / "no" / "a.html")
        assert done.returncode == 1
        assert "cannot be written: there is no directory" in done.stderr
        assert {path: path.read_text() for path in older} == older

    @pytest.mark.parametrize("option", ["--jsonl", "--csv", "--report"])
    def test_the_bag_itself_is_never_overwritten(self, bag: Path, option: str) -> None:
        file = bag / "walk.mcap"
        before = file.read_bytes()
        for given in (bag, file):
            done = run_fer("replay", given, option, file)
            assert done.returncode == 2
            assert "which is read; name another file" in " ".join(done.stderr.replace("│", " ").split())
        assert file.read_bytes() == before

    @pytest.mark.parametrize("option", ["--csv", "--report", "--out"])
    def test_only_lines_go_to_stdout(self, bag: Path, option: str) -> None:
        done = run_fer("replay", bag, option, "-")
        assert done.returncode == 2
        assert "only --jsonl writes to stdout" in " ".join(done.stderr.replace("│", " ").split())

    @pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux")
    @pytest.mark.parametrize("option", ["--jsonl", "--csv"])
    def test_a_full_disk_is_named(self, bag: Path, option: str) -> None:
        done = run_fer("replay", bag, option, "/dev/full")
        assert done.returncode == 1
        assert "/dev/full cannot be written: No space left on device" in done.stderr

    def test_an_existing_output(self, bag: Path, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        done = run_fer("replay", bag, "--out", tmp_path / "out")
        assert done.returncode == 1
        assert "exists already" in done.stderr
        assert "Traceback" not in done.stderr

    def test_no_such_topic(self, bag: Path) -> None:
        done = run_fer("replay", bag, "--topic", "/front")
        assert done.returncode == 1
        assert "/cam/compressed" in done.stderr

    def test_no_images(self, tmp_path: Path) -> None:
        done = run_fer("replay", write_bag(tmp_path / "bag", [("/notes", 1, text("x"))]))
        assert done.returncode == 1
        assert "no image topics" in done.stderr

    def test_no_bag(self, tmp_path: Path) -> None:
        assert run_fer("replay").returncode == 2
        done = run_fer("replay", tmp_path / "nothing")
        assert (done.returncode, done.stdout) == (1, "")
        assert "does not exist" in done.stderr


def test_two_outputs_in_one_file(tmp_path: Path) -> None:
    done = run_fer("replay", tmp_path, "--jsonl", tmp_path / "x", "--csv", tmp_path / "x")
    assert done.returncode == 2
    assert "one file" in done.stderr


def test_of_many_faces_the_most_seen_are_named() -> None:
    faces = [make_face(f"f{index:05d}", "happy", (9, 9, 50, 50)) for index in range(MOST_FACES + 3)]
    seen = SeenFaces()
    seen.add(ReplayedFrame(0, 0, np.zeros((4, 4, 3), np.uint8), make_result(*faces, camera="/camera")))
    told = _summary(ReplayStatistics(frames=Counter({"/camera": 1})), seen, 1.0, [])
    assert told.count("happy in 1 of them") == MOST_FACES
    # All were seen in one frame, so it must not say "in fewer".
    assert "... and 3 more, none of them in more frames" in told


class TestStatus:
    """What is missing in the results is told on stderr, and by the exit status."""

    def test_unusable_images(self, bag: Path, tmp_path: Path) -> None:
        with BagReader(bag) as reader:
            whole = [("/cam", m.received_ns, (m.connection.msgtype, m.data)) for m in reader.messages()][:4]
        topic, received_ns, (kind, data) = whole[2]
        messages = [*whole[:2], (topic, received_ns, (kind, data[:40])), whole[3]]
        done = run_fer("replay", write_bag(tmp_path / "some", messages), "--json")
        assert done.returncode == 1
        assert json.loads(done.stdout)["frames"] == {"/cam": 3}
        assert "/cam: 1 of 4 images unusable: 1 x a message on /cam is no valid" in done.stderr

    def test_what_is_no_camera_is_told_and_no_failure(self, bag: Path, tmp_path: Path) -> None:
        with BagReader(bag) as reader:
            first = [("/cam", m.received_ns, (m.connection.msgtype, m.data)) for m in reader.messages()][:2]
        depth = raw(np.zeros((24, 32, 2), np.uint8), START_NS, encoding="16UC1")
        both = write_bag(tmp_path / "both", [*first, ("/depth", START_NS, depth), ("/x/debug_image", START_NS, depth)])
        done = run_fer("replay", both, "--json")
        assert done.returncode == 0
        assert "left out, being results and no cameras: /x/debug_image" in json.loads(done.stdout)["notes"][0]
        assert "left out, being results and no cameras: /x/debug_image" in done.stderr
        assert "/depth: 1 of 1 images unusable: 1 x encoding '16UC1'" in done.stderr
        # Who names it wants it.
        assert run_fer("replay", both, "--topic", "/cam", "--topic", "/depth").returncode == 1

    def test_a_bag_that_is_cut(self, bag: Path, tmp_path: Path) -> None:
        with BagReader(bag) as reader:
            images = [reader.read_image(message).decode() for message in reader.messages()][:6]
        times = [START_NS + i * PERIOD for i in range(6)]
        # Large enough for several chunks.
        large = write_bag(tmp_path / "large", [("/cam", t, raw(i, t)) for t, i in zip(times, images, strict=True)])
        data = (large / "large.mcap").read_bytes()
        (tmp_path / "cut.mcap").write_bytes(data[: len(data) * 2 // 3])
        (tmp_path / "a.jsonl").write_text("earlier")
        done = run_fer("replay", tmp_path / "cut.mcap", "--jsonl", tmp_path / "a.jsonl", "--json")
        assert done.returncode == 1
        frames = json.loads(done.stdout)["frames"]["/cam"]
        assert 0 < frames < 6
        assert len((tmp_path / "a.jsonl").read_text().splitlines()) == frames
        assert "it was not finished or is cut" in done.stderr
        assert "what is written covers what could be read" in done.stderr


def test_a_killed_replay_leaves_the_earlier_results(bag: Path, tmp_path: Path) -> None:
    names = ("a.jsonl", "a.csv", "a.html")
    for name in names:
        (tmp_path / name).write_text("earlier")
    options = [str(part) for name in names for part in (f"--{name[2:].replace('html', 'report')}", tmp_path / name)]
    code = "from fer_perception.cli import main; main()"
    command = [sys.executable, "-c", code, "replay", str(bag), *options, "--out", str(tmp_path / "new"), "--progress"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        said = b""
        while b"frames/s" not in said and (part := process.stderr.read1(4096)):
            said += part
        process.kill()
        process.stderr.read()
    assert [(tmp_path / name).read_text() for name in names] == ["earlier"] * 3
    assert not (tmp_path / "new").exists()
    done = run_fer("replay", bag, *options, "--out", tmp_path / "new")
    assert done.returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*names, "new"])
