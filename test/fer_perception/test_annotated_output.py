from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_perception.annotated_output import AnnotatedOutput
from fer_perception.errors import SourceError

IMAGE = np.full((48, 64, 3), (10, 120, 230), np.uint8)


def test_pictures_keep_their_names(tmp_path: Path) -> None:
    with AnnotatedOutput(tmp_path / "new" / "out") as output:
        names = [output.add_picture(name, IMAGE).name for name in ("a.png", "b.JPG", "c.gif", "d")]
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
        output.add_picture("a.png", np.zeros((4, 4, 3), np.uint8))
        output.add_picture("a.PNG", np.full((4, 4, 3), 255, np.uint8))
    assert len(set(output.files)) == 2
    assert [int(cv2.imread(str(path)).max()) for path in output.files] == [0, 255]
