"""Writer of annotated images and videos into a directory."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_perception.errors import SourceError
from fer_perception.imaging.image_files import opencv_name

_IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")


class AnnotatedOutput:
    """Collects annotated frames in a directory: stills as images, everything else as one video a camera.

    `NAME.jpg` becomes `NAME_annotated.jpg`; formats OpenCV does not write become PNG; videos become
    `NAME_annotated.mp4`. Older files of these names are replaced.

    Attributes:
        files: what was written, in order.
    """

    def __init__(self, directory: Path) -> None:
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as err:
            msg = f"{directory} cannot be made into a directory for the annotated output: {err.strerror}"
            raise SourceError(msg) from None
        self.directory = directory
        self.files: list[Path] = []
        self._videos: dict[str, VideoFile] = {}

    def add_image(self, name: str, image: NDArray[np.uint8]) -> Path:
        """Write one still.

        Args:
            name: file name of the source.
            image: (H, W, 3) uint8 BGR.

        Returns:
            The file written.

        Raises:
            SourceError: it cannot be written.
        """
        source = Path(name)
        if source.suffix.lower() in _IMAGES:
            path = self.directory / f"{source.stem}_annotated{source.suffix.lower()}"
        else:
            path = self.directory / f"{source.name}_annotated.png"
        if path in self.files:
            # a.jpg and a.JPG lie side by side.
            path = self.directory / f"{source.name}_annotated{source.suffix.lower()}"
        ok, data = cv2.imencode(path.suffix, image)
        if not ok:
            msg = f"{path} cannot be encoded as {path.suffix}"
            raise SourceError(msg)
        try:
            path.write_bytes(data.tobytes())
        except OSError as err:
            msg = f"{path} cannot be written: {err.strerror}"
            raise SourceError(msg) from None
        self.files.append(path)
        return path

    def add_frame(self, name: str, image: NDArray[np.uint8], rate: float) -> None:
        """Append one frame to the video of source `name`.

        Args:
            name: file name of the source, or name of the camera.
            image: (H, W, 3) uint8 BGR.
            rate: frames a second; the first call's counts.

        Raises:
            SourceError: the video cannot be written.
        """
        if name not in self._videos:
            path = self.directory / f"{Path(name).stem}_annotated.mp4"
            self._videos[name] = VideoFile(path, (image.shape[1], image.shape[0]), rate)
            self.files.append(path)
        self._videos[name].add(image)

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


class VideoFile:
    """One MPEG-4 video under construction.

    Args:
        path: of the .mp4.
        size: width, height in pixels; frames of another size are scaled to it.
        rate: frames a second.

    Raises:
        SourceError: this OpenCV cannot write it there.
    """

    def __init__(self, path: Path, size: tuple[int, int], rate: float) -> None:
        # The codec wants even sides.
        self.size = (max(2, size[0] // 2 * 2), max(2, size[1] // 2 * 2))
        fourcc = cv2.VideoWriter.fourcc(*"mp4v")
        self._path = path
        self._writer = cv2.VideoWriter(opencv_name(path), fourcc, rate, self.size)
        if not self._writer.isOpened():
            msg = f"{path} cannot be written as MPEG-4: is the directory writable, and was OpenCV built with FFmpeg?"
            raise SourceError(msg)

    def add(self, image: NDArray[np.uint8]) -> None:
        """Append (H, W, 3) uint8 BGR."""
        if (image.shape[1], image.shape[0]) != self.size:
            image = np.asarray(cv2.resize(image, self.size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        self._writer.write(image)

    def close(self) -> None:
        """Write the index; idempotent.

        Raises:
            SourceError: the file is not whole: OpenCV says nothing of a full disk.
        """
        if not self._writer.isOpened():
            return
        self._writer.release()
        written = cv2.VideoCapture(str(self._path))
        whole = written.isOpened()
        written.release()
        if not whole:
            msg = f"{self._path} could not be written whole; is the disk full?"
            raise SourceError(msg)
