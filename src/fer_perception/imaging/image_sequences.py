"""Image files of several frames: animations (APNG, WebP, AVIF), pages (TIFF, HEIC) and JPEGs one after the other."""

from __future__ import annotations

import mmap
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_perception.errors import ImageError, SourceError
from fer_perception.imaging.encodings import check_header, decode_compressed
from fer_perception.imaging.file_headers import tiff_page
from fer_perception.imaging.image_files import (
    heif_kind,
    heif_to_bgr,
    open_heif,
    opencv_name,
    pillow_image,
    pillow_to_bgr,
)

#: Frame rate, in Hz, assumed of what does not tell one.
FALLBACK_RATE = 30.0
#: A frame of an animation that is to be shown for no time is shown for this long, in ns, as browsers do.
_NO_DURATION_NS = 100_000_000

_JPEG = b"\xff\xd8\xff"
#: End of one JPEG and start of the next, with the padding that recorders put between.
_NEXT_JPEG = re.compile(rb"\xff\xd9[\0\r\n]{0,64}(?=\xff\xd8\xff)")
#: Where a JPEG says that those behind it are its other eye, its preview or its gain map (CIPA DC-007, MPF).
_MULTI_PICTURE = b"MPF\0"
_FIRST_SEGMENTS = 1 << 18
#: Directories of a TIFF; more are a loop.
_MOST_PAGES = 100_000


@dataclass(frozen=True)
class ImageSequence:
    """The frames of one file, decoded one by one.

    Attributes:
        kind: what it is, for people.
        count: number of frames; more than one.
        rate: mean frame rate in Hz; None: pages, each an image on its own.
        rate_is_assumed: the file tells no times.
        read: gives frame i as (H, W, 3) uint8 BGR or (H, W) gray, and how long it is shown, in ns (0 for pages); called
            in order. Raises SourceError or ImageError for a frame that cannot be decoded.
    """

    kind: str
    count: int
    rate: float | None
    rate_is_assumed: bool
    read: Callable[[int], tuple[NDArray[np.uint8], int]]


def open_sequence(path: Path) -> ImageSequence | None:
    """Open an image file as a sequence.

    Args:
        path: an image.

    Returns:
        None where it holds a single image, or cannot be told (`read_image` then says what is wrong with it).

    Raises:
        SourceError: it holds several frames that only a missing package reads.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_FIRST_SEGMENTS)
    except OSError:
        return None
    if head.startswith(_JPEG):
        return _jpegs(path) if _MULTI_PICTURE not in head else None
    if head[:4] in (b"II*\0", b"MM\0*"):
        return _pages(path)
    if heif_kind(head) == "HEIC":
        return _heic(path)
    png = head.startswith(b"\x89PNG\r\n\x1a\n") and b"acTL" in head.partition(b"IDAT")[0]
    webp = head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and len(head) > 20 and bool(head[20] & 2)
    avif = heif_kind(head) == "AVIF" and b"avis" in head[8:64]
    return _animation(path) if png or webp or avif else None


def _animation(path: Path) -> ImageSequence | None:
    image = pillow_image(path)
    if image is None:
        msg = (
            f"{path} is an animation, of which this installation reads the first frame only: pip install 'pillow>=11.3'"
        )
        raise SourceError(msg)
    # An APNG may bring an image for programs that know no animations.
    first = 1 if getattr(image, "default_image", False) else 0
    count = int(getattr(image, "n_frames", 1)) - first
    if count < 2:
        return None

    def read(index: int) -> tuple[NDArray[np.uint8], int]:
        try:
            image.seek(first + index)
            pixels = pillow_to_bgr(image, f"{path}, frame {index}")
            milliseconds = float(image.info.get("duration") or 0)
        except (OSError, EOFError, ValueError, SyntaxError) as err:
            msg = f"{path}: frame {index} of {count} cannot be decoded: {err}"
            raise SourceError(msg) from None
        return pixels, round(milliseconds * 1e6) or _NO_DURATION_NS

    image.seek(first)
    duration = float(image.info.get("duration") or 0) or _NO_DURATION_NS / 1e6
    return ImageSequence(f"animated {image.format}", count, 1000.0 / duration, rate_is_assumed=False, read=read)


def _heic(path: Path) -> ImageSequence | None:
    images = open_heif(path)
    if len(images) < 2:
        return None

    def read(index: int) -> tuple[NDArray[np.uint8], int]:
        return heif_to_bgr(images[index], f"{path}, image {index}"), 0

    return ImageSequence("HEIC of several images", len(images), None, rate_is_assumed=False, read=read)


def _jpegs(path: Path) -> ImageSequence | None:
    """Raw motion JPEG, as .mjpeg files and recorders of network cameras have it."""
    if not path.stat().st_size:
        return None
    with path.open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    starts = [0, *(found.end() for found in _NEXT_JPEG.finditer(data))]
    if len(starts) < 2:
        return None
    ends = [*starts[1:], len(data)]

    def read(index: int) -> tuple[NDArray[np.uint8], int]:
        return decode_compressed(format="jpeg", data=data[starts[index] : ends[index]]), round(1e9 / FALLBACK_RATE)

    return ImageSequence("raw motion JPEG", len(starts), FALLBACK_RATE, rate_is_assumed=True, read=read)


def _pages(path: Path) -> ImageSequence | None:
    data = path.read_bytes()
    pages = _tiff_pages(data)
    if len(pages) < 2:
        return None
    name = opencv_name(path)

    def read(index: int) -> tuple[NDArray[np.uint8], int]:
        number, position = pages[index]
        check_header(tiff_page(np.frombuffer(data, np.uint8), position))
        done, found = cv2.imreadmulti(name, number, 1, flags=cv2.IMREAD_COLOR)
        if not done or len(found) != 1:
            raise ImageError("corrupt", f"page {index + 1} of {len(pages)} cannot be decoded")
        return np.asarray(found[0], dtype=np.uint8), 0

    return ImageSequence("TIFF of several pages", len(pages), None, rate_is_assumed=False, read=read)


def _tiff_pages(data: bytes) -> list[tuple[int, int]]:
    """Number of the directory and its first byte, for each page (TIFF 6.0, section 2); reduced copies are none."""
    order = "<" if data[:2] == b"II" else ">"
    pages: list[tuple[int, int]] = []
    seen: set[int] = set()
    try:
        (position,) = struct.unpack_from(f"{order}I", data, 4)
        while position and position not in seen and len(seen) < _MOST_PAGES:
            number = len(seen)
            seen.add(position)
            (entries,) = struct.unpack_from(f"{order}H", data, position)
            tags = dict(_tiff_tags(data, order, position + 2, entries))
            # Bit 0 of NewSubfileType: a copy of another page with fewer pixels; bit 2: a mask.
            if not tags.get(254, 0) & 0b101:
                pages.append((number, position))
            (position,) = struct.unpack_from(f"{order}I", data, position + 2 + 12 * entries)
    except struct.error:
        # The end is missing: `read_image`, or the page, says so.
        pass
    return pages


def _tiff_tags(data: bytes, order: str, position: int, entries: int) -> Iterator[tuple[int, Any]]:
    for entry in range(position, position + 12 * entries, 12):
        tag, kind = struct.unpack_from(f"{order}HH", data, entry)
        yield tag, struct.unpack_from(f"{order}H" if kind == 3 else f"{order}I", data, entry + 8)[0]
