"""Images, directories, video files, network streams and webcams as one iterator of frames."""

from __future__ import annotations

import math
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from urllib.parse import unquote, urlsplit

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_perception.errors import ImageError, SourceError
from fer_perception.imaging.compressed_header import gif_is_whole
from fer_perception.imaging.encodings import MAX_PIXELS, check_header
from fer_perception.imaging.file_headers import file_header
from fer_perception.imaging.image_files import heif_kind, opencv_name, read_image
from fer_perception.imaging.image_sequences import FALLBACK_RATE, ImageSequence, open_sequence
from fer_perception.pipeline_types import Frame

#: Names of images; of a directory's other files the content is looked at.
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".bmp", ".dib", ".webp", ".tif", ".tiff", ".pgm",
                  ".ppm", ".pbm", ".pnm", ".jp2", ".avif", ".gif", ".heic", ".heif", ".mjpeg", ".mjpg")  # fmt: skip

#: Names of videos, for telling a file behind a URL from a camera.
VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".ogv",
                  ".wmv", ".flv", ".3gp")  # fmt: skip

#: What the sensor of a camera saw: OpenCV would give its preview, or stripes.
_RAW_SUFFIXES = (".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".pef", ".srw", ".raf")
#: FFmpeg draws text files as videos.
_TEXT_SUFFIXES = (".txt", ".nfo", ".asc", ".ans", ".diz", ".ice", ".vt", ".art")
#: Text that is no text to FFmpeg: playlists and descriptions of streams.
_PLAYLISTS = (b"#EXTM3U", b"v=0", b"ffconcat")

#: A video that ends before this share of its announced frames, and of its announced duration, is called truncated
#: (headers are often a few frames off, and some count twice what there is).
COMPLETE_SHARE = 0.9
#: So many failures in a row are the end of a video that does not announce any, and of one that does at most.
_FAILURES, _MOST_FAILURES = 50, 10_000
#: So many failures in a row are the end of a camera; or one that takes as long as this, in s.
_LIVE_FAILURES, _LONG_FAILURE = 10, 5.0
#: Between two tries to reach a camera again, in s.
_RETRY = 1.0

# FFmpeg writes its own complaints to stderr; ours name the file and the fix. A user's own choice wins.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
# OpenCV takes some thousand packets of sound without a frame between them for the end of the video.
os.environ.setdefault("OPENCV_FFMPEG_READ_ATTEMPTS", "1000000000")


@dataclass(frozen=True)
class Reconnection:
    """Policy for a camera or stream that ends by itself.

    Attributes:
        seconds: for how long it is tried again, in s; 0 = not at all, negative = for ever.
        tell: is given a sentence about what happens, at once.
        wait: sleeps for so many s; True = give up.
    """

    seconds: float = 0.0
    tell: Callable[[str], None] = lambda _: None
    wait: Callable[[float], bool] = threading.Event().wait


@dataclass(frozen=True)
class MediaFrame:
    """One frame and where it comes from.

    Attributes:
        index: number in its source, from 0; what cannot be decoded leaves a gap. A still of a directory: the position
            of its file.
        name: name of the file (within its directory), camera or stream.
        frame: what the pipeline takes.
        source: the path that opens its file, or the address without passwords, or the number of the webcam.
        rate: nominal frames a second of a video or camera; None for stills.
    """

    index: int
    name: str
    frame: Frame
    source: str = ""
    rate: float | None = None


class Media:
    """An open source; iterate over it once, and close it (or use `with`).

    Args:
        kind: "image", "directory", "video" or "live".
        name: short name for people.
        frames: makes the iterator over the frames.
        total: number of frames, or None where nobody knows (cameras; some videos).
        rate: frames a second of a video or camera; None for images.
        capture: what is to be released; None = nothing.

    Attributes:
        problems: what could not be read, one sentence each, complete after iterating.
        notices: what was passed over, or assumed, because of what it is; one sentence each.
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
        self.notices: list[str] = []
        self._frames = frames
        self.capture = capture

    def __iter__(self) -> Iterator[MediaFrame]:
        return self._frames(self)

    def close(self) -> None:
        """Release the camera or file; idempotent."""
        if self.capture is not None:
            self.capture.release()
            self.capture = None

    def __enter__(self) -> Media:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_media(source: str, *, recursive: bool = False, reconnection: Reconnection | None = None) -> Media:
    """Open whatever `source` names.

    Args:
        source: path of an image, video or directory of both; a URL (rtsp://, http://, file://, ...); or the number
            of a webcam ("0"), unless a file of that name exists.
        recursive: the subdirectories of a directory too.
        reconnection: of cameras and streams; None = they end.

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
            return _open_live(int(source), f"camera{source}", reconnection or Reconnection())
        if "://" in source:
            return _open_live(source, public_address(source), reconnection or Reconnection())
        msg = f"{source} does not exist; expected an image, video, directory of images, URL or number of a webcam"
        raise SourceError(msg)
    if path.is_dir():
        return _open_directory(path, recursive=recursive)
    return _open_file(path)


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sort key by which "frame2" comes before "frame10", case ignored."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name.casefold())
    return [(0, int(part), "") if part[0] in "0123456789" else (1, 0, part) for part in parts]


def public_address(url: str) -> str:
    """A URL without what a camera's address may keep secret: user, password, and query fields that are called so."""
    scheme, rest = url.split("://", 1)
    place, mark, query = rest.partition("?")
    host, slash, path = place.partition("/")
    secret = re.compile(r"((?:^|&)[^=&]*(?:pass|pwd|token|key|auth|sig|secret|user|usr|login)[^=&]*=)[^&]*", re.I)
    shown = secret.sub(r"\1***", query)
    return f"{scheme}://{host.rsplit('@', 1)[-1]}{slash}{path}{mark}{shown}"


def _open_file(path: Path) -> Media:
    head = _head(path)
    if not head:
        msg = f"{path} is empty (0 bytes); expected an image or a video"
        raise SourceError(msg)
    reason = _not_media(path, head)
    if reason:
        msg = f"{path} is neither an image nor a video: {reason}"
        raise SourceError(msg)
    animated = head[:4] == b"GIF8"
    if animated and len(head) >= 10:
        # FFmpeg would reserve its canvas on opening it.
        try:
            header = file_header(np.frombuffer(head, np.uint8))
            if header is not None:
                check_header(header)
        except ImageError as err:
            msg = f"{path.name}: {err}"
            raise SourceError(msg) from None
    if not animated and (path.suffix.lower() in IMAGE_SUFFIXES or _is_image(path, head)):
        sequence = open_sequence(path)
        return _image(path) if sequence is None else _sequence(path, sequence)
    capture = cv2.VideoCapture(opencv_name(path))
    if not capture.isOpened() or (animated and capture.get(cv2.CAP_PROP_FRAME_COUNT) <= 1):
        capture.release()
        if animated:
            return _image(path)
        msg = f"{path} is neither an image nor a video this OpenCV can read, or it is damaged"
        raise SourceError(msg)
    cut = animated and not gif_is_whole(path.read_bytes())
    return _recording(capture, path.name, str(path), cut=cut)


def _head(path: Path) -> bytes:
    """The first bytes of a file, for telling its kind; raises SourceError."""
    if path.is_fifo():
        msg = f"{path} is a pipe, which can be read only once; write it to a file"
        raise SourceError(msg)
    try:
        with path.open("rb") as file:
            return file.read(4096)
    except OSError as err:
        msg = f"{path} cannot be read: {err.strerror}"
        raise SourceError(msg) from None


def _is_image(path: Path, head: bytes) -> bool:
    return bool(heif_kind(head)) or cv2.haveImageReader(opencv_name(path))


def _not_media(path: Path, head: bytes) -> str:
    """Reason why a file that OpenCV might open is no image and no video; "" if it may be one."""
    suffix = path.suffix.lower()
    if suffix in _RAW_SUFFIXES:
        return "it is a camera's raw file, of which only a preview could be read; develop it to JPEG or TIFF"
    # Some image formats are text: PBM, PGM, PPM.
    if suffix in {*IMAGE_SUFFIXES, *VIDEO_SUFFIXES} or head.startswith(_PLAYLISTS) or _is_image(path, head):
        return ""
    return "it is text" if suffix in _TEXT_SUFFIXES or _is_text(head) else ""


def _is_text(head: bytes) -> bool:
    """True where the first bytes of a file are UTF-8; their last character may be cut."""
    if b"\0" in head:
        return False
    for cut in range(4):
        try:
            head[: len(head) - cut].decode("utf-8")
        except UnicodeDecodeError:
            continue
        return True
    return False


class _VideoReader:
    """Reads frame after frame of a recording, past those that cannot be decoded.

    Args:
        capture: just opened.
        rate: nominal, in Hz.
        total: announced number of frames, or None.
    """

    def __init__(self, capture: cv2.VideoCapture, rate: float, total: int | None) -> None:
        self._capture = capture
        self._period_ns = round(1e9 / rate)
        self._total = total
        self._last_ns = -self._period_ns
        #: Frames given and frames skipped.
        self.position = 0
        self.skipped = 0

    @property
    def end_ns(self) -> int:
        """End of the last frame given, ns."""
        return self._last_ns + self._period_ns

    def read(self) -> tuple[int, NDArray[np.uint8], int] | None:
        """Index, image and time (ns) of the next frame; None at the end."""
        capture = self._capture
        failures = certain = 0
        limit = max(_FAILURES, min((self._total or 0) - self.position, _MOST_FAILURES))
        while True:
            begun = time.monotonic()
            ok, image = capture.read()
            if ok:
                break
            failures += 1
            # After a packet that was read but not decoded FFmpeg's flags are those of the packet (all frames of MJPEG
            # and the like are key frames); at the end of the file there are none.
            certain += capture.get(cv2.CAP_PROP_LRF_HAS_KEY_FRAME) == 1.0
            if failures >= limit or time.monotonic() - begun > _LONG_FAILURE:
                self.skipped += certain
                self.position += certain
                return None
        self.skipped += failures
        self.position += failures
        # The container's time stamp where it moves forward, else the nominal rate; in whole ns, or two would be one.
        milliseconds = capture.get(cv2.CAP_PROP_POS_MSEC)
        stamp_ns = round(milliseconds * 1e6) if math.isfinite(milliseconds) else -1
        if stamp_ns <= self._last_ns or stamp_ns < 0:
            stamp_ns = self._last_ns + (1 + failures) * self._period_ns
        self._last_ns = stamp_ns
        self.position += 1
        return self.position - 1, _as_bgr(image), stamp_ns


def _recording(capture: cv2.VideoCapture, name: str, source: str, *, cut: bool = False) -> Media:
    """Frames with times of their own: a video file, or a file behind a URL. A single frame is a still.

    Args:
        capture: just opened.
        name: for people.
        source: path or address.
        cut: its end is known to be missing, though it announces no number of frames.

    Raises:
        SourceError: its frames are too large to decode.
    """
    try:
        _check_frame_size(name, int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)))
    except SourceError:
        capture.release()
        raise
    rate, total = _rate(capture), _announced(capture)

    def frames(media: Media) -> Iterator[MediaFrame]:
        reader = _VideoReader(capture, rate, total)
        current = reader.read()
        if current is None:
            msg = f"{name} opens as a video but no frame of it can be decoded"
            raise SourceError(msg)
        given = 0
        while current is not None:
            index, image, stamp_ns = current
            end_ns = reader.end_ns
            current = reader.read()
            still = current is None and reader.position == 1
            yield MediaFrame(index, name, Frame(image, 0 if still else stamp_ns, name, still=still), source, rate)
            given += 1
        if reader.skipped:
            lost = f"{reader.skipped} of {given + reader.skipped} frames could not be decoded"
            media.problems.append(f"{name} is damaged: {lost} and {_were(reader.skipped)} skipped")
        whole = total is None or reader.position >= COMPLETE_SHARE * total
        if not whole and total is not None and end_ns < COMPLETE_SHARE * 1e9 * total / rate:
            told = f"{reader.position} of {total} announced frames"
            media.problems.append(f"{name} ends after {told}: it is truncated or damaged")
        elif cut:
            media.problems.append(f"{name} ends after {given} frames without the end mark of a GIF: it is truncated")

    return Media(kind="video", name=name, frames=frames, total=total, rate=rate, capture=capture)


