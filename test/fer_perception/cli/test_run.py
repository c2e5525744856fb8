from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from changed_model import with_metadata
from run_fer import run_fer
from run_in_terminal import run_in_terminal

from fer_perception import cli
from fer_perception.demo.clip import RATE, clip_frames, load_portraits
from fer_perception.imaging.encodings import MAX_PIXELS
from fer_perception.labels import LABELS

FACE_KEYS = {
    "face_id", "emotion", "confidence", "roi", "scores", "raw_scores", "phase", "valence", "arousal", "observed",
    "quality", "detection_confidence", "tracked_for", "landmarks",
}  # fmt: skip


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with two portraits, a damaged image and something else."""
    directory = tmp_path_factory.mktemp("images")
    astronaut, hopper = load_portraits()
    cv2.imwrite(str(directory / "a10.png"), hopper.image)
    opaque = np.full(astronaut.image.shape[:2], 255, np.uint8)
    cv2.imwrite(str(directory / "a2.png"), np.dstack([astronaut.image, opaque]))
    (directory / "a3.jpg").write_bytes(b"damaged")
    (directory / "list.txt").write_text("a2 a10")
    return directory


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "walk.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), RATE, (640, 480))
    for _, image in clip_frames(1.5):
        writer.write(image)
    writer.release()
    return path


def test_a_model_that_does_not_state_its_class_prior_is_told_once(
    images: Path, repository: Path, tmp_path: Path
) -> None:
    shipped = repository / "models" / "ires_separable.onnx"
    model = with_metadata(shipped, tmp_path / "old.onnx", "fer.class_prior", None)
    params = tmp_path / "fer.yaml"
    params.write_text(f"model: {model}\n")
    done = run_fer("run", images / "a2.png", "--json", "--params", params)
    assert done.returncode == 0
    assert done.stderr.count("does not state its class prior") == 1
    assert "class prior" not in run_fer("run", images / "a2.png").stderr


class TestImages:
    def test_one_still(self, images: Path) -> None:
        done = run_fer("run", images / "a2.png", "--json")
        assert done.returncode == 0
        (row,) = [json.loads(line) for line in done.stdout.splitlines()]
        assert list(row) == ["source", "frame", "stamp", "width", "height", "faces"]
        assert (row["frame"], row["stamp"]) == (0, 0.0)
        (face,) = row["faces"]
        assert set(face) == FACE_KEYS
        assert face["emotion"] == "happy"
        assert face["face_id"] == "f00001"
        assert face["scores"] == face["raw_scores"]
        assert list(face["scores"]) == list(LABELS)
        assert sum(face["scores"].values()) == pytest.approx(1.0, abs=1e-6)
        assert face["confidence"] == face["scores"]["happy"]
        assert face["phase"] == "unknown"
        assert face["observed"] is True
        x, y, w, h = face["roi"]
        assert 0 < x < x + w < row["width"]
        assert 0 <= y < y + h < row["height"]

    def test_a_directory_goes_on_after_a_damaged_image(self, images: Path, tmp_path: Path) -> None:
        done = run_fer("run", images, "--json", "--save", tmp_path / "out")
        assert done.returncode == 1
        assert "a3.jpg" in done.stderr
        assert "list.txt" not in done.stderr
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        assert [row["frame"] for row in rows] == [0, 2]
        assert rows[0]["faces"][0]["emotion"] == "happy"
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a10_annotated.png", "a2_annotated.png"]
        drawn = cv2.imread(str(tmp_path / "out" / "a2_annotated.png"))
        plain = cv2.imread(str(images / "a2.png"))
        assert drawn.shape == plain.shape
        assert (drawn != plain).any()

    def test_results_do_not_go_among_the_inputs(self, images: Path) -> None:
        before = sorted(images.iterdir())
        done = run_fer("run", images, "--save", images)
        assert done.returncode == 2
        assert "is the directory that is read" in " ".join(done.stderr.replace("│", " ").split())
        assert sorted(images.iterdir()) == before

    def test_what_was_chosen_is_logged_on_request(self, images: Path) -> None:
        image = next(path for path in sorted(images.iterdir()) if path.suffix in {".png", ".jpg"})
        said = run_fer("-v", "run", image).stderr
        assert "INFO: detector: " in said
        assert "INFO: arch1@" in said

    def test_for_people(self, images: Path) -> None:
        done = run_fer("run", images / "a2.png")
        assert done.returncode == 0
        assert "a2.png: 1 face" in done.stdout
        assert "happy" in done.stdout

    def test_a_weaker_detector_is_told(self, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FER_MODEL_DIR", str(tmp_path))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        done = run_fer("run", images / "a2.png", "--json")
        assert done.returncode == 0
        assert "fer models fetch yunet" in done.stderr
        assert len(done.stdout.splitlines()) == 1

    @pytest.mark.yunet
    def test_a_full_disk(self, images: Path) -> None:
        command = [sys.executable, "-c", "from fer_perception.cli import main; main()", "run", str(images / "a2.png")]
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
        assert done.returncode == 1
        assert done.stderr == "fer: stdout cannot be used: No space left on device\n"

    @pytest.mark.yunet
    def test_stdout_that_is_closed(self, images: Path, tmp_path: Path) -> None:
        script = 'exec 1>&-; exec "$@"'
        command = [sys.executable, "-c", "from fer_perception.cli import main; main()", "run", str(images / "a2.png")]
        command += ["--save", str(tmp_path)]
        done = subprocess.run(
            ["sh", "-c", script, "sh", *command], stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert (tmp_path / "a2_annotated.png").is_file()

    def test_nothing_is_kept_or_sent_by_the_runtime(
        self, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # ONNX Runtime's telemetry makes a device id and a queue in the user's cache; it stays off under CI.
        for name in ("ORT_DISABLE_TELEMETRY", "CI"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        assert run_fer("run", images / "a2.png").returncode == 0
        assert [
            path.name for path in tmp_path.rglob("*") if "onnxruntime" in path.name or path.name == "deviceid"
        ] == []


class TestVideos:
    def test_one_line_a_frame(self, video: Path) -> None:
        done = run_fer("run", video, "--json")
        assert done.returncode == 0
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        assert [row["frame"] for row in rows] == list(range(30))
        assert [row["stamp"] for row in rows] == pytest.approx([i / RATE for i in range(30)], abs=0.002)
        assert rows[0]["faces"] == []
        assert {face["face_id"] for row in rows for face in row["faces"]} == {"f00001"}
        assert rows[-1]["faces"][0]["emotion"] == "happy"

    def test_summary_and_annotated_video(self, video: Path, tmp_path: Path) -> None:
        done = run_fer("run", video, "--save", tmp_path, "--progress")
        assert done.returncode == 0
        assert "30 frames, 1 face," in done.stdout
        assert "f00001" in done.stdout
        assert "walk.mp4" in done.stderr
        assert "30 frames" not in done.stderr
        capture = cv2.VideoCapture(str(tmp_path / "walk_annotated.mp4"))
        assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 30
        capture.release()

    def test_a_reader_that_leaves_early(self, video: Path) -> None:
        command = [sys.executable, "-c", "from fer_perception.cli import main; main()", "run", str(video), "--json"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert json.loads(process.stdout.readline())["frame"] == 0
            process.stdout.close()
            said = process.stderr.read()
            assert process.wait(timeout=60) == 0
            assert b"Error" not in said

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_an_interruption_leaves_a_readable_video(self, video: Path, tmp_path: Path, number: signal.Signals) -> None:
        command = [sys.executable, "-c", "from fer_perception.cli import main; main()", "run", str(video), "--json"]
        command += ["--save", str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            # When the second frame is told, the first one has been drawn.
            process.stdout.readline()
            process.stdout.readline()
            process.send_signal(number)
            process.stdout.read()
            said = process.stderr.read()
            status = process.wait(timeout=60)
        capture = cv2.VideoCapture(str(tmp_path / "walk_annotated.mp4"))
        assert capture.read()[0]
        capture.release()
        # The clip is short: it may have come to its end before the signal arrived.
        assert status == (1 if said.endswith(b"fer: interrupted\n") else 0)
        assert b"Traceback" not in said


class TestSettings:
    def test_params_from_a_ros_file(self, images: Path, tmp_path: Path) -> None:
        params = tmp_path / "fer.yaml"
        params.write_text("/**:\n  ros__parameters:\n    min_face_size: 2000\n    autostart: false\n")
        done = run_fer("run", images / "a2.png", "--json", "--params", params)
        assert done.returncode == 0
        assert json.loads(done.stdout)["faces"] == []

    def test_a_wrong_name_gets_a_hint(self, images: Path, tmp_path: Path) -> None:
        params = tmp_path / "fer.yaml"
        params.write_text("max_face: 3\n")
        done = run_fer("run", images / "a2.png", "--params", params)
        assert (done.returncode, done.stdout) == (1, "")
        assert "did you mean 'max_faces'" in done.stderr
        assert "Traceback" not in done.stderr

    def test_a_missing_model(self, images: Path, tmp_path: Path) -> None:
        params = tmp_path / "fer.yaml"
        params.write_text("model: /nowhere/model.onnx\n")
        done = run_fer("run", images / "a2.png", "--params", params)
        assert done.returncode == 1
        assert "/nowhere/model.onnx" in done.stderr
        assert "Traceback" not in done.stderr


class TestSeveralSources:
    def test_files_settings_and_a_table(self, images: Path, tmp_path: Path) -> None:
        table = tmp_path / "faces.csv"
        paths = [images / "a2.png", images / "absent.png", images / "a10.png"]
        done = run_fer("run", *paths, "undecided_threshold=1.0", "--json", "--csv", table)
        assert done.returncode == 1
        assert "absent.png does not exist" in done.stderr
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        assert [row["source"] for row in rows] == [str(images / "a2.png"), str(images / "a10.png")]
        assert {face["emotion"] for row in rows for face in row["faces"]} == {""}, "the setting counts"
        with table.open(encoding="utf-8", newline="") as file:
            cells = list(csv.DictReader(file))
        assert [row["camera"] for row in cells] == [row["source"] for row in rows for _ in row["faces"]]

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (["undecided_treshold=0.5"], "did you mean 'undecided_threshold'"),
            (["threads=many"], "threads is 'many'"),
            (["--model", "/nowhere/m.onnx"], "/nowhere/m.onnx"),
        ],
    )
    def test_bad_settings_are_named(self, images: Path, arguments: list[str], told: str) -> None:
        done = run_fer("run", images / "a2.png", *arguments)
        assert (done.returncode, done.stdout) == (1, "")
        assert told in done.stderr

    def test_images_and_videos_of_a_directory(self, images: Path, video: Path, tmp_path: Path) -> None:
        folder = tmp_path / "in"
        (folder / "more").mkdir(parents=True)
        for path in (images / "a2.png", video):
            (folder / path.name).write_bytes(path.read_bytes())
        (folder / "more" / "a2.png").write_bytes((images / "a2.png").read_bytes())
        (folder / "notes.txt").write_text("text")
        done = run_fer("run", folder, "--recursive", "--save", tmp_path / "out")
        assert done.returncode == 0, done.stderr
        assert "1 neither images nor videos (.txt)" in done.stderr
        assert "a2.png: 1 face\n" in done.stdout
        assert f"{folder / video.name}: 30 frames, 1 face" in done.stdout
        written = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*"))
        assert written == ["a2_annotated.png", str(Path("more") / "a2_annotated.png"), "walk_annotated.mp4"]
        refused = run_fer("run", folder, "--recursive", "--save", folder / "out")
        assert refused.returncode == 2


@pytest.mark.yunet
def test_a_camera_mounted_on_its_side(images: Path, tmp_path: Path) -> None:
    upright = cv2.imread(str(images / "a2.png"))
    cv2.imwrite(str(tmp_path / "turned.png"), cv2.rotate(upright, cv2.ROTATE_90_CLOCKWISE))
    done = run_fer("run", images / "a2.png", tmp_path / "turned.png", "rotate=0", "--json")
    turned = run_fer("run", tmp_path / "turned.png", "rotate=270", "--json")
    straight = json.loads(done.stdout.splitlines()[0])
    row = json.loads(turned.stdout)
    (face,), (expected,) = row["faces"], straight["faces"]
    assert face["emotion"] == "happy"
    assert face["scores"] == pytest.approx(expected["scores"], abs=1e-6)
    # In pixels of the image as it came.
    assert (row["width"], row["height"]) == (straight["height"], straight["width"])
    x, y, w, h = expected["roi"]
    assert face["roi"] == [straight["height"] - y - h, x, h, w]


@pytest.mark.yunet
def test_a_terminal_shows_the_results_and_no_bar_for_an_image(images: Path) -> None:
    command = [sys.executable, "-c", "from fer_perception.cli import main; main()", "run", str(images / "a2.png")]
    status, written = run_in_terminal(command, columns=80)
    assert status == 0
    lines = written.replace("\r", "").splitlines()
    assert lines[0] == "a2.png: 1 face"
    assert len(lines) == 2


class TestWrongUsage:
    @pytest.mark.parametrize("arguments", [["run"], ["run", "a.png", "--nonsense"], ["dance"], ["run", "threads=1"]])
    def test_exit_status_two(self, arguments: list[str]) -> None:
        done = run_fer(*arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr

    def test_a_missing_file_is_a_failure(self) -> None:
        done = run_fer("run", "/nowhere/a.png")
        assert done.returncode == 1
        assert done.stderr.startswith("fer: /nowhere/a.png does not exist; expected an image, video, directory")
        assert len(done.stderr.splitlines()) == 1

    def test_a_window_without_a_window_system(self, images: Path) -> None:
        gui = next(line for line in cv2.getBuildInformation().splitlines() if line.strip().startswith("GUI:"))
        if "NONE" not in gui:
            pytest.skip("this OpenCV can open windows")
        done = run_fer("run", images / "a2.png", "--view")
        assert done.returncode == 2
        assert "opencv-python" in done.stderr
        assert "--save" in done.stderr


def test_help_and_version_load_nothing_heavy() -> None:
    # What start-up files of the environment import does not count.
    code = """
