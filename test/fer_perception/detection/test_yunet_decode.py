"""The outputs of YuNet decoded by hand."""

from __future__ import annotations

import numpy as np
import pytest

from fer_perception.detection.yunet_decode import STRIDES, decode, decode_batch

WIDTH, HEIGHT = 96, 64


def outputs(stride: int, column: int, row: int, *, cls: float, obj: float) -> list[np.ndarray]:
    """Of an image of 96x64 pixels with one face, in one cell of one grid."""
    cells = [(WIDTH // each) * (HEIGHT // each) for each in STRIDES]
    arrays = [np.zeros((1, n, width), np.float32) for width in (1, 1, 4, 10) for n in cells]
    which = STRIDES.index(stride)
    cell = row * (WIDTH // stride) + column
    values = ([cls], [obj], [0.25, 0.5, np.log(2.0), np.log(3.0)], [0.1 * i for i in range(10)])
    for kind, value in enumerate(values):
        arrays[which + len(STRIDES) * kind][0, cell] = value
    return arrays


@pytest.mark.parametrize("stride", STRIDES)
def test_a_cell_becomes_a_box_landmarks_and_a_score(stride: int) -> None:
    (face,) = decode(outputs(stride, 2, 1, cls=0.9, obj=0.4), WIDTH, HEIGHT, 0.5)
    width, height = 2 * stride, 3 * stride
    box = ((2 + 0.25) * stride - width / 2, (1 + 0.5) * stride - height / 2, width, height)
    np.testing.assert_allclose(face[:4], box, rtol=1e-5)
    points = [[(2 + 0.2 * i) * stride, (1 + 0.2 * i + 0.1) * stride] for i in range(5)]
    np.testing.assert_allclose(face[4:14].reshape(5, 2), points, rtol=1e-5)
    assert face[14] == pytest.approx(0.6)


@pytest.mark.parametrize(("product", "found"), [(0.35, 0), (0.37, 1), (0.5, 1), (0.9, 1)])
def test_the_threshold_is_of_the_root_of_class_and_objectness(product: float, found: int) -> None:
    assert len(decode(outputs(8, 3, 3, cls=product, obj=1.0), WIDTH, HEIGHT, 0.6)) == found
    assert len(decode(outputs(8, 3, 3, cls=1.0, obj=product), WIDTH, HEIGHT, 0.6)) == found


def test_values_above_one_count_as_one() -> None:
    (face,) = decode(outputs(16, 1, 1, cls=1.5, obj=0.81), WIDTH, HEIGHT, 0.6)
    assert face[14] == pytest.approx(0.9)


def test_nothing_found_has_fifteen_columns() -> None:
    assert decode(outputs(8, 0, 0, cls=0.0, obj=1.0), WIDTH, HEIGHT, 0.6).shape == (0, 15)


def test_cells_that_propose_one_face_vote_on_its_place() -> None:
    """Two neighbors of nearly the same score: which of them is the best one does not move the face."""
    cells = 128 * 128 // 64

    def outputs(left: float, right: float) -> list[np.ndarray]:
        made = []
        for kind in (1, 1, 4, 10):
            for stride in (8, 16, 32):
                made.append(np.zeros((2, cells * 64 // stride**2, kind), np.float32))
        # Both propose a box of 64 pixels around their own corner, 8 pixels apart.
        for cell, score in ((0 + 4 * 16, left), (1 + 4 * 16, right)):
            made[0][1, cell] = made[3][1, cell] = score
            made[6][1, cell, 2:] = np.log(8)
        return made

    places = {}
    for vote in (False, True):
        none, one = decode_batch(outputs(0.90, 0.89), 128, 128, 0.6, vote=vote)
        _, other = decode_batch(outputs(0.89, 0.90), 128, 128, 0.6, vote=vote)
        assert len(none) == 0
        assert len(one) == len(other) == 1
        assert one[0, 14] == pytest.approx(0.90)
        places[vote] = abs(float(one[0, 0] - other[0, 0]))
    assert places[False] == pytest.approx(8)
    assert places[True] < 0.5
