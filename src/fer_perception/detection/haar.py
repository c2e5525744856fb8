"""Detector over the Haar cascade that OpenCV ships, for machines without a YuNet model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_perception.detection.scaling import keep_largest, reduced_copy, to_gray
from fer_perception.errors import BackendError, ModelError
from fer_perception.pipeline_types import Detection

_FILE = "haarcascade_frontalface_default.xml"
# Distributions keep the cascades apart from the Python package.
_DISTRIBUTION_DIRECTORIES = (Path("/usr/share/opencv4/haarcascades"), Path("/usr/share/opencv/haarcascades"))
# Smallest face the cascade was trained for, in pixels.
_WINDOW = 24
# A face found by n overlapping windows gets the score n / (n + this): 5 of them, OpenCV's usual demand, give 0.62.
_HALF_SCORE_NEIGHBORS = 3
# YuNet's box in units of the Haar square, relative to its upper left corner: x, y, width, height. Measured on the
# training images by benchmarks/landmark_template.py, so that boxes mean the same whatever found them.
_BOX_IN_SQUARE = (0.08, 0.01, 0.84, 1.04)


class HaarDetector:
    """A `FaceDetector` without landmarks; its settings may be changed at any time.

    Args:
        threshold: smallest score of a face, [0, 1].
        detection_size: longer side in pixels of the copy looked at; 0 = never reduce.
        min_face_size: pixels of the image.
        max_faces: the largest ones are kept.
        reason: why this detector was chosen, for diagnostics.
        cascade: instead of the one that travels with OpenCV.

    Raises:
        BackendError: this OpenCV cannot run cascades.
        ModelError: there is no cascade, or it does not load.
    """

    name = "haar"

    def __init__(
        self,
        *,
        threshold: float,
        detection_size: int,
        min_face_size: int,
        max_faces: int,
        reason: str = "",
        cascade: Path | None = None,
    ) -> None:
        self.threshold = threshold
        self.detection_size = detection_size
        self.min_face_size = min_face_size
        self.max_faces = max_faces
        self.reason = reason
        self.fallback = False
        self.model_file = ""
        self._cascade: Any = _load(cascade or find_cascade())

    def detect(self, image: NDArray[np.uint8], *, thorough: bool = False) -> list[Detection]:  # noqa: ARG002
        """Find the faces; see `FaceDetector.detect`.

        Landmarks are None. `thorough` changes nothing: in larger copies the cascade finds more that is no face.
        """
        squares, scores = self.squares(image)
        x, y, w, h = _BOX_IN_SQUARE
        corner, side = squares[:, :2], squares[:, 2:]
        boxes = np.concatenate((corner + side * (x, y), side * (w, h)), axis=1).astype(np.float32)
        chosen = (
            Detection(box, None, float(score))
            for box, score in zip(boxes, scores, strict=True)
            if score >= self.threshold
        )
        return keep_largest(chosen, self.min_face_size, self.max_faces)

    def squares(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Squares of the cascade itself, in pixels.

        Args:
            image: (H, W, 3) uint8 BGR or (H, W) uint8 gray.

        Returns:
            (N, 4) float64 x, y, w, h of the squares in pixels of the image, and (N,) float64 scores in [0, 1).
        """
        copy = to_gray(reduced_copy(image, self.detection_size))
        if min(copy.shape) < _WINDOW:
            return np.empty((0, 4)), np.empty(0)
        scale = np.array([image.shape[1] / copy.shape[1], image.shape[0] / copy.shape[0]])
        smallest = max(_WINDOW, int(self.min_face_size / float(scale.max())))
        found, counts = self._cascade.detectMultiScale2(copy, 1.1, 3, minSize=(smallest, smallest))
        squares = np.asarray(found, np.float64).reshape(-1, 4) * np.tile(scale, 2)
        neighbors = np.asarray(counts, np.float64).reshape(-1)
        return squares, neighbors / (neighbors + _HALF_SCORE_NEIGHBORS)

    def close(self) -> None:
        """Release the cascade; idempotent."""
        self._cascade = None


def find_cascade() -> Path:
    """The cascade file of OpenCV's Python package, else of the distribution.

    Raises:
        ModelError: there is none.
    """
    packaged = getattr(getattr(cv2, "data", None), "haarcascades", "")
    directories = ([Path(packaged)] if packaged else []) + list(_DISTRIBUTION_DIRECTORIES)
    for directory in directories:
        if (directory / _FILE).is_file():
            return directory / _FILE
    searched = ", ".join(str(directory) for directory in directories)
    msg = f"{_FILE} is in none of {searched}; run `fer models fetch yunet` or install opencv-python 4.x"
    raise ModelError(msg)


def _load(path: Path) -> Any:
    if not hasattr(cv2, "CascadeClassifier"):
        msg = f"OpenCV {cv2.__version__} has no Haar cascades; run `fer models fetch yunet` and set detector to auto"
        raise BackendError(msg)
    cascade = cv2.CascadeClassifier()
    try:
        loaded = cascade.load(str(path))
    except cv2.error:
        loaded = False
    if not loaded:
        msg = f"{path} is not a Haar cascade that OpenCV {cv2.__version__} loads; install opencv-python 4.x"
        raise ModelError(msg)
    return cascade
