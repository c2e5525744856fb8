"""Header parser of JPEG, PNG and GIF: size and depth before any memory is reserved for pixels.

OpenCV decodes a JPEG whose end is missing, or whose middle is damaged, into an image that is partly gray and only
prints a warning on stderr. So the structure of the file is checked here: markers of ITU-T T.81 (JPEG), chunks and
their checksums of the PNG specification (W3C, section 5). Damage to a JPEG that breaks no marker (a flipped bit of a
pixel) cannot be seen this way: JPEG has no checksum.
"""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_perception.errors import ImageError

_JPEG_START = b"\xff\xd8\xff"
_PNG_START = b"\x89PNG\r\n\x1a\n"
# Inside entropy-coded data 0xFF is followed by 0 (a data byte), a restart marker or fill bytes; anything else is a
# marker.
_MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_GIF_IMAGE, _GIF_EXTENSION, _GIF_END = 0x2C, 0x21, 0x3B
# Tables, comment and scan header; application data and frame header only come before the first scan, the number of
# lines and the end only after it.
_ANYWHERE = frozenset({0xC4, 0xCC, 0xDB, 0xDD, _START_OF_SCAN, 0xFE})
_BEFORE_FIRST_SCAN = _ANYWHERE | _START_OF_FRAME | frozenset(range(0xE0, 0xF0))
_AFTER_FIRST_SCAN = _ANYWHERE | {0xDC, _END_OF_IMAGE}


@dataclass(frozen=True)
class CompressedHeader:
    """Kind ("JPEG" or "PNG") and size in pixels of a compressed image (before any EXIF rotation)."""

    kind: str
    width: int
    height: int


#: Progressive images have about ten; some hundred bytes more of them would keep a decoder busy for minutes.
_MOST_SCANS = 64


def check_compressed(buffer: NDArray[np.uint8], named: str) -> CompressedHeader:
    """Read the size of a compressed image and check that it is whole.

    Args:
        buffer: (n,) uint8, the bytes of the file.
        named: the format the sender gave, for messages.

    Returns:
        Its header.

    Raises:
        ImageError: "encoding" (neither JPEG nor PNG, and not said to be), "truncated" (the end is missing) or
            "corrupt".
    """
    data = buffer.data
    start = bytes(data[:8])
    if start.startswith(_JPEG_START):
        return _check_jpeg(data)
    if start == _PNG_START:
        return _check_png(data)
    if not buffer.size:
        msg = "a compressed image without any data"
        raise ImageError("truncated", msg)
    if "jpeg" in named.lower() or "jpg" in named.lower() or "png" in named.lower():
        msg = f"the data said to be {named!r} starts with {start.hex(' ')}, which is neither a JPEG nor a PNG"
        raise ImageError("corrupt", msg)
    msg = f"compressed format {named!r} (starting with {start.hex(' ')}) is not supported; expected JPEG or PNG"
    raise ImageError("encoding", msg)


def _check_jpeg(data: memoryview) -> CompressedHeader:
    """Walk the markers from start to end of image."""
    size: tuple[int, int] | None = None
    scans = 0
    position = 2
    while position + 2 <= len(data):
        if data[position] == data[position + 1] == 0xFF:  # a fill byte
            position += 1
            continue
        marker = data[position + 1]
        expected = _AFTER_FIRST_SCAN if scans else _BEFORE_FIRST_SCAN
        if data[position] != 0xFF or marker not in expected:
            bad = bytes(data[position : position + 2]).hex(" ")
            msg = f"a JPEG image is damaged at byte {position}: {bad} is no marker that belongs there"
            raise ImageError("corrupt", msg)
        if marker == _END_OF_IMAGE:
            if size is None:
                msg = "a JPEG image has no frame header, so no size"
                raise ImageError("corrupt", msg)
            return CompressedHeader("JPEG", *size)
        if marker in _START_OF_FRAME and position + 9 <= len(data):
            height, width = struct.unpack_from(">HH", data, position + 5)
            size = (width, height)
        # The length counts itself, but not the marker.
        position += 2 + max(2, int.from_bytes(data[position + 2 : position + 4], "big"))
        if marker == _START_OF_SCAN:
            scans += 1
            if scans > _MOST_SCANS:
                msg = f"a JPEG image has more than {_MOST_SCANS} scans, each of which costs a pass over all pixels"
                raise ImageError("corrupt", msg)
            found = _MARKER_IN_SCAN.search(data, position)
            position = found.start() if found else len(data)
    msg = f"a JPEG image of {len(data)} bytes has no end-of-image marker: its end is missing"
    raise ImageError("truncated", msg)


def _check_png(data: memoryview) -> CompressedHeader:
    """Walk the chunks from header to end, checking each checksum."""
    size: tuple[int, int] | None = None
    position = len(_PNG_START)
    while position + 12 <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        kind = bytes(data[position + 4 : position + 8])
        end = position + 8 + length
        if end + 4 > len(data):
            break
        if zlib.crc32(data[position + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            msg = f"a PNG image is damaged: the checksum of its chunk {kind!r} at byte {position} is wrong"
            raise ImageError("corrupt", msg)
        if size is None:
            if kind != b"IHDR" or length != 13:
                msg = f"a PNG image starts with chunk {kind!r} of {length} bytes; expected IHDR of 13"
                raise ImageError("corrupt", msg)
            width, height = struct.unpack_from(">II", data, position + 8)
            size = (width, height)
        if kind == b"IEND":
            return CompressedHeader("PNG", *size)
        position = end + 4
    msg = f"a PNG image of {len(data)} bytes has no IEND chunk: its end is missing"
    raise ImageError("truncated", msg)


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
