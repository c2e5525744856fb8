"""Reader of image files: orientation, transparency, depth."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_perception.errors import ImageError, SourceError
from fer_perception.imaging.compressed_header import check_compressed
from fer_perception.imaging.encodings import MAX_PIXELS, check_size, decode_compressed

_JPEG = b"\xff\xd8\xff"

_PNG = b"\x89PNG\r\n\x1a\n"


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read an image file as people see it: turned as its EXIF orientation says.

    Args:
        path: any format OpenCV reads; 16-bit images are reduced to 8 bits, transparent parts of a PNG become white.

    Returns:
        (H, W, 3) uint8 BGR or (H, W) uint8 gray.

    Raises:
        SourceError: the file cannot be read, is empty or is no image.
    """
    try:
        data = path.read_bytes()
    except OSError as err:
        msg = f"{path} cannot be read: {err.strerror}"
        raise SourceError(msg) from None
    if not data:
        msg = f"{path} is empty (0 bytes); expected an image"
        raise SourceError(msg)
    try:
        # The rare PNG that carries an orientation: only OpenCV's plain way of decoding applies it.
        if data.startswith(_JPEG) or (data.startswith(_PNG) and b"eXIf" not in data):
            return decode_compressed(format="", data=data)
        if data.startswith(_PNG):
            header = check_compressed(np.frombuffer(data, dtype=np.uint8), "png")
            check_size(header.width, header.height, "a PNG image")
        decoded = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR)
    except ImageError as err:
        msg = f"{path}: {err}"
        raise SourceError(msg) from None
    except cv2.error as err:
        # OpenCV's own limit; the command line sets it to `MAX_PIXELS`.
        large = "CV_IO_MAX_IMAGE" in str(err)
        reason = f"it announces more than {MAX_PIXELS} pixels (8192x8192), or is damaged" if large else err.err or err
        msg = f"{path} cannot be decoded: {reason}"
        raise SourceError(msg) from None
    # A damaged file gives None, which the type stubs of OpenCV do not know.
    image: cv2.typing.MatLike | None = decoded
    if image is None:
        msg = f"{path} is no image this OpenCV can decode, or it is damaged"
        raise SourceError(msg)
    return np.asarray(image, dtype=np.uint8)


def opencv_name(path: Path) -> str:
    """A path as OpenCV takes it; it crashes on names that are no text.

    Raises:
        SourceError: the name is not UTF-8.
    """
    name = str(path)
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        msg = f"{path} has a name that is not UTF-8, which OpenCV cannot open; rename it"
        raise SourceError(msg) from None
    return name
