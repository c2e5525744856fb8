"""Writer of annotated images and videos into a directory."""

from __future__ import annotations

import logging
import os
import re
import shutil
from fractions import Fraction
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_perception.errors import SourceError
from fer_perception.imaging.image_files import opencv_name
from fer_perception.system.files import replace_atomically
from fer_perception.system.part_files import hold, part_of, remove_leftovers

_IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
#: Ticks a second of the times in a video, as usual in MP4.
_TICKS = 90_000


class AnnotatedOutput:
    """Collects annotated frames in a directory: stills as images, everything else as one video a camera.

    `NAME.jpg` becomes `NAME_annotated.jpg`; formats OpenCV does not write become PNG; videos become
    `NAME_annotated.mp4`; subdirectories are kept. Older files of these names are replaced; two files of one name become
    `NAME_annotated.jpg` and `NAME.jpg_annotated.jpg`, then `NAME.jpg_annotated-2.jpg`.

    Args:
        directory: is created.

    Args:
        directory: is made where it is missing.

    Raises:
        SourceError: the directory cannot be made.

    Attributes:
        files: what was written, in order.

    Raises:
        SourceError: the directory cannot be created.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.files: list[Path] = []
        self._videos: dict[str, VideoFile] = {}
        self._make(directory)

    def add_image(self, name: str, image: NDArray[np.uint8]) -> Path:
        """Write one still.

        Args:
            name: file name of the source, with subdirectories or without, or an address.
            image: (H, W, 3) uint8 BGR.

        Returns:
            The file written.

        Raises:
            SourceError: it cannot be written.
        """
        suffix = PurePosixPath(name).suffix.lower()
        path = self._path(name, suffix if suffix in _IMAGES else ".png", short=suffix in _IMAGES)
        ok, data = cv2.imencode(path.suffix, image)
        if not ok:
            msg = f"{path} cannot be encoded as {path.suffix}"
            raise SourceError(msg)
        try:
            # The name itself is replaced: a link that somebody laid there must not lead the image elsewhere.
            replace_atomically(path, data.tobytes())
        except OSError as err:
            msg = f"{path} cannot be written: {err.strerror}"
            raise SourceError(msg) from None
        self.files.append(path)
        return path

    def add_frame(
        self, name: str, image: NDArray[np.uint8], rate: float, *, source: str = "", stamp_ns: int | None = None
    ) -> None:
        """Append one frame to the video of a source.

        Args:
            name: file name of the source, with subdirectories or without, or name or address of the camera.
            image: (H, W, 3) uint8 BGR.
            rate: frames a second; the first call's counts.
            source: tells sources of one name apart.
            stamp_ns: time of the frame; None = the rate decides.

        Raises:
            SourceError: the video cannot be written.
        """
        key = source or name
        if key not in self._videos:
            path = self._path(name, ".mp4", short=True)
            self._videos[key] = VideoFile(path, (image.shape[1], image.shape[0]), rate)
            self.files.append(path)
        self._videos[key].add(image, stamp_ns)

    def close(self) -> None:
        """Finish the videos; idempotent."""
        for video in self._videos.values():
            video.close()

    def __enter__(self) -> AnnotatedOutput:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _path(self, name: str, suffix: str, *, short: bool) -> Path:
        """A file that nothing was written to yet; its directory is there."""
        if "://" in name:
            # A dot ends what is no suffix in an address.
            name = re.sub(r"[^A-Za-z0-9-]+", "_", name.split("://", 1)[1].partition("?")[0]).strip("_") or "stream"
        whole = Path(name)
        folder = self.directory / whole.parent
        if folder != self.directory:
            self._make(folder)
        path = folder / f"{whole.stem if short else whole.name}_annotated{suffix}"
        number = 1
        while path in self.files:
            # a.jpg and a.JPG lie side by side.
            path = folder / f"{whole.name}_annotated{'' if number == 1 else f'-{number}'}{suffix}"
            number += 1
        return path

    @staticmethod
    def _make(directory: Path) -> None:
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as err:
            msg = f"{directory} cannot be made into a directory for the annotated output: {err.strerror}"
            raise SourceError(msg) from None


class VideoFile:
    """One MP4 video under construction: H.264 where PyAV is installed, else MPEG-4 Part 2, which no browser plays.

    It takes its place when it is closed; until then, and if it cannot be written whole, an earlier one stays.

    Args:
        path: of the .mp4.
        size: width, height in pixels; frames of another size are scaled to it.
        rate: frames a second.

    Raises:
        SourceError: it cannot be written there.
    """

    def __init__(self, path: Path, size: tuple[int, int], rate: float) -> None:
        # The codecs want even sides.
        self.size = (max(2, size[0] // 2 * 2), max(2, size[1] // 2 * 2))
        self._path = path
        # Looks at the name before anything is opened, too.
        opencv_name(path)
        h264 = _h264()
        # FFmpeg opens files by their names and goes by their endings: under construction it lies in a folder of ours.
        self._part = part_of(path)
        try:
            remove_leftovers(path)
            self._part.mkdir(mode=0o700)
            self._held = os.open(self._part, os.O_RDONLY)
        except OSError as err:
            msg = f"{path} cannot be written: {err.strerror}"
            raise SourceError(msg) from None
        hold(self._held)
        self._written = self._part / "video.mp4"
        self._closed = False
        name = opencv_name(self._written)
        try:
            self._writer: _Writer = (
                _OpenCvWriter(path, name, self.size, rate)
                if h264 is None
                else _H264Writer(h264, path, name, self.size, rate)
            )
        except BaseException:
            self._remove_part()
            raise

    def add(self, image: NDArray[np.uint8], stamp_ns: int | None = None) -> None:
        """Append a frame.

        Args:
            image: (H, W, 3) uint8 BGR.
            stamp_ns: its time, from any origin; None = at the rate after the frame before. MPEG-4 Part 2 knows the rate
                only.

        Raises:
            SourceError: the file is not whole.
        """
        if (image.shape[1], image.shape[0]) != self.size:
            image = np.asarray(cv2.resize(image, self.size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        self._writer.write(image, stamp_ns)

    def close(self) -> None:
        """Write the index and put the video in its place; idempotent.

        Raises:
            SourceError: the file is not whole (OpenCV says nothing of a full disk); an earlier one stays.
        """
        if self._closed:
            return
        self._closed = True
        try:
            self._writer.close()
            with self._written.open("rb+") as file:
                os.fsync(file.fileno())
            self._written.replace(self._path)
        except OSError as err:
            msg = f"{self._path} cannot be written: {err.strerror}"
            raise SourceError(msg) from None
        finally:
            self._remove_part()

    def _remove_part(self) -> None:
        os.close(self._held)
        shutil.rmtree(self._part, ignore_errors=True)


class _Writer(Protocol):
    def write(self, image: NDArray[np.uint8], stamp_ns: int | None) -> None: ...
    def close(self) -> None: ...


def _not_whole(path: Path) -> SourceError:
    return SourceError(f"{path} could not be written whole; is the disk full?")


_told: list[str] = []


def _h264() -> Any:
    """The module av with an H.264 encoder inside, or None, told once."""
    try:
        import av

        if "libx264" in av.codecs_available:
            return av
        reason = "this PyAV has no libx264"
    except ImportError:
        reason = "PyAV is missing: pip install av"
    if not _told:
        _told.append(reason)
        logging.getLogger(__name__).warning(
            "videos are written as MPEG-4 Part 2, which browsers do not play, instead of H.264 (%s)", reason
        )
    return None


class _H264Writer:
    """H.264 through PyAV, with the times of the frames."""

    def __init__(self, av: Any, path: Path, name: str, size: tuple[int, int], rate: float) -> None:
        self._av = av
        self._path = path
        try:
            # The index at the beginning: a browser plays while it still loads.
            self._container = av.open(name, "w", options={"movflags": "faststart"})
            self._stream = self._container.add_stream("libx264", rate=Fraction(rate).limit_denominator(1001))
        except (OSError, ValueError) as err:
            msg = f"{path} cannot be written as H.264: {getattr(err, 'strerror', None) or err}"
            raise SourceError(msg) from None
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = "yuv420p"
        self._stream.options = {"preset": "veryfast", "crf": "20"}
        self._stream.codec_context.time_base = Fraction(1, _TICKS)
        self._period = max(1, round(_TICKS / rate))
        self._first_ns: int | None = None
        self._last = -self._period
        self._closed = self._failed = False

    def write(self, image: NDArray[np.uint8], stamp_ns: int | None) -> None:
        tick = self._last + self._period
        if stamp_ns is not None:
            self._first_ns = stamp_ns if self._first_ns is None else self._first_ns
            tick = max(round((stamp_ns - self._first_ns) * _TICKS / 1e9), self._last + 1)
        self._last = tick
        frame = self._av.VideoFrame.from_ndarray(image, format="bgr24")
        frame.pts, frame.time_base = tick, Fraction(1, _TICKS)
        frame.duration = self._period
        try:
            if not self._failed:
                self._container.mux(self._stream.encode(frame))
        except OSError:
            # Told by `close`, as of the other writer.
            self._failed = True

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            if not self._failed:
                self._container.mux(self._stream.encode(None))
            self._container.close()
        except OSError:
            self._failed = True
        if self._failed:
            raise _not_whole(self._path)


class _OpenCvWriter:
    """MPEG-4 Part 2 through OpenCV, at a constant rate."""

    def __init__(self, path: Path, name: str, size: tuple[int, int], rate: float) -> None:
        self._path = path
        self._name = name
        self._writer = cv2.VideoWriter(name, cv2.VideoWriter.fourcc(*"mp4v"), rate, size)
        if not self._writer.isOpened():
            msg = f"{path} cannot be written as MPEG-4: is the directory writable, and was OpenCV built with FFmpeg?"
            raise SourceError(msg)

    def write(self, image: NDArray[np.uint8], _stamp_ns: int | None) -> None:
        self._writer.write(image)

    def close(self) -> None:
        if not self._writer.isOpened():
            return
        self._writer.release()
        written = cv2.VideoCapture(self._name)
        whole = written.isOpened()
        written.release()
        if not whole:
            raise _not_whole(self._path)
