"""Conversion of sensor_msgs/Image encodings and compressed images to arrays and back.

Everything that cannot be used leaves as an `ImageError` whose `cause` is one of

| cause | meaning |
|---|---|
| encoding | unknown, unsupported, or more than 8 bits a channel |
| size | width or height is zero |
| too_large | more than `MAX_PIXELS` pixels announced, or more than `MAX_DECODER_BYTES` needed to decode them |
| odd_size | odd width (4:2:2 and 4:2:0) or odd height (4:2:0) |
| step | a row is shorter than its pixels, or longer than the data allows |
| truncated | fewer bytes than announced, or no end of the compressed image |
| corrupt | compressed data that does not decode |
"""

from __future__ import annotations

import array
from typing import Any, Union, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_perception.errors import ImageError
from fer_perception.imaging.compressed_header import ImageHeader, check_compressed
from fer_perception.system.text import quoted, shown

#: Largest image that is decoded (8192 x 8192); an 8K frame has half as many pixels.
MAX_PIXELS = 8192 * 8192
#: Memory that decoding one image may take: six bytes for each of `MAX_PIXELS` (an 8-bit color image takes three).
MAX_DECODER_BYTES = 6 * MAX_PIXELS
#: Pixels a decoder may pass over, all scans of a progressive JPEG together: ten passes over the largest image.
_MOST_SCANNED_PIXELS = 10 * MAX_PIXELS
#: Rows that are brought to 8 bits and laid on white at a time hold about so many pixels.
_STRIP_PIXELS = 2**18

#: What a message's data field may be.
Buffer = Union[bytes, bytearray, memoryview, "array.array[int]", NDArray[np.uint8]]
Image = NDArray[np.uint8]

# Encoding -> (channels, OpenCV conversion to BGR; None = used as it is). ROS names a Bayer pattern by the first two
# pixels of the first two rows; OpenCV's short names take the second and third pixel of the second row, hence the
# crossed letters.
_PACKED: dict[str, tuple[int, int | None]] = {
    "mono8": (1, None),
    "8UC1": (1, None),
    "bgr8": (3, None),
    "8UC3": (3, None),
    "rgb8": (3, cv2.COLOR_RGB2BGR),
    "bgra8": (4, cv2.COLOR_BGRA2BGR),
    "rgba8": (4, cv2.COLOR_RGBA2BGR),
    "yuv422": (2, cv2.COLOR_YUV2BGR_UYVY),
    "uyvy": (2, cv2.COLOR_YUV2BGR_UYVY),
    "yuv422_yuy2": (2, cv2.COLOR_YUV2BGR_YUY2),
    "yuyv": (2, cv2.COLOR_YUV2BGR_YUY2),
    "bayer_rggb8": (1, cv2.COLOR_BayerBG2BGR),
    "bayer_bggr8": (1, cv2.COLOR_BayerRG2BGR),
    "bayer_gbrg8": (1, cv2.COLOR_BayerGR2BGR),
    "bayer_grbg8": (1, cv2.COLOR_BayerGB2BGR),
}
# A full-size luma plane, then one of half the height with interleaved chroma.
_SEMI_PLANAR: dict[str, int] = {"nv21": cv2.COLOR_YUV2BGR_NV21, "nv12": cv2.COLOR_YUV2BGR_NV12}

#: Encodings that `decode_raw` takes without help from cv_bridge.
ENCODINGS: tuple[str, ...] = (*_PACKED, *_SEMI_PLANAR)

_WIDE = ("16", "32", "64")