def _announced(capture: cv2.VideoCapture) -> int | None:
    """The number of frames that a recording announces; None for cameras, and where nobody knows."""
    announced = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    return int(announced) if math.isfinite(announced) and 0 < announced < 1e9 else None


def _check_frame_size(name: str, width: int, height: int) -> None:
    """Refuse frames that a few bytes announce and that would cost gigabytes each; raises SourceError."""
    if width * height > MAX_PIXELS:
        msg = f"{name} announces frames of {width}x{height} pixels; at most {MAX_PIXELS} are decoded (8192x8192)"
        raise SourceError(msg)


def _image(path: Path) -> Media:
    image = read_image(path)

    def frames(_media: Media) -> Iterator[MediaFrame]:
        yield MediaFrame(0, path.name, Frame(image, 0, path.name, still=True), str(path))

    return Media(kind="image", name=path.name, frames=frames, total=1, rate=None)


def _sequence(path: Path, sequence: ImageSequence) -> Media:
    """Animations are videos; pages are images, one after the other."""
    rate = sequence.rate

    def frames(media: Media) -> Iterator[MediaFrame]:
        stamp_ns, given, reason = 0, 0, ""
        for index in range(sequence.count):
            try:
                image, duration_ns = sequence.read(index)
            except (ImageError, SourceError) as err:
                reason = reason or str(err).removeprefix(f"{path}: ")
                stamp_ns += 0 if rate is None else round(1e9 / rate)
                continue
            given += 1
            name = path.name if rate is not None else f"{path.stem}.page{index + 1}{path.suffix}"
            frame = Frame(image, stamp_ns, name, still=rate is None)
            yield MediaFrame(index, name, frame, str(path), rate)
            stamp_ns += duration_ns
        lost = sequence.count - given
        if not given:
            msg = f"{path}: no frame can be decoded: {reason}"
            raise SourceError(msg)
        if lost:
            told = f"{lost} of {sequence.count} frames could not be decoded and {_were(lost)} skipped"
            media.problems.append(f"{path.name} is damaged: {told} ({reason})")

    kind = "directory" if rate is None else "video"
    media = Media(kind=kind, name=path.name, frames=frames, total=sequence.count, rate=rate)
    if sequence.rate_is_assumed:
        media.notices.append(f"{path.name} is {sequence.kind}, without times; {rate:g} frames/s are assumed")
    return media


