"""Header parser of JPEG, PNG and GIF: size and depth before any memory is reserved for pixels.

OpenCV decodes a JPEG whose end is missing, or whose middle is damaged, into an image that is partly gray and only
prints a warning on stderr. So the structure of the file is checked here: markers of ITU-T T.81 (JPEG), chunks and
their checksums of the PNG specification (W3C, section 5). Damage to a JPEG that breaks no marker (a flipped bit of a
pixel) cannot be seen this way: JPEG has no checksum.

A few kilobytes can also announce, or inflate to, gigabytes. So the header tells how much memory and time its decoder
will take, and a decoder gets no chunk of a PNG that adds nothing to its pixels.
"""

from __future__ import annotations

import itertools
import re
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fer_perception.errors import ImageError
from fer_perception.system.text import quoted

_JPEG_START = b"\xff\xd8\xff"
_PNG_START = b"\x89PNG\r\n\x1a\n"
# Inside entropy-coded data 0xFF is followed by 0 (a data byte), a restart marker or fill bytes; anything else is a
# marker.
_MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_FILL = re.compile(rb"\xff+(?=\xff)")
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_GIF_IMAGE, _GIF_EXTENSION, _GIF_END = 0x2C, 0x21, 0x3B
# Tables, comment and scan header; application data and frame header only come before the first scan, the number of
# lines and the end only after it.
_ANYWHERE = frozenset({0xC4, 0xCC, 0xDB, 0xDD, _START_OF_SCAN, 0xFE})
_BEFORE_FIRST_SCAN = _ANYWHERE | _START_OF_FRAME | frozenset(range(0xE0, 0xF0))
_AFTER_FIRST_SCAN = _ANYWHERE | {0xDC, _END_OF_IMAGE}


#: The chunks of a PNG that OpenCV makes an image of; text, color profiles, times and animations stay outside.
_PNG_ESSENTIAL = frozenset({b"IHDR", b"PLTE", b"tRNS", b"eXIf", b"IDAT", b"IEND"})
#: An EXIF block is limited to 64 kB where it comes from, in JPEG.
_MOST_EXIF_BYTES = 65536
#: Channels of a PNG's color types as OpenCV keeps them: it makes BGRA of gray with alpha.
_PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 4, 6: 4}
_PNG_STORED_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
#: Bytes that pixels may inflate to beyond those of the image; about half a second. Less data than could do so, by the
#: largest ratio of deflate (1032 to 1), is not looked at.
_FREE_INFLATION = 2**29
_DEFLATE_RATIO = 1032
#: Steps through a file; encoders write chunks of 8 kB and more, and a file of nothing else would keep us busy.
_MOST_PARTS = 50_000
#: Progressive images have about ten; some hundred bytes more of them would keep a decoder busy for minutes.
_MOST_SCANS = 64


@dataclass(frozen=True)
class ImageHeader:
    """Size and cost of an image file, before any memory is reserved for its pixels.

    Attributes:
        kind: "JPEG", "PNG", ...
        width: in pixels, before any EXIF rotation.
        height: in pixels.
        bytes_a_pixel: that are held while it is decoded, by the decoder and for the result (8-bit gray or BGR).
        scans: passes over all pixels.
        data: (n,) uint8, the bytes for the decoder.
    """

    kind: str
    width: int
    height: int
    bytes_a_pixel: float
    scans: int = 1
    data: NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8), repr=False, compare=False)


def check_compressed(buffer: NDArray[np.uint8], named: str) -> ImageHeader:
    """Read the size of a compressed image and check that it is whole.

    Args:
        buffer: (n,) uint8, the bytes of the file.
        named: the format the sender gave, for messages.

    Returns:
        Its header, with the bytes that the decoder needs.

    Raises:
        ImageError: "encoding" (neither JPEG nor PNG, and not said to be), "truncated" (the end is missing) or
            "corrupt".

    Examples:
        >>> import cv2
        >>> header = check_compressed(cv2.imencode(".png", np.zeros((4, 6, 3), np.uint8))[1].reshape(-1), "png")
        >>> header.kind, header.width, header.height
        ('PNG', 6, 4)
    """
    data = buffer.data
    start = bytes(data[:8])
    if start.startswith(_JPEG_START):
        return _check_jpeg(buffer, data)
    if start == _PNG_START:
        return _check_png(buffer, data)
    if not buffer.size:
        msg = "a compressed image without any data"
        raise ImageError("truncated", msg)
    if "jpeg" in named.lower() or "jpg" in named.lower() or "png" in named.lower():
        msg = f"the data said to be {quoted(named)} starts with {start.hex(' ')}, which is neither a JPEG nor a PNG"
        raise ImageError("corrupt", msg)
    msg = f"compressed format {quoted(named)} (starting with {start.hex(' ')}) is not supported; expected JPEG or PNG"
    raise ImageError("encoding", msg)