def decode_raw(
    *, encoding: str, width: int, height: int, step: int, data: Buffer, is_bigendian: int = 0
) -> NDArray[np.uint8]:
    """Decode the fields of a sensor_msgs/Image.

    Args:
        encoding: name as in sensor_msgs/image_encodings, one of `ENCODINGS` (or another 8-bit one where cv_bridge can
            be
            imported).
        width: pixels.
        height: pixels.
        step: bytes from one row to the next.
        data: the bytes; more than needed is allowed.
        is_bigendian: without effect, since no 8-bit encoding has a byte order.

    Returns:
        (H, W, 3) uint8 BGR, or (H, W) uint8 gray for mono8 and 8UC1. For mono8, 8UC1, bgr8 and 8UC3 it is a read-only
        view of `data`, without a copy.

    Raises:
        ImageError: see the table of causes above.
    """
    _check_encoding(encoding)
    check_size(width, height, f"an image message with encoding {shown(encoding, 100)}")
    buffer = _flat(data)
    if encoding in _SEMI_PLANAR:
        return _decode_semi_planar(encoding, width, height, step, buffer)
    if encoding not in _PACKED:
        fields = {"width": width, "height": height, "step": step, "is_bigendian": is_bigendian}
        return _decode_with_cv_bridge(encoding, buffer, **fields)
    channels, conversion = _PACKED[encoding]
    if channels == 2 and width % 2:
        msg = f"encoding {encoding} shares color between two pixels, so the width must be even; it is {width}"
        raise ImageError("odd_size", msg)
    view = _rows(buffer, (height, width, channels), step, encoding)
    if conversion is None:
        view.flags.writeable = False
        return view
    if channels == 1 and (width < 3 or height < 3):
        # OpenCV interpolates a Bayer mosaic from 3x3 neighborhoods and leaves smaller images black.
        msg = f"encoding {encoding} needs an image of at least 3x3 pixels; this one is {width}x{height}"
        raise ImageError("size", msg)
    return cast(Image, cv2.cvtColor(view, conversion))


def decode_compressed(*, format: str, data: Buffer) -> NDArray[np.uint8]:
    """Decode the fields of a sensor_msgs/CompressedImage, or the bytes of a JPEG or PNG file.

    Transparent parts of a PNG become white; 16 bits a channel are reduced to 8; an EXIF rotation is applied.

    Args:
        format: as published, e.g. "jpeg", "png" or "bgr8; jpeg compressed bgr8"; may be empty for a file. The data
            itself
            decides whether it is a JPEG or a PNG.
        data: the bytes.

    Returns:
        (H, W, 3) uint8 BGR or (H, W) uint8 gray.

    Raises:
        ImageError: see the table of causes above; compressedDepth and PNGs whose raw encoding has 16 bits or
            more are refused.
    """
    if "compresseddepth" in format.lower():
        msg = f"format {quoted(format)} carries depth, not an image; remap to the camera's color or mono topic"
        raise ImageError("encoding", msg)
    buffer = _flat(data)
    original = format.split(";", maxsplit=1)[0].strip()
    # image_transport reduces 16 bits to the 8 of a JPEG; a PNG may carry all of them.
    if ";" in format and _is_wide(original) and bytes(buffer[:3]) != b"\xff\xd8\xff":
        msg = f"format {quoted(format)}: more than 8 bits a channel; publish an 8-bit encoding such as bgr8 or mono8"
        raise ImageError("encoding", msg)
    header = check_compressed(buffer, format)
    check_header(header)
    # UNCHANGED keeps alpha and 16 bits (PNG), ANYCOLOR keeps gray gray and applies the EXIF rotation (JPEG).
    flags = cv2.IMREAD_UNCHANGED if header.kind == "PNG" else cv2.IMREAD_ANYCOLOR
    try:
        decoded = cast("Image | None", cv2.imdecode(header.data, flags))
    except cv2.error as err:
        msg = f"a {header.kind} image of {header.width}x{header.height} does not decode: {err.err}"
        raise ImageError("corrupt", msg) from None
    if decoded is None:
        msg = f"a {header.kind} image of {header.width}x{header.height} ({buffer.size} bytes) does not decode"
        raise ImageError("corrupt", msg)
    return _to_8_bit_bgr(decoded)


def encode_jpeg(image: NDArray[np.uint8], quality: int = 90) -> bytes:
    """Encode an image as JPEG.

    Args:
        image: (H, W, 3) uint8 BGR or (H, W) uint8 gray.
        quality: 1 to 100.

    Returns:
        The bytes of a JPEG file.

    Raises:
        ImageError: the image is empty or larger than a JPEG can be (65,500 pixels a side).
    """
    message = f"an image of shape {image.shape} cannot be written as JPEG"
    try:
        done, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    except cv2.error:
        raise ImageError("size", message) from None
    if not done:
        raise ImageError("size", message)
    return encoded.tobytes()


