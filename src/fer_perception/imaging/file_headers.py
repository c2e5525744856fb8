"""Size and cost of the image files that are no JPEG and no PNG, read before any memory is reserved for their pixels.

Only as much of each format as bounds what its decoder in OpenCV takes; whether a file is whole is found while decoding.
The bytes a pixel were measured with OpenCV 4.14 (peak of the process, black images of 8192x8192).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fer_perception.errors import ImageError
from fer_perception.imaging.compressed_header import ImageHeader

_GIF_BYTES, _WEBP_BYTES, HEIF_BYTES, _FLOAT_BYTES = 12.0, 7.0, 16.0, 15.0
_JP2_START = (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51")
_TIFF_START = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
#: "-Y height +X width" of a Radiance file, and "width height" of a portable float map.
_HDR_SIZE = re.compile(rb"[-+][XY]\s+(\d{1,9})\s+[-+][XY]\s+(\d{1,9})")
_PFM_SIZE = re.compile(rb"P[Ff]\s+(\d{1,9})\s+(\d{1,9})\s")


def file_header(buffer: NDArray[np.uint8]) -> ImageHeader | None:
    """Header of a GIF, WebP, TIFF, JPEG 2000, AVIF, HEIC, Radiance or PFM file.

    Args:
        buffer: (n,) uint8, the file.

    Returns:
        Its header; None for any other format, none of which takes more than OpenCV's limit of pixels allows.

    Raises:
        ImageError: "corrupt": its header cannot be read.
    """
    start = buffer[:4096].tobytes()
    readers: tuple[tuple[bool, Callable[[], ImageHeader | None]], ...] = (
        (start.startswith(b"GIF8"), lambda: _gif(buffer, start)),
        (start[:4] == b"RIFF" and start[8:12] == b"WEBP", lambda: _webp(buffer, start)),
        (start.startswith(_TIFF_START), lambda: _tiff(buffer)),
        (start.startswith(_JP2_START), lambda: _jpeg_2000(buffer)),
        (start[4:8] == b"ftyp", lambda: _heif(buffer)),
        (start.startswith((b"#?RADIANCE", b"#?RGBE", b"PF", b"Pf")), lambda: _floats(buffer, start)),
    )
    for fits, read in readers:
        if fits:
            try:
                return read()
            except (struct.error, IndexError):
                msg = f"an image file of {buffer.size} bytes is cut short: its header is not whole"
                raise ImageError("corrupt", msg) from None
    return None


def _gif(buffer: NDArray[np.uint8], start: bytes) -> ImageHeader:
    width, height = struct.unpack_from("<HH", start, 6)
    return ImageHeader("GIF", width, height, _GIF_BYTES, 1, buffer)


def _floats(buffer: NDArray[np.uint8], start: bytes) -> ImageHeader | None:
    found = _HDR_SIZE.search(start) or _PFM_SIZE.match(start)
    return found and ImageHeader("float", int(found[1]), int(found[2]), _FLOAT_BYTES, 1, buffer)


def _webp(buffer: NDArray[np.uint8], start: bytes) -> ImageHeader:
    return ImageHeader("WebP", *_webp_size(start), _WEBP_BYTES, 1, buffer)


def _webp_size(data: bytes) -> tuple[int, int]:
    """Width and height of the canvas (container specification of WebP, "Extended File Format"; RFC 6386 and 9649)."""
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack_from("<HH", data, 26)
    return width & 0x3FFF, height & 0x3FFF


def _tiff(buffer: NDArray[np.uint8]) -> ImageHeader:
    order = "<" if buffer[0] == 0x49 else ">"
    big = 0x2B in (buffer[2], buffer[3])
    (at,) = struct.unpack_from(order + ("Q" if big else "I"), buffer.data, 8 if big else 4)
    return tiff_page(buffer, at)


def tiff_page(buffer: NDArray[np.uint8], at: int) -> ImageHeader:
    """One directory of a TIFF or BigTIFF (TIFF 6.0, section 2).

    Args:
        buffer: (n,) uint8, the file.
        at: first byte of the directory.

    Raises:
        struct.error: it is cut short.
    """
    data = buffer.data
    order = "<" if data[0] == 0x49 else ">"
    big = 0x2B in (data[2], data[3])
    (count,) = struct.unpack_from(order + ("Q" if big else "H"), data, at)
    at += 8 if big else 2
    tags = {258: 1, 277: 1}
    for _ in range(min(count, 1000)):
        tag, kind = struct.unpack_from(order + "HH", data, at)
        many = struct.unpack_from(order + ("Q" if big else "I"), data, at + 4)[0]
        value = at + (12 if big else 8)
        if tag == 258 and many > (4 if big else 2):  # too many to stand here: the place where they do
            (value,) = struct.unpack_from(order + ("Q" if big else "I"), data, value)
        code = {1: "B", 3: "H", 4: "I", 16: "Q"}.get(kind)
        if code and tag in (256, 257, 258, 277, 322, 323):
            (tags[tag],) = struct.unpack_from(order + code, data, value)
        at += 20 if big else 12
    width, height = tags.get(256, 0), tags.get(257, 0)
    tile = tags.get(322, 0) * tags.get(323, 0)
    sample = max(8, tags[258]) / 8
    # Beside all samples of the file (at least RGBA) the result; and one tile, which may be larger than the image.
    held = sample * max(4, tags[277]) + 3 + sample * tags[277] * tile / max(1, width * height)
    return ImageHeader("TIFF", width, height, held, 1, buffer)


def _jpeg_2000(buffer: NDArray[np.uint8]) -> ImageHeader:
    """The image and tile size of a code stream (ITU-T T.800, A.5.1), wherever in the file it starts."""
    data = buffer.data
    start = re.search(rb"\xff\x4f\xff\x51", data)
    if start is None:
        msg = "a JPEG 2000 image has no header"
        raise ImageError("corrupt", msg)
    right, bottom, left, top = struct.unpack_from(">IIII", data, start.end() + 4)
    (channels,) = struct.unpack_from(">H", data, start.end() + 36)
    # All samples as 32-bit numbers, and the result.
    return ImageHeader("JPEG 2000", max(0, right - left), max(0, bottom - top), 4.0 * channels + 3, 1, buffer)


def _heif(buffer: NDArray[np.uint8]) -> ImageHeader:
    """The largest size that any item of an AVIF or HEIC file announces (ISO/IEC 23008-12, 6.5.3)."""
    data = buffer.data
    sizes = [struct.unpack_from(">II", data, found.end() + 4) for found in re.finditer(b"ispe", data)]
    if not sizes:
        msg = "an AVIF or HEIC image announces no size"
        raise ImageError("corrupt", msg)
    width, height = max(sizes, key=lambda size: size[0] * size[1])
    return ImageHeader("HEIF", width, height, HEIF_BYTES, 1, buffer)
