from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from full_disk import fill_the_disk

from fer_perception.errors import SourceError
from fer_perception.results.annotated_output import AnnotatedOutput

IMAGE = np.full((48, 64, 3), (10, 120, 230), np.uint8)


def test_images_keep_their_names(tmp_path: Path) -> None:
    with AnnotatedOutput(tmp_path / "new" / "out") as output:
        names = [output.add_image(name, IMAGE).name for name in ("a.png", "b.JPG", "c.gif", "d")]
    assert names == ["a_annotated.png", "b_annotated.jpg", "c.gif_annotated.png", "d_annotated.png"]
    np.testing.assert_array_equal(cv2.imread(str(output.files[0])), IMAGE)


def test_one_video_a_source(tmp_path: Path) -> None:
    with AnnotatedOutput(tmp_path) as output:
        for _ in range(10):
            output.add_frame("walk.avi", IMAGE, 12.5)
        output.add_frame("walk.avi", np.zeros((60, 80, 3), np.uint8), 12.5)
    assert [path.name for path in output.files] == ["walk_annotated.mp4"]
    capture = cv2.VideoCapture(str(output.files[0]))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 11
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(12.5)
    ok, frame = capture.read()
    assert ok
    assert frame.shape == IMAGE.shape
    assert np.abs(frame.astype(int) - IMAGE).mean() < 8
    capture.release()


def test_odd_sizes(tmp_path: Path) -> None:
    with AnnotatedOutput(tmp_path) as output:
        output.add_frame("odd.mp4", np.zeros((47, 63, 3), np.uint8), 30.0)
    capture = cv2.VideoCapture(str(output.files[0]))
    assert capture.read()[0]
    capture.release()


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(SourceError, match="cannot be made into a directory"):
        AnnotatedOutput(tmp_path / "out")


def test_names_that_differ_in_case_alone(tmp_path: Path) -> None:
    with AnnotatedOutput(tmp_path) as output:
        output.add_image("a.png", np.zeros((4, 4, 3), np.uint8))
        output.add_image("a.PNG", np.full((4, 4, 3), 255, np.uint8))
    assert len(set(output.files)) == 2
    assert [int(cv2.imread(str(path)).max()) for path in output.files] == [0, 255]


@pytest.mark.skipif(sys.platform != "linux", reason="limits of the file size are set as on Linux")
def test_a_full_disk_is_no_success(tmp_path: Path) -> None:
    """OpenCV says nothing of frames it could not write."""
    program = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from fer_perception.results.annotated_output import VideoFile
from fer_perception.errors import SourceError

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
video = VideoFile(Path(sys.argv[1]), (320, 240), 25.0)
random = np.random.default_rng(0)
for _ in range(30):
    video.add(random.integers(0, 256, (240, 320, 3), dtype=np.uint8))
try:
    video.close()
except SourceError as err:
    print(err)
"""
    command = [sys.executable, "-c", program, str(tmp_path / "noise.mp4")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "noise.mp4 could not be written whole; is the disk full?" in done.stdout


def test_planted_links_are_replaced_not_followed(tmp_path: Path) -> None:
    for name in ("a_annotated.png", "walk_annotated.mp4"):
        (tmp_path / "elsewhere").write_text("mine")
        (tmp_path / name).symlink_to(tmp_path / "elsewhere")
    with AnnotatedOutput(tmp_path) as output:
        output.add_image("a.png", IMAGE)
        output.add_frame("walk.avi", IMAGE, 12.5)
    assert (tmp_path / "elsewhere").read_text() == "mine"
    assert not any(path.is_symlink() for path in output.files)
    assert not list(tmp_path.glob(".*.part"))


def test_a_full_disk_leaves_the_earlier_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a_annotated.png").write_bytes(b"earlier")
    fill_the_disk(monkeypatch)
    with (
        AnnotatedOutput(tmp_path) as output,
        pytest.raises(SourceError, match="cannot be written: No"),
    ):
        output.add_image("a.png", IMAGE)
    assert (tmp_path / "a_annotated.png").read_bytes() == b"earlier"
    assert [path.name for path in tmp_path.iterdir()] == ["a_annotated.png"]


def test_the_earlier_video_stays_until_the_new_one_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "walk_annotated.mp4").write_bytes(b"earlier")
    output = AnnotatedOutput(tmp_path)
    output.add_frame("walk.avi", IMAGE, 12.5)
    assert (tmp_path / "walk_annotated.mp4").read_bytes() == b"earlier"
    fill_the_disk(monkeypatch)
    with pytest.raises(SourceError, match=r"walk_annotated\.mp4 cannot be written: No"):
        output.close()
    assert (tmp_path / "walk_annotated.mp4").read_bytes() == b"earlier"
    assert [path.name for path in tmp_path.iterdir()] == ["walk_annotated.mp4"]


def test_what_a_killed_run_left_is_removed(tmp_path: Path) -> None:
    left = tmp_path / ".walk_annotated.mp4.0123456789abcdef.part"
    left.mkdir()
    (left / "video.mp4").write_bytes(b"half")
    with AnnotatedOutput(tmp_path) as output:
        output.add_frame("walk.avi", IMAGE, 12.5)
    assert list(tmp_path.iterdir()) == output.files