def _check_jpeg(buffer: NDArray[np.uint8], data: memoryview) -> ImageHeader:
    """Walk the markers from start to end of image."""
    frame: tuple[int, int, int, float] | None = None
    scans = 0
    in_parts = False
    position = 2
    for _ in range(_MOST_PARTS):
        fill = _FILL.match(data, position)
        position = fill.end() if fill else position
        if position + 2 > len(data):
            msg = f"a JPEG image of {len(data)} bytes has no end-of-image marker: its end is missing"
            raise ImageError("truncated", msg)
        marker = data[position + 1]
        expected = _AFTER_FIRST_SCAN if scans else _BEFORE_FIRST_SCAN
        if data[position] != 0xFF or marker not in expected:
            bad = bytes(data[position : position + 2]).hex(" ")
            msg = f"a JPEG image is damaged at byte {position}: {bad} is no marker that belongs there"
            raise ImageError("corrupt", msg)
        if marker == _END_OF_IMAGE:
            if frame is None:
                msg = "a JPEG image has no frame header, so no size"
                raise ImageError("corrupt", msg)
            width, height, channels, samples = frame
            # Where the coefficients come in several scans, all of them are kept, in 16 bits each; the decoder goes by
            # the first scan, whether more follow or not. Then OpenCV copies the result (4.14: 6.1 bytes a pixel).
            result = 3 if channels > 1 else 1
            held = result + max(result, 2 * samples if in_parts or scans > 1 else 0)
            return ImageHeader("JPEG", width, height, held, scans, buffer)
        if marker in _START_OF_FRAME:
            if frame is not None:
                msg = "a JPEG image has two frame headers"
                raise ImageError("corrupt", msg)
            frame = _jpeg_frame(data, position)
            in_parts = marker in _PROGRESSIVE
        if marker == _START_OF_SCAN and not scans and frame is not None and position + 5 <= len(data):
            in_parts = in_parts or data[position + 4] < frame[2]
        # The length counts itself, but not the marker.
        position += 2 + max(2, int.from_bytes(data[position + 2 : position + 4], "big"))
        if marker == _START_OF_SCAN:
            scans += 1
            if scans > _MOST_SCANS:
                msg = f"a JPEG image has more than {_MOST_SCANS} scans, each of which costs a pass over all pixels"
                raise ImageError("corrupt", msg)
            found = _MARKER_IN_SCAN.search(data, position)
            position = found.start() if found else len(data)
    msg = f"a JPEG image has more than {_MOST_PARTS} segments"
    raise ImageError("corrupt", msg)


def _jpeg_frame(data: memoryview, position: int) -> tuple[int, int, int, float] | None:
    """Width, height, channels and samples a pixel of the frame header at `position`; None where it is cut short."""
    if position + 10 > len(data):
        return None
    height, width, channels = struct.unpack_from(">HHB", data, position + 5)
    factors = [(byte >> 4) * (byte & 15) for byte in data[position + 11 : position + 10 + 3 * channels : 3]]
    return width, height, channels, sum(factors) / max(factors) if factors and all(factors) else float(channels)


