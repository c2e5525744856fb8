"""Images, directories of images, video files, network streams and webcams as one iterator of frames."""

from __future__ import annotations

import math
import os
import re
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from urllib.parse import unquote, urlsplit

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_perception.errors import SourceError
from fer_perception.imaging.compressed_header import gif_is_whole
from fer_perception.imaging.encodings import MAX_PIXELS
from fer_perception.imaging.image_files import opencv_name, read_image
from fer_perception.pipeline_types import Frame

#: File names that count as images when a directory is read (a single file is looked at, whatever its name).
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".dib", ".webp", ".tif", ".tiff", ".pgm", ".ppm", ".pbm",
                    ".pnm", ".jp2", ".avif", ".gif")  # fmt: skip


#: Names of videos, for telling a file behind a URL from a camera.
VIDEO_SUFFIXES = (
    ".mp4",
    ".m4v",
    ".mov",
    ".avi",
    ".mkv",
    ".webm",
    ".mpg",
    ".mpeg",
    ".ts",
    ".ogv",
    ".wmv",
    ".flv",
    ".3gp",
)

#: Frame rate, in Hz, assumed of a video that does not tell one.
FALLBACK_RATE = 30.0

#: A video that ends before this share of its announced frames is called truncated (headers are often a few off).
COMPLETE_SHARE = 0.9


# FFmpeg writes its own complaints to stderr; ours name the file and the fix. A user's own choice wins.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")


@dataclass(frozen=True)
class MediaFrame:
    """One frame and where it comes from.

    Attributes:
        index: number in its source, from 0. In a directory: the position of the file, so files that cannot be read
            leave a gap.
        name: name of the file, camera or stream.
        frame: what the pipeline takes.
    """

    index: int
    name: str
    frame: Frame


class Media:
    """An open source; iterate over it once, and close it (or use `with`).

    Attributes:
        kind: "image", "directory", "video" or "live".
        name: short name for people.
        total: number of frames, or None where nobody knows (cameras; some videos).
        rate: frames a second of a video or camera; None for images.
        problems: what could not be read, one sentence each, filled while iterating.
    """

    def __init__(
        self,
        *,
        kind: str,
        name: str,
        frames: Callable[[Media], Iterator[MediaFrame]],
        total: int | None,
        rate: float | None,
        capture: cv2.VideoCapture | None = None,
    ) -> None:
        self.kind = kind
        self.name = name
        self.total = total
        self.rate = rate
        self.problems: list[str] = []
        self._frames = frames
        self._capture = capture

    def __iter__(self) -> Iterator[MediaFrame]:
        return self._frames(self)

    def close(self) -> None:
        """Release the camera or file; idempotent."""
        if self._capture is not None:
            self._capture.release()
            self._capture = None

    def __enter__(self) -> Media:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_media(source: str) -> Media:
    """Open whatever `source` names.

    Args:
        source: path of an image, video or directory of images; a URL (rtsp://, http://, file://, ...); or the number
            of a webcam ("0"), unless a file of that name exists.

    Raises:
        SourceError: it does not exist, is empty, or is no image or video.
    """
    if not source:
        msg = "the name is empty; expected an image, video, directory of images, URL or number of a webcam"
        raise SourceError(msg)
    if source.startswith("file://"):
        source = source.removeprefix("file://").removeprefix("localhost")
        # A browser or a file manager escapes what is not ASCII.
        source = source if Path(source).exists() else unquote(source)
    path = Path(source)
    if not path.exists():
        if source.isdigit():
            return _open_live(int(source), f"camera{source}")
        if "://" in source:
            return _open_live(source, _stream_name(source))
        msg = f"{source} does not exist; expected an image, video, directory of images, URL or number of a webcam"
        raise SourceError(msg)
    if path.is_dir():
        return _open_directory(path)
    return _open_file(path)


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sort key by which "frame2" comes before "frame10", case ignored."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name.casefold())
    return [(0, int(part), "") if part[0] in "0123456789" else (1, 0, part) for part in parts]


def _open_file(path: Path) -> Media:
    if path.is_fifo():
        msg = f"{path} is a pipe, which can be read only once; write it to a file"
        raise SourceError(msg)
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as err:
        msg = f"{path} cannot be read: {err.strerror}"
        raise SourceError(msg) from None
    if not head:
        msg = f"{path} is empty (0 bytes); expected an image or a video"
        raise SourceError(msg)
    animated = head[:4] == b"GIF8"
    if animated and len(head) >= 10:
        # FFmpeg would reserve its canvas on opening it.
        _check_frame_size(path.name, *struct.unpack_from("<HH", head, 6))
    if not animated and (path.suffix.lower() in IMAGE_SUFFIXES or cv2.haveImageReader(opencv_name(path))):
        return _image(path)
    capture = cv2.VideoCapture(opencv_name(path))
    if not capture.isOpened() or (animated and capture.get(cv2.CAP_PROP_FRAME_COUNT) <= 1):
        capture.release()
        if animated:
            return _image(path)
        msg = f"{path} is neither an image nor a video this OpenCV can read, or it is damaged"
        raise SourceError(msg)
    return _recording(capture, path.name, cut=animated and not gif_is_whole(path.read_bytes()))


