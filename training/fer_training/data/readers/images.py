"""Reader of an image file as a gray square."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_perception.errors import ImageError
from fer_perception.imaging.image_files import checked_bytes
from fer_training.data.samples import DatasetError

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".tif", ".tiff", ".pgm", ".ppm", ".webp"})


def is_image(path: Path) -> bool:
    """True where a file's name says that it is an image; hidden files ("._S005.png" of a Mac) are not."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def read_gray(path: Path) -> NDArray[np.uint8]:
    """Read an image as 8-bit gray.

    Returns:
        (H, W) uint8.

    Raises:
        DatasetError: missing, empty or corrupt.
    """
    try:
        raw = path.read_bytes()
    except OSError as err:
        msg = f"cannot read the image ({err.strerror})"
        raise DatasetError(msg) from err
    try:
        image = cv2.imdecode(checked_bytes(raw), cv2.IMREAD_GRAYSCALE) if raw else None
    except ImageError as err:
        if err.cause not in {"corrupt", "truncated"}:
            raise DatasetError(str(err)) from None
        # Without the file's own numbers, so that equal reasons are counted together.
        image = None
    except cv2.error:
        image = None
    if image is None:
        msg = "the image is corrupt or of an unknown format"
        raise DatasetError(msg)
    return image.astype(np.uint8, copy=False)


def fit_square(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Cut the central square out of an image and bring it to `size` pixels.

    Args:
        image: (H, W) uint8.
        size: side of the result in pixels.

    Returns:
        (size, size) uint8; the very same pixels if the image already has that size.
    """
    height, width = image.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = image[top : top + side, left : left + side]
    if side == size:
        return square.copy()
    shrinking = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    return cv2.resize(square, (size, size), interpolation=shrinking).astype(np.uint8, copy=False)