def _were(number: int) -> str:
    return "was" if number == 1 else "were"


def _open_directory(path: Path, *, recursive: bool) -> Media:
    passed_over: Counter[str] = Counter()
    try:
        files = list(_files(path, passed_over, recursive=recursive))
    except OSError as err:
        msg = f"{err.filename or path} cannot be listed: {err.strerror}"
        raise SourceError(msg) from None
    told = ", ".join(f"{count} {reason}" for reason, count in passed_over.items())
    if not files:
        msg = f"{path} holds no images and no videos" + (f"; passed over: {told}" if told else "")
        raise SourceError(msg)
    names = {file: str(file.relative_to(path)) for file in files}
    files.sort(key=lambda file: (natural_key(names[file]), names[file]))

    def frames(media: Media) -> Iterator[MediaFrame]:
        for number, file in enumerate(files):
            name = names[file]
            try:
                with _open_file(file) as opened:
                    for item in opened:
                        # A page of an image has a name of its own.
                        own = name if item.name == file.name else str(Path(name).with_name(item.name))
                        index = number if opened.kind == "image" else item.index
                        yield replace(item, index=index, name=own, frame=replace(item.frame, camera=own))
            except SourceError as err:
                media.problems.append(str(err))
                continue
            media.problems.extend(opened.problems)
            media.notices.extend(opened.notices)

    videos = any(file.suffix.lower() not in IMAGE_SUFFIXES for file in files)
    total = None if videos else len(files)
    media = Media(kind="directory", name=path.resolve().name, frames=frames, total=total, rate=None)
    if told:
        media.notices.append(f"{path}: passed over {told}")
    return media


