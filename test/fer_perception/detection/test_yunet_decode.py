"""The outputs of YuNet decoded by hand."""

from __future__ import annotations

import numpy as np
import pytest

from fer_perception.detection.yunet_decode import STRIDES, decode

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
