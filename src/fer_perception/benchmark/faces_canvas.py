"""Images with a known number of real faces, for measurements."""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_perception.demo.clip import HEIGHT, WIDTH, load_portraits
from fer_perception.errors import SourceError

#: Columns and rows of the faces, by their number.
_GRIDS = {1: (1, 1), 4: (2, 2), 16: (4, 4)}


def moving_faces(faces: int, *, width: int = 640, height: int = 480, frames: int = 30) -> list[NDArray[np.uint8]]:
    """A short loop of portraits that sway a little.

    Args:
        faces: 1, 4 or 16.
        width: of the images, pixels.
        height: of the images, pixels.
        frames: length of the loop.

    Returns:
        `frames` times (height, width, 3) uint8 BGR.

    Raises:
        SourceError: the portraits are not installed.
    """
    columns, rows = _GRIDS[faces]
    portraits = load_portraits()
    loop = []
    for frame in range(frames):
        canvas = np.full((height, width, 3), 150, np.uint8)
        for cell in range(faces):
            column, row = cell % columns, cell // columns
            sway = 3 * math.sin(2 * math.pi * frame / frames + cell)
            _paste(
                canvas,
                portraits[cell % 2].image,
                (column * width // columns, row * height // rows, width // columns, height // rows),
                sway,
            )
        loop.append(canvas)
    return loop


def _paste(
    canvas: NDArray[np.uint8], portrait: NDArray[np.uint8], cell: tuple[int, int, int, int], sway: float
) -> None:
    """Fit a portrait into a cell (x, y, w, h), `sway` pixels to the right."""
    x, y, w, h = cell
    scale = 0.95 * min(w / portrait.shape[1], h / portrait.shape[0])
    left = x + (w - portrait.shape[1] * scale) / 2 + sway
    top = y + (h - portrait.shape[0] * scale) / 2
    matrix = np.array([[scale, 0, left], [0, scale, top]])
    size = (canvas.shape[1], canvas.shape[0])
    shrunk = cv2.warpAffine(portrait, matrix, size, flags=cv2.INTER_LINEAR)
    mask = cv2.warpAffine(np.full(portrait.shape[:2], 255, np.uint8), matrix, size)
    canvas[mask > 0] = shrunk[mask > 0]


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