def _files(path: Path, passed_over: Counter[str], *, recursive: bool) -> Iterator[Path]:
    """The images and videos of a directory; what else there is, is counted by reason."""
    for item in path.iterdir():
        if item.name.startswith("."):
            # Not meant: macOS puts a "._photo.jpg", which is no image, beside every photo.jpg.
            passed_over["hidden"] += 1
        elif item.is_dir():
            if not recursive:
                passed_over[f"of the subdirectories (--recursive reads them): {item.name}"] += 1
            elif item.is_symlink():
                passed_over["links to directories"] += 1
            else:
                yield from _files(item, passed_over, recursive=True)
        elif not item.is_file():
            passed_over["pipes, devices or broken links"] += 1
        elif _may_be_media(item):
            yield item
        else:
            passed_over[f"neither images nor videos ({item.suffix.lower() or 'without suffix'})"] += 1


def _may_be_media(path: Path) -> bool:
    """True where a file of a directory is opened, and told if it then cannot be read."""
    suffix = path.suffix.lower()
    if suffix in {*IMAGE_SUFFIXES, *VIDEO_SUFFIXES, *_RAW_SUFFIXES}:
        return True
    try:
        head = _head(path)
        if not head or _not_media(path, head):
            return False
        # ISO media, Matroska, AVI, MPEG program streams.
        video = head[4:8] == b"ftyp" or head.startswith((b"\x1aE\xdf\xa3", b"\0\0\1\xba"))
        return video or (head[:4] == b"RIFF" and head[8:12] == b"AVI ") or _is_image(path, head)
    except SourceError:
        # It cannot be opened: that is told when its turn comes.
        return True


