"""Overlap and assignment of face boxes."""

from __future__ import annotations

import numpy as np
import pytest

from fer_perception.pipeline_types import Detection
from fer_perception.tracking.matching import match, overlaps, same_face
from fer_perception.tracking.motion import FaceMotion


def box(x: float, y: float = 0.0, width: float = 100.0, height: float = 100.0) -> np.ndarray:
    return np.array([x, y, width, height], np.float32)


def detection(x: float, y: float = 0.0, size: float = 100.0, *, landmarks: float | None = None) -> Detection:
    points = None if landmarks is None else np.full((5, 2), landmarks, np.float32)
    return Detection(box(x, y, size, size), points, 0.9)


def test_overlaps_by_hand() -> None:
    iou, inside = overlaps(np.stack([box(0), box(500)]), np.stack([box(0), box(50), box(25, 25, 50, 50)]))
    np.testing.assert_allclose(iou, [[1, 1 / 3, 0.25], [0, 0, 0]])
    np.testing.assert_allclose(inside, [[1, 0.5, 1], [0, 0, 0]])


def test_empty_and_flat_boxes_do_not_overlap() -> None:
    iou, inside = overlaps(np.zeros((1, 4)), np.stack([box(0)]))
    assert iou[0, 0] == inside[0, 0] == 0.0
    assert overlaps(np.zeros((0, 4)), np.stack([box(0)]))[0].shape == (0, 1)


@pytest.mark.parametrize(("other", "same"), [(box(20), True), (box(50), False), (box(30, 30, 40, 40), True)])
def test_what_is_one_face_found_twice(other: np.ndarray, same: bool) -> None:
    assert same_face(box(0)[None], other[None])[0, 0] == same


def test_the_assignment_is_the_best_of_all_not_the_nearest_of_each() -> None:
    motions = [FaceMotion.begin(detection(0)), FaceMotion.begin(detection(40))]
    assert sorted(match(motions, [detection(30), detection(60)])) == [(0, 0), (1, 1)]


def test_landmarks_decide_between_equal_boxes() -> None:
    motions = [FaceMotion.begin(detection(0, landmarks=40)), FaceMotion.begin(detection(0, landmarks=60))]
    assert sorted(match(motions, [detection(0, landmarks=60), detection(0, landmarks=40)])) == [(0, 1), (1, 0)]


def test_out_of_reach_is_never_matched() -> None:
    motion = FaceMotion.begin(detection(0))
    assert match([motion], [detection(80)]) == []
    assert match([motion], [detection(0, size=220)]) == []
    assert match([motion.predict(0.5)], [detection(80)]) == [(0, 0)]


def test_nothing_to_match() -> None:
    assert match([], [detection(0)]) == []
    assert match([FaceMotion.begin(detection(0))], []) == []