def _is_wide(encoding: str) -> bool:
    """True where an encoding has more than 8 bits a channel, by its name (mono16, bayer_rggb16, 16UC1, 32FC3, ...)."""
    return any(bits in encoding for bits in _WIDE)


def _check_encoding(encoding: str) -> None:
    if encoding in _PACKED or encoding in _SEMI_PLANAR:
        return
    supported = ", ".join(ENCODINGS)
    if _is_wide(encoding):
        msg = f"encoding {quoted(encoding)} has more than 8 bits a channel; expected one of: {supported}"
        raise ImageError("encoding", msg)
    if not encoding or not _cv_bridge():
        msg = f"encoding {quoted(encoding)} is not supported; expected one of: {supported}"
        raise ImageError("encoding", msg)


def check_size(width: int, height: int, what: str) -> None:
    """Refuse an image without pixels or with more than `MAX_PIXELS`; raises ImageError ("size", "too_large")."""
    if width <= 0 or height <= 0:
        msg = f"{what} announces {width}x{height} pixels; expected at least 1x1"
        raise ImageError("size", msg)
    if width * height > MAX_PIXELS:
        msg = f"{what} announces {width}x{height} pixels; at most {MAX_PIXELS} are decoded (8192x8192)"
        raise ImageError("too_large", msg)


def check_header(header: ImageHeader, most: int = MAX_DECODER_BYTES) -> None:
    """Refuse an image that takes too much memory or time to decode.

    Args:
        header: of the image.
        most: bytes that decoding it may take.

    Raises:
        ImageError: "size" or "too_large".
    """
    what = f"{'an' if header.kind == 'AVIF' else 'a'} {header.kind} image"
    check_size(header.width, header.height, what)
    pixels = header.width * header.height
    if pixels * header.bytes_a_pixel > most:
        msg = (
            f"{what} of {header.width}x{header.height} pixels takes {pixels * header.bytes_a_pixel / 1e6:.0f} MB to "
            f"decode; at most {most / 1e6:.0f} MB are used: send it smaller, with 8 bits a channel and "
            "without transparency"
        )
        raise ImageError("too_large", msg)
    if pixels * header.scans > _MOST_SCANNED_PIXELS:
        msg = (
            f"{what} of {header.width}x{header.height} pixels has {header.scans} scans; at most "
            f"{_MOST_SCANNED_PIXELS // pixels} of that size are decoded: send it baseline instead of progressive"
        )
        raise ImageError("too_large", msg)


def _flat(data: Buffer) -> NDArray[np.uint8]:
    """The bytes as a flat uint8 view; copies only what is not contiguous."""
    if isinstance(data, np.ndarray):
        return np.ascontiguousarray(data).reshape(-1).view(np.uint8)
    view = memoryview(data)
    if not view.nbytes:
        return np.empty(0, np.uint8)
    return np.frombuffer(view if view.contiguous else view.tobytes(), np.uint8)


def _rows(buffer: NDArray[np.uint8], shape: tuple[int, int, int], step: int, encoding: str) -> Image:
    """View of rows `step` bytes apart: (rows, columns, channels), without the last axis where it is 1.

    The last row may come without its padding.
    """
    rows, columns, channels = shape
    row_bytes = columns * channels
    if step < row_bytes:
        msg = f"step is {step} bytes; a row of encoding {encoding} needs {row_bytes}"
        raise ImageError("step", msg)
    needed = step * (rows - 1) + row_bytes
    if buffer.size < needed:
        if buffer.size >= row_bytes * rows:
            msg = f"step is {step} bytes, but the {buffer.size} bytes of data only allow {buffer.size // rows} a row"
            raise ImageError("step", msg)
        msg = f"{buffer.size} bytes of data; {rows} rows of {step} bytes (encoding {encoding}) need {needed}"
        raise ImageError("truncated", msg)
    if channels == 1:
        return np.ndarray((rows, columns), np.uint8, buffer, strides=(step, 1))
    return np.ndarray(shape, np.uint8, buffer, strides=(step, channels, 1))


