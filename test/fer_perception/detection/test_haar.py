"""The Haar cascade: its faces have the same geometry as YuNet's."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from fer_perception.detection.base import Detector


@pytest.mark.parametrize(("who", "box"), [("astronaut", (178, 63, 90, 113)), ("hopper", (183, 120, 170, 212))])
def test_box_is_that_of_yunet(
    make: Callable[..., Detector], who: str, box: tuple[int, ...], request: pytest.FixtureRequest
) -> None:
    face = make("haar").detect(request.getfixturevalue(who))[0]
    x, y, w, h = face.box
    assert x + w / 2 == pytest.approx(box[0] + box[2] / 2, abs=0.1 * box[2])
    assert y + h / 2 == pytest.approx(box[1] + box[3] / 2, abs=0.1 * box[3])
    assert w == pytest.approx(box[2], rel=0.2)
    assert face.landmarks is None
    assert 0.6 <= face.score < 1


def test_boxes_are_in_pixels_of_the_image(make: Callable[..., Detector], hopper: np.ndarray) -> None:
    large = cv2.resize(hopper, None, fx=3, fy=3)
    small = make("haar", detection_size=600).detect(hopper)[0]
    reduced = make("haar", detection_size=600).detect(large)[0]
    np.testing.assert_allclose(reduced.box / 3, small.box, atol=8)


def test_settings_are_live(make: Callable[..., Detector], hopper: np.ndarray) -> None:
    detector = make("haar")
    detector.threshold = 0.99
    assert detector.detect(hopper) == []
    detector.threshold = 0.6
    detector.min_face_size = 400
    assert detector.detect(hopper) == []


def test_gray(make: Callable[..., Detector], hopper: np.ndarray) -> None:
    gray = cv2.cvtColor(hopper, cv2.COLOR_BGR2GRAY)
    np.testing.assert_array_equal(make("haar").detect(gray)[0].box, make("haar").detect(hopper)[0].box)
