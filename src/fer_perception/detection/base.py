"""The `FaceDetector` protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from fer_perception.detection.windows import Window
from fer_perception.pipeline_types import Detection


class FaceDetector(Protocol):
    """Finds faces in one image. Not thread-safe: one worker owns it."""

    @property
    def name(self) -> str:
        """Short name for logs and diagnostics: the one `create_detector` takes."""

    def detect(self, image: NDArray[np.uint8], *, thorough: bool = False) -> list[Detection]:
        """Find the faces.

        Args:
            image: (H, W, 3) uint8 BGR or (H, W) uint8 gray, any size from 1x1 up.
            thorough: take the time to find small faces in a large image too (for images that do not move).

        Returns:
            The faces after non-maximum suppression, best score first; empty where there is none.
        """

    def close(self) -> None:
        """Release what the detector holds; idempotent."""


class Detector(FaceDetector, Protocol):
    """Product of `create_detector`: a `FaceDetector` whose settings may be changed between two images.

    Attributes:
        threshold: smallest score of a face, [0, 1].
        detection_size: longer side in pixels of the copy looked at; 0 = never reduce.
        min_face_size: pixels of the image; smaller faces are ignored.
        max_faces: the largest ones are kept.
        reason: why this detector was chosen, for diagnostics; set by `create_detector`.
        fallback: a better detector does not work, and `reason` says why and what to run; set by `create_detector`.
        model_file: which file serves and where it came from, for diagnostics; set by `create_detector`.
    """

    threshold: float
    detection_size: int
    min_face_size: int
    max_faces: int
    reason: str
    fallback: bool
    model_file: str


@runtime_checkable
class WindowDetector(Detector, Protocol):
    """A `Detector` that also looks around known faces, for a fraction of what a search of the image costs."""

    #: In how many parts, for as many frames, a search may be cut.
    search_parts: int

    def look(self, views: Sequence[tuple[NDArray[np.uint8], Window]]) -> list[list[Detection]]:
        """Look into windows of any images, all in one batch.

        Args:
            views: images as `detect` takes them, each with a window of it.

        Returns:
            For each the faces in it, in pixels of its image, best score first; those smaller than `min_face_size` too.
        """

    def search_part(self, image: NDArray[np.uint8], part: int) -> list[Detection]:
        """Search one part of an image; all parts together find what `detect` finds.

        Args:
            image: as `detect` takes it.
            part: from 0 to `search_parts` - 1.

        Returns:
            The faces in it, best score first.
        """

    def windows_for_a_search(self, width: int, height: int) -> float:
        """Number of windows that cost as much as searching an image of this size, pixels."""
