"""Quarter turns, and what was found in the turned image told in pixels of the image as it came."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_results import make_face, make_result

from fer_perception.imaging.rotation import turn, turn_back
from fer_perception.settings.declaration import ROTATIONS


@pytest.mark.parametrize("degrees", ROTATIONS)
@pytest.mark.parametrize("shape", [(48, 64, 3), (48, 64)])
def test_a_box_lands_where_it_was(degrees: int, shape: tuple[int, ...]) -> None:
    image = np.zeros(shape, np.uint8)
    image[10:20, 30:50] = 255
    turned = turn(image, degrees)
    rows, columns = np.nonzero(turned if turned.ndim == 2 else turned[..., 0])
    box = (int(columns.min()), int(rows.min()), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1)
    corner = np.array([[box[0], box[1]], [box[0] + box[2], box[1] + box[3]]], np.float32)
    face = replace(make_face("f1", "happy", box), landmarks=corner)
    height, width = turned.shape[:2]
    result = turn_back(replace(make_result(face), width=width, height=height), degrees)
    assert (result.width, result.height) == (64, 48)
    assert result.faces[0].roi == (30, 10, 20, 10)
    landmarks = result.faces[0].landmarks
    assert landmarks is not None
    np.testing.assert_allclose(np.sort(landmarks, axis=0), [[30, 10], [50, 20]])


def test_an_upright_image_is_not_copied() -> None:
    image = np.zeros((4, 6, 3), np.uint8)
    assert turn(image, 0) is image
    assert turn(image, 90).shape == (6, 4, 3)
