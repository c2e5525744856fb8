"""Reduced copy of the image for the detector, and mapping of its results back to the image's pixels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_perception.pipeline_types import Detection

# An image this many times larger than its copy is first thinned out to this factor by taking every n-th pixel: the
# average over 3x3 of those is free of visible aliasing, and an 8K frame costs 2 ms instead of 15.
_AVERAGED_FACTOR = 3


def reduced_copy(image: NDArray[np.uint8], longer_side: int) -> NDArray[np.uint8]:
    """Reduce an image so that its longer side has at most `longer_side` pixels.

    Args:
        image: (H, W, 3) or (H, W) uint8.
        longer_side: pixels; 0 = never reduce.

    Returns:
        The reduced copy, both sides at least 1 pixel; `image` itself where it is small enough.
    """
    height, width = image.shape[:2]
    if longer_side <= 0 or max(height, width) <= longer_side:
        return image
    factor = max(height, width) / longer_side
    size = (max(1, round(width / factor)), max(1, round(height / factor)))
    stride = int(factor // _AVERAGED_FACTOR)
    if stride > 1:
        # From the middle of each block, so that the copy is not shifted.
        thinned = image[stride // 2 :: stride, stride // 2 :: stride]
        image = thinned if min(thinned.shape[:2]) > 0 else image
    return cast("NDArray[np.uint8]", cv2.resize(np.ascontiguousarray(image), size, interpolation=cv2.INTER_AREA))


def to_bgr(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3) BGR of a gray or BGR image."""
    if image.ndim == 3 and image.shape[2] == 3:
        return image
    return cast("NDArray[np.uint8]", cv2.cvtColor(image, cv2.COLOR_GRAY2BGR))


def to_gray(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W) gray of a gray or BGR image."""
    if image.ndim == 3 and image.shape[2] == 3:
        return cast("NDArray[np.uint8]", cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))
    return image.reshape(image.shape[:2])


def suppress(detections: Iterable[Detection], overlap: float = 0.3) -> list[Detection]:
    """Of faces found twice, at different sizes of the copy, keep the one with the better score.

    Args:
        detections: of one image.
        overlap: two boxes with a larger intersection over union are one face.

    Returns:
        The rest, best score first.
    """
    kept: list[Detection] = []
    for face in sorted(detections, key=lambda d: d.score, reverse=True):
        if all(intersection_over_union(face.box, other.box) <= overlap for other in kept):
            kept.append(face)
    return kept


def intersection_over_union(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Overlap of two boxes (4,) x, y, width, height with a size, [0, 1]."""
    sides = np.minimum(a[:2] + a[2:], b[:2] + b[2:]) - np.maximum(a[:2], b[:2])
    common = float(np.prod(np.maximum(sides, 0)))
    return common / (float(np.prod(a[2:]) + np.prod(b[2:])) - common)


def keep_largest(detections: Iterable[Detection], min_size: float, max_faces: int) -> list[Detection]:
    """Drop faces narrower or lower than `min_size` pixels, then all but the `max_faces` largest.

    Returns:
        The rest, best score first.
    """
    large = [d for d in detections if min(d.box[2], d.box[3]) >= min_size]
    if len(large) > max_faces:
        large = sorted(large, key=lambda d: float(d.box[2] * d.box[3]), reverse=True)[:max_faces]
    return sorted(large, key=lambda d: d.score, reverse=True)