def _recording(capture: cv2.VideoCapture, name: str, *, cut: bool = False) -> Media:
    """Frames with times of their own: a video file, or a file behind a URL. A single frame is a still.

    Args:
        capture: just opened.
        name: for people.
        cut: its end is known to be missing, though it announces no number of frames.

    Raises:
        SourceError: its frames are too large to decode.
    """
    try:
        _check_frame_size(name, int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)))
    except SourceError:
        capture.release()
        raise
    rate = _rate(capture)
    announced = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    total = int(announced) if math.isfinite(announced) and 0 < announced < 1e9 else None

    def read(last_ns: int) -> tuple[NDArray[np.uint8], int] | None:
        ok, image = capture.read()
        if not ok:
            return None
        # The container's time stamp where it moves forward, else the nominal rate; in whole ns, or two would be one.
        milliseconds = capture.get(cv2.CAP_PROP_POS_MSEC)
        stamp_ns = round(milliseconds * 1e6) if math.isfinite(milliseconds) else -1
        if stamp_ns <= last_ns or stamp_ns < 0:
            stamp_ns = last_ns + round(1e9 / rate)
        return _as_bgr(image), stamp_ns

    def frames(media: Media) -> Iterator[MediaFrame]:
        current = read(-round(1e9 / rate))
        if current is None:
            msg = f"{name} opens as a video but no frame of it can be decoded"
            raise SourceError(msg)
        index = 0
        while current is not None:
            image, stamp_ns = current
            following = read(stamp_ns)
            still = index == 0 and following is None
            yield MediaFrame(index, name, Frame(image, 0 if still else stamp_ns, name, still=still))
            current = following
            index += 1
        if total is not None and index < COMPLETE_SHARE * total:
            media.problems.append(f"{name} ends after {index} of {total} announced frames: it is truncated or damaged")
        elif cut:
            media.problems.append(f"{name} ends after {index} frames without the end mark of a GIF: it is truncated")

    return Media(kind="video", name=name, frames=frames, total=total, rate=rate, capture=capture)


def _check_frame_size(name: str, width: int, height: int) -> None:
    """Refuse frames that a few bytes announce and that would cost gigabytes each; raises SourceError."""
    if width * height > MAX_PIXELS:
        msg = f"{name} announces frames of {width}x{height} pixels; at most {MAX_PIXELS} are decoded (8192x8192)"
        raise SourceError(msg)


def _image(path: Path) -> Media:
    image = read_image(path)

    def frames(_media: Media) -> Iterator[MediaFrame]:
        yield MediaFrame(0, path.name, Frame(image, 0, path.name, still=True))

    return Media(kind="image", name=path.name, frames=frames, total=1, rate=None)


def _open_directory(path: Path) -> Media:
    try:
        # Hidden files are not meant: macOS puts a "._photo.jpg", which is no image, beside every photo.jpg.
        files = [
            item
            for item in path.iterdir()
            if item.suffix.lower() in IMAGE_SUFFIXES and not item.name.startswith(".") and item.is_file()
        ]
    except OSError as err:
        msg = f"{path} cannot be listed: {err.strerror}"
        raise SourceError(msg) from None
    if not files:
        msg = f"{path} holds no images (looked for {', '.join(IMAGE_SUFFIXES)}); videos are named one by one"
        raise SourceError(msg)
    files.sort(key=lambda item: (natural_key(item.name), item.name))

    def frames(media: Media) -> Iterator[MediaFrame]:
        for index, file in enumerate(files):
            try:
                image = read_image(file)
            except SourceError as err:
                media.problems.append(str(err))
                continue
            yield MediaFrame(index, file.name, Frame(image, 0, file.name, still=True))

    return Media(kind="directory", name=path.resolve().name, frames=frames, total=len(files), rate=None)


def _open_live(source: str | int, name: str) -> Media:
    capture = cv2.VideoCapture(source)
    if not capture.isOpened():
        capture.release()
        if isinstance(source, int):
            msg = f"webcam {source} cannot be opened; `ls /dev/video*` lists them, and you must be in the group video"
        else:
            msg = f"the stream {name} cannot be opened; check the address, the network and that the camera is on"
        raise SourceError(msg)
    if isinstance(source, str) and _names_a_file(source):
        return _recording(capture, name)
    rate = _rate(capture)

    def frames(_media: Media) -> Iterator[MediaFrame]:
        index = 0
        while True:
            ok, image = capture.read()
            if not ok:
                break
            yield MediaFrame(index, name, Frame(_as_bgr(image), time.time_ns(), name))
            index += 1
        if index == 0:
            msg = f"{name} opens but delivers no frames; another program may be using it"
            raise SourceError(msg)

    return Media(kind="live", name=name, frames=frames, total=None, rate=rate, capture=capture)


def _rate(capture: cv2.VideoCapture) -> float:
    rate = float(capture.get(cv2.CAP_PROP_FPS))
    return rate if math.isfinite(rate) and 0.1 <= rate <= 1000.0 else FALLBACK_RATE


def _names_a_file(url: str) -> bool:
    """True for the URL of an image or video, not of a camera that never ends."""
    parts = urlsplit(url)
    suffix = Path(parts.path).suffix.lower()
    return parts.scheme in {"http", "https", "ftp"} and suffix in {*IMAGE_SUFFIXES, *VIDEO_SUFFIXES}


def _stream_name(url: str) -> str:
    """A file-name-safe name of a stream, without the password a camera address may carry."""
    rest = url.split("://", 1)[1].rsplit("@", 1)[-1].split("?", 1)[0]
    return re.sub(r"[^A-Za-z0-9.-]+", "_", rest).strip("_") or "stream"


def _as_bgr(image: cv2.typing.MatLike) -> NDArray[np.uint8]:
    if image.ndim == 2:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    return np.asarray(image, dtype=np.uint8)