import sys
before = set(sys.modules)
from fer_perception.cli import main
sys.argv = ["fer", "--help"]
try:
    main()
except SystemExit as end:
    assert end.code == 0
heavy = {"numpy", "cv2", "onnxruntime", "rclpy", "rosbags", "scipy"} & (set(sys.modules) - before)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for command in ("run", "replay", "models", "compile", "benchmark", "doctor"):
        assert f" {command} " in done.stdout
    assert run_fer("--version").stdout.startswith("fer_perception ")


def test_escape_sequences_in_names_do_not_reach_the_terminal(tmp_path: Path) -> None:
    done = run_fer("run", str(tmp_path / "\x1b[31mred\nfine.png"))
    assert done.returncode == 1
    assert "\x1b" not in done.stderr
    assert "\\x1b[31mred" in done.stderr


def test_ctrl_c_while_the_command_is_loaded() -> None:
    code = """
import sys
from fer_perception.cli import main

class Interrupted:
    def find_spec(self, name, *_):
        if name == "fer_perception.cli.app":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupted())
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "fer: interrupted\n")


def test_a_image_of_a_few_bytes_does_not_cost_gigabytes(tmp_path: Path) -> None:
    (tmp_path / "wide.pgm").write_bytes(b"P5 30000 3000 255\n")
    done = run_fer("run", tmp_path / "wide.pgm")
    assert done.returncode == 1
    assert "wide.pgm cannot be decoded: it announces more than 67108864 pixels" in done.stderr


def test_the_limit_of_opencv_is_ours() -> None:
    assert cli._MAX_PIXELS == MAX_PIXELS


def test_names_of_others_neither_steer_the_terminal_nor_the_progress_bar(images: Path, tmp_path: Path) -> None:
    # Markup to rich, unless it is told otherwise.
    folder = tmp_path / "[bold]\x1b[31m"
    folder.mkdir()
    (folder / "broken\x1b[31m.png").write_bytes(b"damaged")
    (folder / "whole.png").write_bytes((images / "a2.png").read_bytes())
    done = run_fer("run", folder, "--progress")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "[bold]" in done.stderr
    assert "broken\\x1b[31m.png is no image" in done.stderr
    assert "\x1b[31m.png" not in done.stderr
