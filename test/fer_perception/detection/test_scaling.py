"""Reduced copies stay where they are, without aliasing."""

from __future__ import annotations

import numpy as np
import pytest

from fer_perception.detection.scaling import keep_largest, reduced_copy, suppress, to_bgr, to_gray
from fer_perception.pipeline_types import Detection


@pytest.mark.parametrize(
    ("shape", "expected"), [((4320, 7680), (360, 640)), ((720, 1280), (360, 640)), ((999, 7), (640, 4))]
)
@pytest.mark.parametrize("channels", [(), (3,)])
def test_size(shape: tuple[int, int], expected: tuple[int, int], channels: tuple[int, ...]) -> None:
    assert reduced_copy(np.zeros((*shape, *channels), np.uint8), 640).shape == (*expected, *channels)


def test_very_long_images_keep_a_pixel() -> None:
    assert reduced_copy(np.zeros((1, 60000, 3), np.uint8), 640).shape == (1, 640, 3)
    assert reduced_copy(np.zeros((60000, 2), np.uint8), 640).shape == (640, 1)


@pytest.mark.parametrize("longer_side", [640, 0])
def test_small_enough_is_no_copy(longer_side: int) -> None:
    image = np.zeros((480, 640), np.uint8)
    assert reduced_copy(image, longer_side) is image


@pytest.mark.parametrize("factor", [2, 3, 7, 12, 20])
def test_the_copy_is_not_shifted(factor: int) -> None:
    ramp = np.tile(np.linspace(0, 255, 100 * factor).astype(np.uint8), (50 * factor, 1))
    reduced = reduced_copy(ramp, 100)
    middles = (np.arange(100) + 0.5) * factor - 0.5
    # Half a gray level below, since the ramp is cut to whole numbers.
    expected = middles / (100 * factor - 1) * 255 - 0.5
    np.testing.assert_allclose(reduced.mean(axis=0), expected, atol=1.01)


@pytest.mark.parametrize("factor", [2, 3, 7, 12, 20])
@pytest.mark.parametrize("axis", [0, 1])
def test_the_copy_of_a_mirrored_image_is_the_mirrored_copy(factor: int, axis: int) -> None:
    ramp = np.tile(np.linspace(0, 255, 100 * factor).astype(np.uint8), (50 * factor, 1))
    image = ramp if axis else ramp.T
    copy = reduced_copy(image, 100).astype(float)
    mirrored = np.flip(reduced_copy(np.flip(image, axis), 100), axis)
    # A shift moves the two apart, 2.55 gray levels a pixel of the copy each; rounding does not.
    assert abs((copy - mirrored).mean()) / (2 * 2.55) < 0.1


@pytest.mark.parametrize("factor", [2, 5, 12])
def test_fine_patterns_become_gray(factor: int) -> None:
    noise = np.random.default_rng(0).integers(0, 2, (100 * factor, 100 * factor), dtype=np.uint8) * 255
    assert reduced_copy(noise, 100).std() < 70


def test_gray_and_color() -> None:
    gray = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert to_bgr(gray).shape == (3, 4, 3)
    np.testing.assert_array_equal(to_gray(to_bgr(gray)), gray)
    np.testing.assert_array_equal(to_gray(gray[..., None]), gray)


def test_keep_largest() -> None:
    def face(side: float, score: float) -> Detection:
        return Detection(np.array([0, 0, side, side], np.float32), None, score)

    kept = keep_largest([face(10, 0.9), face(40, 0.7), face(30, 0.8), face(20, 0.95)], 15, 2)
    assert [(float(each.box[2]), each.score) for each in kept] == [(30, 0.8), (40, 0.7)]


def test_suppress_keeps_the_better_of_two_and_the_neighbor() -> None:
    def face(x: float, score: float) -> Detection:
        return Detection(np.array([x, 0, 40, 40], np.float32), None, score)

    kept = suppress([face(0, 0.7), face(5, 0.9), face(30, 0.8)])
    assert [(float(each.box[0]), each.score) for each in kept] == [(5, 0.9), (30, 0.8)]
    assert suppress([]) == []
