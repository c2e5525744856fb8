"""Scene cuts, and what is none."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fer_perception.detection.scene import SceneCuts


def told(*images: np.ndarray) -> list[bool]:
    scene = SceneCuts()
    return [scene.cut(image) for image in images]


def test_another_scene_is_a_cut(astronaut: np.ndarray, hopper: np.ndarray) -> None:
    assert told(astronaut, hopper, hopper, astronaut) == [False, True, False, True]
    gray = cv2.cvtColor(hopper, cv2.COLOR_BGR2GRAY)
    assert told(cv2.cvtColor(astronaut, cv2.COLOR_BGR2GRAY), gray) == [False, True]


def test_light_noise_size_and_a_camera_that_turns_are_none(astronaut: np.ndarray) -> None:
    noise = np.random.default_rng(0).normal(0, 12, astronaut.shape)
    noisy = np.clip(astronaut + noise, 0, 255).astype(np.uint8)
    dark = (astronaut * 0.35).astype(np.uint8)
    small = cv2.resize(astronaut, (160, 120))
    turned = np.roll(astronaut, 40, axis=1)
    assert told(astronaut, noisy, dark, astronaut, small, astronaut, turned) == [False] * 7


def test_a_covered_lens_is_none_but_what_is_behind_it_may_be(astronaut: np.ndarray, hopper: np.ndarray) -> None:
    black = np.zeros_like(astronaut)
    assert told(black, astronaut, black, astronaut) == [False] * 4
    assert told(astronaut, black, hopper) == [False, False, True]


@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 3), (3000, 2, 3), (2, 4000)])
def test_any_size(shape: tuple[int, ...]) -> None:
    random = np.random.default_rng(1)
    images = [random.integers(0, 256, shape, dtype=np.uint8) for _ in range(3)]
    assert len(told(*images)) == 3
