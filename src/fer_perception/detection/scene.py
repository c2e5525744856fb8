"""Scene cuts: whether an image shows another scene than the one before, from small gray copies of both."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

# Sampled at this size and averaged to a third of it: a few thousand pixels of a large image tell what it shows.
_SAMPLED, _THUMBNAIL = (96, 72), (32, 24)
# The middle of the new copy is looked for in the old one, so that a camera that turns by a sixth of it is no cut.
_MIDDLE = (slice(4, 20), slice(5, 27))
# A copy with less contrast (standard deviation, gray levels) shows nothing: a covered lens, a dark room.
_LEAST_CONTRAST = 4.0
# Another scene differs by this much in the mean (gray levels, brightness and contrast made equal to those before) ...
_LEAST_DIFFERENCE = 18.0
# ... and is found nowhere (coefficient of correlation). Measured: two images of a talking man a second apart above
# 0.93, two seconds apart 0.78, a camera that turns by 60 of 640 pixels above 0.98, images of other scenes below 0.73.
_MOST_ALIKE = 0.7


class SceneCuts:
    """Tells cuts in the images of one camera; a change of brightness, a camera that turns or a covered lens is none."""

    def __init__(self) -> None:
        self._thumbnail: NDArray[np.float32] | None = None

    def cut(self, image: NDArray[np.uint8]) -> bool:
        """True where this image shows another scene than the latest one that showed anything.

        Args:
            image: (H, W, 3) uint8 BGR or (H, W) uint8 gray.
        """
        thumbnail = _thumbnail(image)
        if float(thumbnail.std()) < _LEAST_CONTRAST:
            return False
        before, self._thumbnail = self._thumbnail, thumbnail
        if before is None or _difference(before, thumbnail) < _LEAST_DIFFERENCE:
            return False
        alike = cv2.matchTemplate(before, np.ascontiguousarray(thumbnail[_MIDDLE]), cv2.TM_CCOEFF_NORMED)
        return float(alike.max()) < _MOST_ALIKE


def _thumbnail(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    sampled = cv2.resize(image, _SAMPLED, interpolation=cv2.INTER_LINEAR)
    if sampled.ndim == 3:
        sampled = cv2.cvtColor(sampled, cv2.COLOR_BGR2GRAY)
    small = cv2.GaussianBlur(cv2.resize(sampled, _THUMBNAIL, interpolation=cv2.INTER_AREA), (0, 0), 0.8)
    return cast("NDArray[np.float32]", small.astype(np.float32))


def _difference(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Mean difference in gray levels, of copies of equal brightness and contrast."""
    spreads = float(one.std()), float(other.std())
    equal = (one - one.mean()) / spreads[0] - (other - other.mean()) / spreads[1]
    return float(np.abs(equal).mean()) * min(spreads)
