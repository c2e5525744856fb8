"""Simulated faces with known identities that move through an image, with detections of an imperfect detector."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_perception.pipeline_types import Detection

#: The image the faces move in, pixels.
WIDTH, HEIGHT = 1280, 720
#: Where landmarks lie in a face box: right eye, left eye, nose, right and left mouth corner.
_SHAPE = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.78], [0.65, 0.78]])


@dataclass(frozen=True)
class World:
    """F faces in T images.

    Attributes:
        stamps: (T,) s.
        boxes: (F, T, 4) true x, y, width, height; NaN where the face is not in the image.
        visible: (F, T) whether a perfect detector could see it.
    """

    stamps: NDArray[np.float64]
    boxes: NDArray[np.float64]
    visible: NDArray[np.bool_]


def _world(rate: float, seconds: float, path: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> World:
    stamps = np.arange(round(seconds * rate)) / rate
    boxes = path(stamps)
    return World(stamps, boxes, np.isfinite(boxes[..., 0]))


def _boxes(x: NDArray[np.float64], y: NDArray[np.float64], size: float) -> NDArray[np.float64]:
    """(T, 4) boxes of a face with its center at x, y (T,)."""
    return np.stack([x - size / 2, y - 0.6 * size, np.full_like(x, size), np.full_like(x, 1.2 * size)], axis=-1)


def passing(rate: float = 30.0, *, overlap: float = 0.5) -> World:
    """Two faces walk past each other; at the closest, `overlap` of one box lies in the other."""
    size = 100.0
    lower = 1.2 * size * (1.0 - overlap)

    def path(t: NDArray[np.float64]) -> NDArray[np.float64]:
        along = 300.0 + 150.0 * t
        return np.stack(
            [_boxes(along, np.full_like(t, 300.0), size), _boxes(1200 - along, 300.0 + lower + 0 * t, size)]
        )

    return _world(rate, 4.0, path)


def meeting(rate: float = 30.0, *, overlap: float = 0.5) -> World:
    """Two faces come together until `overlap` of one box lies in the other, stay for a second and part again."""
    size = 100.0
    apart = size * (1.0 - overlap)

    def path(t: NDArray[np.float64]) -> NDArray[np.float64]:
        distance = np.interp(t, [0.0, 1.5, 2.5, 4.0], [400.0, apart, apart, 400.0])
        return np.stack([_boxes(640 - distance / 2, 300 + 0 * t, size), _boxes(640 + distance / 2, 300 + 0 * t, size)])

    return _world(rate, 4.0, path)


def lost(rate: float = 30.0, *, gap: float = 0.5) -> World:
    """A walking face beside a standing one; the walker is hidden for `gap` s."""

    def path(t: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack([_boxes(200 + 120 * t, 300 + 0 * t, 100.0), _boxes(900 + 0 * t, 350 + 0 * t, 120.0)])

    world = _world(rate, 4.0, path)
    hidden = (world.stamps >= 1.5) & (world.stamps < 1.5 + gap)
    world.visible[0, hidden] = False
    return world


def crowd(rate: float = 30.0, *, faces: int = 30) -> World:
    """Rows of faces that sway, each at its own pace, without overlapping."""

    def path(t: NDArray[np.float64]) -> NDArray[np.float64]:
        rng = np.random.default_rng(5)
        rows = []
        for i in range(faces):
            pace, phase = rng.uniform(0.2, 0.8), rng.uniform(0.0, 2 * np.pi)
            sway = 25.0 * np.sin(2 * np.pi * pace * t + phase)
            rows.append(_boxes(80 + 120 * (i % 10) + sway, 120 + 200 * (i // 10) + 0.5 * sway, 70.0))
        return np.stack(rows)

    return _world(rate, 4.0, path)


#: What the benchmark reports on, by name.
WORLDS: dict[str, Callable[[float], World]] = {"passing": passing, "meeting": meeting, "lost": lost, "crowd": crowd}


def detect(
    world: World, frame: int, rng: np.random.Generator, *, dropped: float = 0.2, jitter: float = 0.05
) -> tuple[list[Detection], list[int]]:
    """Detections of one image, in random order.

    Args:
        world: the truth.
        frame: index of the image.
        rng: chance.
        dropped: share of the faces that are missed.
        jitter: standard deviation of each side of a box, in widths of the face; the landmarks have half of it.

    Returns:
        The detections and the true face of each.
    """
    found: list[tuple[Detection, int]] = []
    for face, box in enumerate(world.boxes[:, frame]):
        if not world.visible[face, frame] or rng.random() < dropped:
            continue
        low = box[:2] + rng.normal(0.0, jitter, 2) * box[2]
        high = box[:2] + box[2:] + rng.normal(0.0, jitter, 2) * box[2]
        landmarks = box[:2] + _SHAPE * box[2:] + rng.normal(0.0, 0.5 * jitter, (5, 2)) * box[2]
        size = np.concatenate([low, high - low]).astype(np.float32)
        found.append((Detection(size, landmarks.astype(np.float32), float(rng.uniform(0.7, 0.99))), face))
    order = rng.permutation(len(found))
    return [found[i][0] for i in order], [found[i][1] for i in order]
