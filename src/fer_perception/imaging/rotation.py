"""Quarter turns for cameras that are mounted on their side or upside down."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_perception.pipeline_types import FaceResult, FrameResult

_TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


def turn(image: NDArray[np.uint8], degrees: int) -> NDArray[np.uint8]:
    """Turn an image clockwise.

    Args:
        image: (H, W, 3) or (H, W) uint8.
        degrees: 0, 90, 180 or 270.

    Returns:
        The image itself for 0 degrees; else a new one, (W, H, ...) for 90 and 270.
    """
    return image if degrees == 0 else np.asarray(cv2.rotate(image, _TURNS[degrees]), dtype=np.uint8)


def turn_back(result: FrameResult, degrees: int) -> FrameResult:
    """Express what was found in an image of `turn` in pixels of the image as it came.

    Args:
        result: of the turned image.
        degrees: by which it was turned: 0, 90, 180 or 270.

    Returns:
        The same faces with boxes and landmarks in pixels of the image before; width and height are its own too.
    """
    if degrees == 0:
        return result
    size = (result.width, result.height) if degrees == 180 else (result.height, result.width)
    faces = tuple(_turn_face_back(face, degrees, *size) for face in result.faces)
    return replace(result, width=size[0], height=size[1], faces=faces)


def _turn_face_back(face: FaceResult, degrees: int, width: int, height: int) -> FaceResult:
    x, y, w, h = face.roi
    roi = {
        90: (y, height - x - w, h, w),
        180: (width - x - w, height - y - h, w, h),
        270: (width - y - h, x, h, w),
    }[degrees]
    landmarks = face.landmarks
    if landmarks is not None:
        px, py = landmarks[:, 0], landmarks[:, 1]
        columns = {90: (py, height - px), 180: (width - px, height - py), 270: (width - py, px)}[degrees]
        landmarks = np.stack(columns, axis=1).astype(np.float32)
    return replace(face, roi=roi, landmarks=landmarks)