def _open_live(source: str | int, name: str, reconnection: Reconnection) -> Media:
    capture = cv2.VideoCapture(source)
    if not capture.isOpened():
        capture.release()
        if isinstance(source, int):
            msg = f"webcam {source} cannot be opened; `ls /dev/video*` lists them, and you must be in the group video"
        else:
            msg = f"the stream {name} cannot be opened; check the address, the network and that the camera is on"
        raise SourceError(msg)
    if isinstance(source, str) and (_announced(capture) is not None or _names_a_file(source)):
        return _recording(capture, name, name)
    rate = _rate(capture)

    def frames(media: Media) -> Iterator[MediaFrame]:
        index, skipped = 0, 0
        #: The first frame, until it is known whether it is the only one.
        held: MediaFrame | None = None
        try:
            while True:
                current = media.capture
                taken = None if current is None else _live_frame(current)
                if taken is None:
                    if held is not None:
                        yield replace(held, frame=replace(held.frame, stamp_ns=0, still=True), rate=None)
                        return
                    if not _reopen(media, source, reconnection):
                        break
                    continue
                image, failures = taken
                skipped += failures
                index += failures
                item = MediaFrame(index, name, Frame(image, time.time_ns(), name), str(source), rate)
                index += 1
                if index == 1 and _may_be_a_snapshot(source):
                    held = item
                    continue
                if held is not None:
                    yield held
                    held = None
                yield item
        finally:
            if skipped:
                told = f"{skipped} frame{'' if skipped == 1 else 's'} could not be decoded and {_were(skipped)} skipped"
                media.problems.append(f"{name}: {told}")
        if index == 0:
            msg = f"{name} opens but delivers no frames; another program may be using it"
            raise SourceError(msg)
        told = "" if reconnection.seconds else "; --reconnect, or the parameter reconnect, tries again"
        media.problems.append(f"{name} ended after {index} frames: the camera or stream delivers no more{told}")

    return Media(kind="live", name=name, frames=frames, total=None, rate=rate, capture=capture)


def _live_frame(capture: cv2.VideoCapture) -> tuple[NDArray[np.uint8], int] | None:
    """The next frame of a camera and how many could not be decoded before it; None where it has ended."""
    for failures in range(_LIVE_FAILURES):
        begun = time.monotonic()
        ok, image = capture.read()
        if ok:
            return _as_bgr(image), failures
        if time.monotonic() - begun > _LONG_FAILURE:
            break
    return None


def _reopen(media: Media, source: str | int, reconnection: Reconnection) -> bool:
    """Try to reach a camera again for as long as wished; whether it is back."""
    if not reconnection.seconds:
        return False
    media.close()
    wished = f"for {reconnection.seconds:g} s" if reconnection.seconds > 0 else "until it is back"
    reconnection.tell(f"{media.name} delivers no frames any more; it is tried again {wished}")
    end = time.monotonic() + reconnection.seconds if reconnection.seconds > 0 else math.inf
    while time.monotonic() < end:
        if reconnection.wait(min(_RETRY, max(0.0, end - time.monotonic()))):
            return False
        capture = cv2.VideoCapture(source)
        if capture.isOpened():
            media.capture = capture
            reconnection.tell(f"{media.name} is back")
            return True
        capture.release()
    return False


def _rate(capture: cv2.VideoCapture) -> float:
    rate = float(capture.get(cv2.CAP_PROP_FPS))
    return rate if math.isfinite(rate) and 0.1 <= rate <= 1000.0 else FALLBACK_RATE


def _names_a_file(url: str) -> bool:
    """True for the URL of an image or video, not of a camera that never ends."""
    parts = urlsplit(url)
    suffix = Path(parts.path).suffix.lower()
    stream = {".mjpg", ".mjpeg"}
    return parts.scheme in {"http", "https", "ftp"} and suffix in {*IMAGE_SUFFIXES, *VIDEO_SUFFIXES} - stream


def _may_be_a_snapshot(source: str | int) -> bool:
    """True where a source that gives one frame and ends is an image, not a camera that died."""
    return isinstance(source, str) and urlsplit(source).scheme in {"http", "https", "ftp"}


def _as_bgr(image: cv2.typing.MatLike) -> NDArray[np.uint8]:
    if image.ndim == 2:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    return np.asarray(image, dtype=np.uint8)