def _decode_semi_planar(encoding: str, width: int, height: int, step: int, buffer: NDArray[np.uint8]) -> Image:
    if width % 2 or height % 2:
        msg = f"encoding {encoding} has one color for 2x2 pixels; both sides must be even, they are {width}x{height}"
        raise ImageError("odd_size", msg)
    rows = height * 3 // 2
    if buffer.size == width * rows and step in (width * 3 // 2, width * 2):
        # Some drivers spread the chroma bytes over the rows when they state the step; the planes are packed all the
        # same.
        step = width
    planes = _rows(buffer, (rows, width, 1), step, encoding)
    return cast(Image, cv2.cvtColor(planes, _SEMI_PLANAR[encoding]))


def _to_8_bit_bgr(image: NDArray[Any]) -> Image:
    """Reduce what imdecode gave (8 or 16 bits; gray, BGR or BGRA) to 8-bit gray or BGR."""
    if image.dtype == np.uint8 and (image.ndim == 2 or image.shape[2] == 3):
        return cast(Image, image)
    # In strips: the steps between hold several times the image.
    height, width = image.shape[:2]
    reduced = np.empty((height, width) if image.ndim == 2 else (height, width, 3), np.uint8)
    rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, rows):
        reduced[top : top + rows] = _strip_to_8_bit_bgr(image[top : top + rows])
    return reduced


def _strip_to_8_bit_bgr(image: NDArray[Any]) -> NDArray[Any]:
    if image.dtype == np.uint16:
        image = cv2.convertScaleAbs(image, alpha=1 / 257)
    if image.ndim == 3 and image.shape[2] == 4:
        opacity = cv2.cvtColor(image[:, :, 3], cv2.COLOR_GRAY2BGR)
        color = cv2.cvtColor(image, cv2.COLOR_BGRA2BGR)
        image = cv2.add(cv2.multiply(color, opacity, scale=1 / 255), cv2.bitwise_not(opacity))
    return image


def _cv_bridge() -> Any:
    """The cv_bridge package and the message class it takes, or None where ROS does not have it."""
    try:
        from cv_bridge import CvBridge
        from sensor_msgs.msg import Image as ImageMessage
    except ImportError:
        return None
    return CvBridge, ImageMessage


def _decode_with_cv_bridge(encoding: str, buffer: NDArray[np.uint8], **fields: int) -> Image:
    """Convert what only cv_bridge knows; `fields` are the numbers of the message."""
    bridge, message_class = _cv_bridge()
    message = message_class(encoding=encoding, **fields)
    # Humble's messages look at bytes one by one, an array of this type they take as it is.
    message.data = array.array("B", buffer.tobytes())
    try:
        decoded = np.asarray(bridge().imgmsg_to_cv2(message, desired_encoding="bgr8"))
    except Exception as err:  # noqa: BLE001 - cv_bridge lets errors of NumPy, OpenCV and its own C++ through
        msg = (
            f"encoding {quoted(encoding)} is not among {', '.join(ENCODINGS)}, and cv_bridge could not convert it: "
            f"{shown(str(err), 200)}"
        )
        raise ImageError("encoding", msg) from None
    return np.ascontiguousarray(decoded, dtype=np.uint8)


def decode_message(message: Any) -> NDArray[np.uint8]:
    """The image of a sensor_msgs/Image or CompressedImage, of ROS or of a bag.

    Args:
        message: has the fields of one of the two; only Image has an `encoding`.

    Returns:
        (H, W, 3) uint8 BGR or (H, W) uint8 gray.

    Raises:
        ImageError: it cannot be used.
    """
    if not hasattr(message, "encoding"):
        return decode_compressed(format=message.format, data=message.data)
    return decode_raw(
        encoding=message.encoding,
        width=message.width,
        height=message.height,
        step=message.step,
        data=message.data,
        is_bigendian=message.is_bigendian,
    )
