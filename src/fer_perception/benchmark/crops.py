"""Speed of cropping: alignment, gray, shrinking, turning, float32 batch, quality."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_perception.benchmark.faces_canvas import portrait_frame
from fer_perception.benchmark.measure import measure
from fer_perception.imaging.crops import BOX_TEMPLATE, LANDMARK_TEMPLATE, crop_faces, face_quality

_SECONDS, _QUICK_SECONDS = 8.0, 2.0
#: Width of the faces in pixels: sixteen of them fill a 640x480 frame.
_FACE_WIDTH = 100


def run(*, quick: bool, progress: Callable[[str], None]) -> dict[str, float]:
    """Time the crops of 1, 4 and 16 faces of 100 pixels width in a 640x480 frame, on one thread.

    Args:
        quick: a shorter measurement.
        progress: gets one line for each number of faces.

    Returns:
        `crops.<n>_faces.ms` (batch ready for the classifier, which normalizes inside its graph), `.p95_ms`,
        `.p99_ms`, and `crops.<n>_faces_quality.ms` for their quality figures.
    """
    frame = portrait_frame(progress)
    figures: dict[str, float] = {}
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        for count in (1, 4, 16):
            boxes, landmarks = _faces(count, frame.shape[1], frame.shape[0])
            seconds = (_QUICK_SECONDS if quick else _SECONDS) / 6
            figures.update(_crop_durations(frame, boxes, landmarks, seconds))
            figures.update(_quality_durations(frame, boxes, landmarks, seconds))
            progress(f"crops: {count} faces {figures[f'crops.{count}_faces.ms']:.3f} ms")
    finally:
        cv2.setNumThreads(threads)
    return figures


def _faces(count: int, width: int, height: int) -> tuple[NDArray[np.float32], list[NDArray[np.float32] | None]]:
    """Boxes (N, 4) and slightly turned landmarks on a grid over the frame."""
    x, y, w, h = BOX_TEMPLATE
    scale = _FACE_WIDTH / w
    boxes, landmarks = [], []
    for index in range(count):
        corner = np.array([(index % 4) * (width - 180) / 3 + 30, (index // 4) * (height - 150) / 3 + 10])
        boxes.append(np.array([*(corner + scale * np.array([x, y])), scale * w, scale * h]))
        angle = np.radians(5 * (index % 5) - 10)
        turn = np.array([(np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))])
        landmarks.append(((LANDMARK_TEMPLATE - 24) @ turn.T * scale + corner + 24 * scale).astype(np.float32))
    return np.array(boxes, np.float32), list(landmarks)


def _crop_durations(
    frame: NDArray[np.uint8],
    boxes: NDArray[np.float32],
    landmarks: list[NDArray[np.float32] | None],
    seconds: float,
) -> dict[str, float]:
    durations = measure(lambda: crop_faces(frame, boxes, landmarks), seconds=seconds)
    return durations.figures(f"crops.{len(boxes)}_faces")


def _quality_durations(
    frame: NDArray[np.uint8],
    boxes: NDArray[np.float32],
    landmarks: list[NDArray[np.float32] | None],
    seconds: float,
) -> dict[str, float]:
    crops = crop_faces(frame, boxes, landmarks)

    def qualities() -> list[float]:
        return [face_quality(frame, *face) for face in zip(boxes, landmarks, crops, strict=True)]

    return measure(qualities, seconds=seconds).figures(f"crops.{len(boxes)}_faces_quality")
