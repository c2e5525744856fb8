"""A 640x480 frame with two real faces, for the benchmarks."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_perception.demo_clip import HEIGHT, WIDTH, load_portraits
from fer_perception.errors import SourceError


def portrait_frame(progress: Callable[[str], None]) -> NDArray[np.uint8]:
    """Two portraits side by side; where their packages are not installed, smooth noise.

    Args:
        progress: is told when there are no portraits.

    Returns:
        (480, 640, 3) uint8 BGR.
    """
    try:
        portraits = load_portraits()
    except SourceError as err:
        progress(f"noise instead of faces: {err}")
        noise = np.random.default_rng(0).integers(0, 256, (HEIGHT // 8, WIDTH // 8, 3), dtype=np.uint8)
        return np.asarray(cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), np.uint8)
    frame = np.full((HEIGHT, WIDTH, 3), 127, np.uint8)
    for left, portrait in zip((0, WIDTH // 2), portraits, strict=True):
        height, width = portrait.image.shape[:2]
        scale = min(HEIGHT / height, WIDTH / 2 / width)
        size = (int(width * scale), int(height * scale))
        frame[: size[1], left : left + size[0]] = cv2.resize(portrait.image, size, interpolation=cv2.INTER_AREA)
    return frame