def _check_png(buffer: NDArray[np.uint8], data: memoryview) -> ImageHeader:
    """Walk the chunks from header to end, checking each checksum."""
    header: tuple[int, int, int, int] | None = None
    position = len(_PNG_START)
    kept: list[tuple[int, int]] = [(0, position)]
    pixels: list[memoryview] = []
    transparent = False
    for _ in range(_MOST_PARTS):
        length = int.from_bytes(data[position : position + 4], "big")
        kind = bytes(data[position + 4 : position + 8])
        end = position + 8 + length
        if position + 12 > len(data) or end + 4 > len(data):
            msg = f"a PNG image of {len(data)} bytes has no IEND chunk: its end is missing"
            raise ImageError("truncated", msg)
        if zlib.crc32(data[position + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            msg = f"a PNG image is damaged: the checksum of its chunk {kind!r} at byte {position} is wrong"
            raise ImageError("corrupt", msg)
        if header is None:
            if kind != b"IHDR" or length != 13:
                msg = f"a PNG image starts with chunk {kind!r} of {length} bytes; expected IHDR of 13"
                raise ImageError("corrupt", msg)
            header = struct.unpack_from(">IIBB", data, position + 8)
        if kind in _PNG_ESSENTIAL and not (kind == b"eXIf" and length > _MOST_EXIF_BYTES):
            kept.append((position, end + 4))
        if kind == b"IDAT":
            pixels.append(data[position + 8 : end])
        transparent = transparent or kind == b"tRNS"
        position = end + 4
        if kind == b"IEND":
            return _png_header(buffer, header, kept, pixels, transparent=transparent)
    msg = f"a PNG image has more than {_MOST_PARTS} chunks"
    raise ImageError("corrupt", msg)


def _png_header(
    buffer: NDArray[np.uint8],
    header: tuple[int, int, int, int],
    kept: list[tuple[int, int]],
    pixels: list[memoryview],
    *,
    transparent: bool,
) -> ImageHeader:
    width, height, depth, color = header
    if color not in _PNG_CHANNELS or depth not in (1, 2, 4, 8, 16):
        msg = f"a PNG image announces color type {color} of {depth} bits, which does not exist"
        raise ImageError("corrupt", msg)
    expected = height * (1 + (width * _PNG_STORED_CHANNELS[color] * depth + 7) // 8)
    # An interlaced image has up to twice as many filter bytes, and rows that end within a byte.
    _check_inflation(pixels, 2 * expected + _FREE_INFLATION)
    channels = 4 if transparent else _PNG_CHANNELS[color]
    # Its decoder in OpenCV keeps a copy (4.14: 547 MB for 278 MB of pixels).
    decoded = channels * (2 if depth == 16 else 1)
    whole = len(kept) == 1 or all(end == start for (_, end), (start, _) in itertools.pairwise(kept))
    data = buffer[: kept[-1][1]] if whole else np.concatenate([buffer[start:end] for start, end in kept])
    return ImageHeader("PNG", width, height, 2 * decoded, 1, data)


def _check_inflation(parts: Iterable[memoryview], limit: int) -> None:
    """Refuse pixels that inflate to more than `limit` bytes, all of which a decoder reads and throws away."""
    parts = list(parts)
    if sum(map(len, parts)) * _DEFLATE_RATIO <= limit:
        return
    inflater = zlib.decompressobj()
    size = 0
    try:
        # In small pieces: what is left of one is copied after each step.
        for part in parts:
            for start in range(0, len(part), 65536):
                rest: bytes | memoryview = part[start : start + 65536]
                while rest:
                    size += len(inflater.decompress(rest, 65536))
                    rest = inflater.unconsumed_tail
                    if size > limit:
                        msg = f"the pixels of a PNG image inflate to more than {limit} bytes, beyond those of the image"
                        raise ImageError("too_large", msg)
                if inflater.eof:
                    return
    except zlib.error as err:
        msg = f"the pixels of a PNG image do not inflate: {err}"
        raise ImageError("corrupt", msg) from None


def gif_is_whole(data: bytes) -> bool:
    """True where the blocks of a GIF file (GIF89a specification, section 15 on) lead to its end mark.

    FFmpeg reads as many frames as there are and says nothing of those that are missing.

    Args:
        data: the file, starting with b"GIF8".
    """
    position = 13 + _color_table_bytes(data, 10)
    while position < len(data):
        kind = data[position]
        if kind == _GIF_END:
            return True
        if kind == _GIF_IMAGE:
            # After the descriptor and its color table one byte tells how the pixels' codes begin.
            position += 10 + _color_table_bytes(data, position + 9) + 1
        elif kind == _GIF_EXTENSION:
            position += 2
        else:
            return False
        while position < len(data) and data[position]:
            position += 1 + data[position]
        position += 1
    return False


def _color_table_bytes(data: bytes, flags_at: int) -> int:
    """Size of the color table that the flags of a GIF's screen or image announce."""
    flags = data[flags_at] if flags_at < len(data) else 0
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0
