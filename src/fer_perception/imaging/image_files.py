"""Reader of image files: orientation, transparency, depth."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_perception.errors import ImageError, SourceError
from fer_perception.imaging.compressed_header import ImageHeader, check_compressed
from fer_perception.imaging.encodings import MAX_DECODER_BYTES, MAX_PIXELS, check_header, decode_compressed
from fer_perception.imaging.file_headers import HEIF_BYTES, file_header

_JPEG = b"\xff\xd8\xff"

_PNG = b"\x89PNG\r\n\x1a\n"

#: Memory that decoding a HEIC or AVIF may take, which no message carries: phones write 50 million pixels.
MAX_HEIF_BYTES = 2 * MAX_DECODER_BYTES
#: Pillow's image, RGBA, laid on white, RGB, and the array.
_PILLOW_BYTES = 18.0

#: Brands of the ISO base media file format (ISO/IEC 23008-12, AV1 Image File Format) that are images.
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_AVIF_BRANDS = {b"avif", b"avis"}


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read an image file as people see it: turned as its EXIF orientation says.

    Args:
        path: any format OpenCV reads; 16-bit images are reduced to 8 bits, transparent parts of a PNG become white.

    Returns:
        (H, W, 3) uint8 BGR or (H, W) uint8 gray.

    Raises:
        SourceError: the file cannot be read, is empty, is no image, or is one that only a missing package reads whole.
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
        checked = checked_bytes(data)
        heif = heif_kind(data)
        if heif == "HEIC":
            return heif_to_bgr(open_heif(path)[0], str(path))
        if heif == "AVIF":
            upright = _read_avif(path, data)
            if upright is not None:
                return upright
        decoded = cv2.imdecode(checked, cv2.IMREAD_COLOR)
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


def image_header(data: bytes) -> ImageHeader | None:
    """Size and cost of an image file; None for formats that OpenCV's own limit bounds.

    Args:
        data: the file, of any format.

    Raises:
        ImageError: its header is damaged.
    """
    buffer = np.frombuffer(data, dtype=np.uint8)
    return check_compressed(buffer, "") if data.startswith((_JPEG, _PNG)) else file_header(buffer)


def checked_bytes(data: bytes) -> NDArray[np.uint8]:
    """The bytes of an image file for OpenCV, once it is known that decoding them takes neither gigabytes nor minutes.

    Args:
        data: the file, of any format.

    Returns:
        (n,) uint8; of a PNG only the chunks that make the image.

    Raises:
        ImageError: it is damaged, or too large.
    """
    header = image_header(data)
    if header is None:
        return np.frombuffer(data, dtype=np.uint8)
    check_header(header, MAX_HEIF_BYTES if header.kind == "HEIF" else MAX_DECODER_BYTES)
    return header.data


def heif_kind(head: bytes) -> str:
    """Kind of a HEIF file by the brands in its first bytes: "HEIC", "AVIF", or "" for any other file."""
    if head[4:8] != b"ftyp":
        return ""
    end = min(int.from_bytes(head[:4], "big"), 256)
    brands = {head[8:12], *(head[at : at + 4] for at in range(16, end, 4))}
    if brands & _AVIF_BRANDS:
        return "AVIF"
    return "HEIC" if brands & _HEIC_BRANDS else ""


def open_heif(path: Path) -> Any:
    """The images of a HEIC file, the primary one first: a sequence of what `to_pillow()` decodes.

    OpenCV's FFmpeg would give the first tile of what phones write, and not turn it.

    Raises:
        SourceError: pillow-heif is missing, or cannot read it.
    """
    try:
        import pillow_heif
    except ImportError:
        msg = f"{path} is a HEIC image, which needs pillow-heif: pip install pillow-heif, or convert it to JPEG"
        raise SourceError(msg) from None
    try:
        images = pillow_heif.open_heif(path)
        primary = images.primary_index
        return [images[primary], *(images[i] for i in range(len(images)) if i != primary)]
    except Exception as err:  # noqa: BLE001 - libheif's own and Python's, by what is damaged
        msg = f"{path} is a HEIC image that cannot be read: {err}"
        raise SourceError(msg) from None


def pillow_image(path: Path) -> Any:
    """A file opened with Pillow, nothing decoded yet; None where Pillow is missing or does not know it."""
    try:
        from PIL import Image
    except ImportError:
        return None
    try:
        with warnings.catch_warnings():
            # Of large images; `check_size` refuses them before they are decoded.
            warnings.simplefilter("ignore")
            return Image.open(path)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None


def heif_to_bgr(image: Any, name: str) -> NDArray[np.uint8]:
    """Decode an image of `open_heif`, as `pillow_to_bgr` does.

    Raises:
        SourceError: it cannot be decoded, or is too large.
    """
    try:
        width, height = image.size
        check_header(ImageHeader("HEIC", width, height, HEIF_BYTES), MAX_HEIF_BYTES)
        decoded = image.to_pillow()
    except ImageError as err:
        msg = f"{name}: {err}"
        raise SourceError(msg) from None
    except Exception as err:  # noqa: BLE001 - libheif's own and Python's, by what is damaged
        msg = f"{name} cannot be decoded: {err}"
        raise SourceError(msg) from None
    return pillow_to_bgr(decoded, name)


def pillow_to_bgr(image: Any, name: str) -> NDArray[np.uint8]:
    """Decode what Pillow opened: upright, transparent parts white.

    Args:
        image: PIL.Image.Image.
        name: for messages.

    Returns:
        (H, W, 3) uint8 BGR.

    Raises:
        SourceError: it cannot be decoded, or is too large.
    """
    from PIL import Image, ImageOps

    try:
        width, height = image.size
        check_header(ImageHeader(image.format or "Pillow", width, height, _PILLOW_BYTES), MAX_HEIF_BYTES)
        turned = ImageOps.exif_transpose(image)
        if turned.mode in {"RGBA", "LA", "PA"} or "transparency" in turned.info:
            turned = turned.convert("RGBA")
            white = Image.new("RGBA", turned.size, (255, 255, 255, 255))
            turned = Image.alpha_composite(white, turned)
        return np.ascontiguousarray(np.asarray(turned.convert("RGB"), dtype=np.uint8)[..., ::-1])
    except ImageError as err:
        msg = f"{name}: {err}"
        raise SourceError(msg) from None
    except (OSError, EOFError, ValueError, SyntaxError, RuntimeError, Image.DecompressionBombError) as err:
        msg = f"{name} cannot be decoded: {err}"
        raise SourceError(msg) from None


def _read_avif(path: Path, data: bytes) -> NDArray[np.uint8] | None:
    """An AVIF as people see it; None: OpenCV reads it as well as anybody."""
    image = pillow_image(path)
    if image is not None:
        return pillow_to_bgr(image, str(path))
    if re.search(rb"irot|imir", data[: 1 << 16]):
        # OpenCV ignores both.
        msg = f"{path} is an AVIF that is to be turned, which needs Pillow: pip install 'pillow>=11.3', or convert it"
        raise SourceError(msg)
    return None


def opencv_name(path: Path) -> str:
    """A path as OpenCV takes it.

    It crashes on names that are no text, and FFmpeg takes "12:30.mp4" for an address of the protocol "12".

    Raises:
        SourceError: the name is not UTF-8.
    """
    name = str(path) if path.is_absolute() else f"./{path}"
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        msg = f"{path} has a name that is not UTF-8, which OpenCV cannot open; rename it"
        raise SourceError(msg) from None
    return name
