"""Image files of a few kilobytes that cost a careless decoder gigabytes or seconds."""

from __future__ import annotations

import functools
import struct
import zlib
from collections.abc import Callable

import cv2
import numpy as np

SIDE = 8192


def chunk(kind: bytes, content: bytes) -> bytes:
    """One PNG chunk with its checksum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def zeros(count: int) -> bytes:
    """`count` zero bytes, deflated: the same block again and again, which takes no time to make."""
    packer = zlib.compressobj(9)
    head = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    blocks, rest = divmod(count, 1 << 20)
    last = zlib.compressobj(9, zlib.DEFLATED, -15)
    end = last.compress(bytes(rest)) + last.flush()
    start = head + block * (blocks - 1) if blocks else b"\x78\xda"
    return start + end + struct.pack(">I", (count % 65521) << 16 | 1)


def png(width: int, height: int, *, depth: int = 8, color: int = 2, extra: bytes = b"", more: int = 0) -> bytes:
    """A black PNG.

    Args:
        width: pixels.
        height: pixels.
        depth: bits a channel.
        color: type of IHDR: 0 gray, 2 RGB, 3 palette, 4 gray with alpha, 6 RGBA.
        extra: chunks before the pixels.
        more: bytes that the pixels inflate to beyond those of the image.
    """
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color]
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0))
    pixels = zeros(height * (1 + width * channels * depth // 8) + more)
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def png_with_texts(kind: bytes, count: int = 100, inflated: int = 7_900_000) -> bytes:
    """An 8x8 PNG whose ancillary chunks (zTXt, iTXt, iCCP) inflate to much more than its pixels."""
    packed = zeros(inflated)
    head = {b"zTXt": b"k\0\0", b"iTXt": b"k\0\x01\0\0\0", b"iCCP": b"k\0\0"}[kind]
    return png(8, 8, extra=chunk(kind, head + packed) * count)


@functools.cache
def jpeg_with_scans(width: int, height: int, scans: int) -> bytes:
    """A progressive JPEG whose last scan is repeated."""
    whole = cv2.imencode(".jpg", np.zeros((height, width, 3), np.uint8), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    last = whole.rfind(b"\xff\xda")
    return whole[:-2] + whole[last:-2] * (scans - whole.count(b"\xff\xda")) + whole[-2:]


def tiff(tags: dict[int, tuple[int, list[int]]], pixels: bytes) -> bytes:
    """A little-endian TIFF: tag -> (type 3 = 16 bits or 4 = 32 bits, values).

    Tags 273 and 324 get the place of the pixels.
    """
    at = 8
    entries, behind = [], b""
    start = at + 2 + 12 * len(tags) + 4
    for tag, (kind, values) in sorted(tags.items()):
        code = "<H" if kind == 3 else "<I"
        packed = b"".join(struct.pack(code, value) for value in values)
        if tag in (273, 324):
            packed = b"@@@@"
        if len(packed) > 4:
            entries.append(struct.pack("<HHII", tag, kind, len(values), start + len(behind)))
            behind += packed
        else:
            entries.append(struct.pack("<HHI", tag, kind, len(values)) + packed.ljust(4, b"\0"))
    data = struct.pack("<H", len(tags)) + b"".join(entries) + bytes(4) + behind
    return b"II*\0" + struct.pack("<I", at) + data.replace(b"@@@@", struct.pack("<I", at + len(data))) + pixels


def tiff_of_one_strip(width: int, height: int, *, bits: int = 8, channels: int = 3) -> bytes:
    """A black TIFF of one deflated strip."""
    packed = zeros(width * height * channels * bits // 8)
    return tiff(
        {
            256: (4, [width]), 257: (4, [height]), 258: (3, [bits] * channels), 259: (3, [8]),
            262: (3, [2 if channels > 1 else 1]), 273: (4, [0]), 277: (3, [channels]), 278: (4, [height]),
            279: (4, [len(packed)]), 284: (3, [1]), 339: (3, [3 if bits > 16 else 1] * channels),
        },
        packed,
    )  # fmt: skip


def tiff_of_one_tile(side: int, tile: int) -> bytes:
    """A small TIFF in one much larger tile."""
    packed = zeros(tile * tile)
    return tiff(
        {
            256: (4, [side]), 257: (4, [side]), 258: (3, [8]), 259: (3, [8]), 262: (3, [1]), 277: (3, [1]),
            284: (3, [1]), 322: (4, [tile]), 323: (4, [tile]), 324: (4, [0]), 325: (4, [len(packed)]),
        },
        packed,
    )  # fmt: skip


def encoded(suffix: str, width: int, height: int, channels: int = 3) -> bytes:
    """A black image as OpenCV writes it."""
    shape = (height, width, channels) if channels > 1 else (height, width)
    return cv2.imencode(suffix, np.zeros(shape, np.uint8))[1].tobytes()


def gif_announcing(width: int, height: int) -> bytes:
    """A GIF with other numbers on its screen and image."""
    small = encoded(".gif", 8, 8)
    at = small.index(b"\x2c\0\0\0\0\x08\0\x08\0")
    size = struct.pack("<HH", width, height)
    return small[:6] + size + small[10 : at + 5] + size + small[at + 9 :]


def resized(suffix: str, mark: bytes, skipped: int) -> bytes:
    """An image as OpenCV writes it whose size, `skipped` bytes behind a mark, is another one."""
    whole = encoded(suffix, 64, 64)
    at = whole.index(mark) + len(mark) + skipped
    return whole[:at] + struct.pack(">II", SIDE, SIDE) + whole[at + 8 :]


#: Name -> the bytes of a file that must be refused, or be decoded cheaply.
BOMBS: dict[str, Callable[[], bytes]] = {
    "zTXt": lambda: png_with_texts(b"zTXt"),
    "iTXt": lambda: png_with_texts(b"iTXt"),
    "iCCP": lambda: png_with_texts(b"iCCP", 1, 1_000_000_000),
    "png pixels beyond the image": lambda: png(8, 8, more=1_000_000_000),
    "png 16-bit RGBA": lambda: png(SIDE, SIDE, depth=16, color=6),
    "png 8-bit gray with alpha": lambda: png(SIDE, SIDE, color=4),
    "jpeg scans": lambda: jpeg_with_scans(SIDE, SIDE, 64),
    "gif": lambda: gif_announcing(60000, 60000),
    "gif 8192": lambda: gif_announcing(SIDE, SIDE),
    "webp": lambda: encoded(".webp", SIDE, SIDE, 4),
    "tiff of floats": lambda: tiff_of_one_strip(SIDE, SIDE // 2, bits=64),
    "tiff 8192": lambda: tiff_of_one_strip(SIDE, SIDE, bits=16),
    "tiff tile": lambda: tiff_of_one_tile(16, 32000),
    "jp2": lambda: resized(".jp2", b"\xff\x4f\xff\x51", 4),
    "avif": lambda: resized(".avif", b"ispe", 4),
}
