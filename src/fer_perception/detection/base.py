"""The `FaceDetector` protocol."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

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
    """

    threshold: float
    detection_size: int
    min_face_size: int
    max_faces: int
    reason: str
    fallback: bool
