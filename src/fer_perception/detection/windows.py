"""Square windows around known faces: cut out of the full image, scaled to one small size, stacked into one batch.

YuNet finds a face well when it is about half as high as what it is shown, whatever its size in the image, so a window
of twice the face's size at 128 pixels finds near faces as far ones for a tenth of the cost of a search at 640x480.
Measured on a recorded talking face under camera noise: what a window gives moves by 2 to 3 % of the face's width when
the window moves by a few pixels or when a search takes its place, and by 0.2 % while it stays. So a window stays
until the face has moved or grown by a good part of itself, and a face with a window is measured in windows only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

#: Side of a window as the network sees it, pixels: a multiple of YuNet's largest stride.
WINDOW_SIZE = 128
#: Side of a window in sizes of the face (the longer side of its box).
FACES_PER_WINDOW = 2.0
# A window stays until the face is off its middle by this part of its size ...
_OFF_MIDDLE = 0.15
# ... or larger or smaller than the one it was made for by this factor.
_GROWN = 1.25
# The smallest window, pixels of the image: less holds no face.
_SMALLEST = 8


@dataclass(frozen=True)
class Window:
    """A square part of an image, in its pixels; may reach over the border.

    Attributes:
        x: of the left edge.
        y: of the upper edge.
        side: pixels, >= 8.
    """

    x: int
    y: int
    side: int

    @property
    def scale(self) -> float:
        """Pixels of the image for one of the window as the network sees it."""
        return self.side / WINDOW_SIZE

    def holds(self, box: NDArray[np.floating], width: int, height: int) -> bool:
        """True where no edge of the window cuts a box; edges beyond those of the image cut nothing.

        Args:
            box: (4,) x, y, width, height in pixels of the image.
            width: of the image, pixels.
            height: of the image, pixels.
        """
        x, y, w, h = (float(value) for value in box)
        return (
            (x >= self.x or self.x <= 0)
            and (y >= self.y or self.y <= 0)
            and (x + w <= self.x + self.side or self.x + self.side >= width)
            and (y + h <= self.y + self.side or self.y + self.side >= height)
        )


def window_around(box: NDArray[np.floating], previous: Window | None = None) -> Window:
    """The window to look for a face in.

    Args:
        box: (4,) x, y, width, height where the face is expected, pixels of the image; a box without size counts as a
            pixel.
        previous: where it was looked for the last time; stays while the face is near its middle.

    Raises:
        ValueError: the box is not finite.
    """
    x, y, width, height = (float(value) for value in box)
    if not all(map(math.isfinite, (x, y, width, height))):
        msg = f"a face is expected at {x}, {y} with {width} x {height} pixels; expected finite numbers"
        raise ValueError(msg)
    size = max(width, height, 1.0)
    center_x, center_y = x + 0.5 * width, y + 0.5 * height
    if previous is not None:
        middle = 0.5 * previous.side
        off = max(abs(center_x - previous.x - middle), abs(center_y - previous.y - middle))
        grown = FACES_PER_WINDOW * size / previous.side
        if off <= _OFF_MIDDLE * size and 1 / _GROWN <= grown <= _GROWN:
            return previous
    side = max(_SMALLEST, round(FACES_PER_WINDOW * size))
    return Window(round(center_x - 0.5 * side), round(center_y - 0.5 * side), side)


def cut_windows(views: Sequence[tuple[NDArray[np.uint8], Window]]) -> NDArray[np.uint8]:
    """Cut windows out of their images.

    Args:
        views: images, (H, W, 3) or (H, W) uint8 from 1x1 up, each with a window of it.

    Returns:
        (N, `WINDOW_SIZE`, `WINDOW_SIZE`, 3) uint8 BGR; black where a window reaches over the border, and all black
        where it lies beyond it.
    """
    batch = np.zeros((len(views), WINDOW_SIZE, WINDOW_SIZE, 3), np.uint8)
    for target, (image, window) in zip(batch, views, strict=True):
        height, width = image.shape[:2]
        left, right, to_left, to_right = _overlap(window.x, window.side, width)
        top, bottom, to_top, to_bottom = _overlap(window.y, window.side, height)
        if to_right <= to_left or to_bottom <= to_top:
            continue
        # Bilinear sampling reads 2x2 pixels: a larger window is thinned out first, to two or three for each of its own.
        stride = max(1, window.side // (2 * WINDOW_SIZE))
        part = image[top:bottom:stride, left:right:stride]
        if part.ndim == 2 or part.shape[2] == 1:
            part = cv2.cvtColor(np.ascontiguousarray(part), cv2.COLOR_GRAY2BGR).astype(np.uint8, copy=False)
        size = (to_right - to_left, to_bottom - to_top)
        target[to_top:to_bottom, to_left:to_right] = cv2.resize(part, size, interpolation=cv2.INTER_LINEAR)
    return batch


def _overlap(start: int, side: int, length: int) -> tuple[int, int, int, int]:
    """Of one axis: the pixels of the image inside a window, and where they go in the scaled window."""
    first, last = max(start, 0), min(start + side, length)
    if last <= first:
        return 0, 0, 0, 0
    factor = WINDOW_SIZE / side
    return first, last, round((first - start) * factor), round((last - start) * factor)
