from __future__ import annotations

import itertools

import numpy as np

from fer_perception.demo.clip import DURATION, HEIGHT, RATE, WIDTH, clip_frames


def test_the_clip_is_the_same_at_every_call_and_moves() -> None:
    first = [image for _, image in itertools.islice(clip_frames(), 40)]
    second = [image for _, image in itertools.islice(clip_frames(), 40)]
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert first[0].shape == (HEIGHT, WIDTH, 3)
    assert first[0].dtype == np.uint8
    assert np.abs(first[20].astype(int) - first[39]).mean() > 1


def test_its_length_and_the_empty_stretch() -> None:
    frames = list(clip_frames())
    assert len(frames) == DURATION * RATE
    wall = frames[0][1].astype(int)
    difference = {t: np.abs(image - wall).mean() for t, image in frames}
    assert max(value for t, value in difference.items() if t < 0.6 or 9.5 <= t < 11.0) < 4
    assert min(value for t, value in difference.items() if 1.0 < t < 9.0) > 6


def test_a_shorter_clip() -> None:
    assert len(list(clip_frames(0.5))) == RATE // 2
