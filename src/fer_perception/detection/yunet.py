"""The YuNet detector: choice of the input size, over any backend of the network."""

from __future__ import annotations

from typing import Protocol, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_perception.detection.scaling import keep_largest, reduced_copy, suppress, to_bgr
from fer_perception.pipeline_types import Detection

# YuNet finds faces of about 10 to 300 pixels. Measured on 400 training images that a face fills: 78 % are found at
# 48x48 pixels, 98 % at 128, 99 % at 240, 92 % at 480 and 67 % at 640. So smaller images are enlarged to this longer
# side,
CLOSE_UP_SIZE = 240
# and where a larger one seems empty it is looked at once more at that size, for faces that fill this part of its
# longer side.
_CLOSE_UP_PART = 0.3
# Of 24 faces of 50 pixels height in an image of 1920x1080, 16 are found in a copy of 640 pixels, and all in one of
# 1280; of 30 pixels height, none, and all in the whole image. A thorough look adds one at this longer side: 80 ms
# on one thread.
THOROUGH_SIZE = 1920


class YunetNetwork(Protocol):
    """Something that runs YuNet on an image as it is."""

    name: str

    def faces(self, image: NDArray[np.uint8], threshold: float) -> NDArray[np.float32]:
        """Faces after suppression.

        Args:
            image: (H, W, 3) uint8 BGR.
            threshold: smallest score.

        Returns:
            (N, 15) float32: x, y, w, h, five landmarks x, y, score, in pixels of `image`, best score first.
        """

    def close(self) -> None:
        """Release the network; idempotent."""


class YunetDetector:
    """A `FaceDetector` over any `YunetNetwork`; its settings may be changed at any time.

    Args:
        network: what runs YuNet; closed with this detector.
        threshold: smallest score of a face, [0, 1].
        detection_size: longer side in pixels of the copy looked at; 0 = never reduce.
        min_face_size: pixels of the image.
        max_faces: the largest ones are kept.
        reason: why this detector was chosen, for diagnostics.
    """

    def __init__(
        self,
        network: YunetNetwork,
        *,
        threshold: float,
        detection_size: int,
        min_face_size: int,
        max_faces: int,
        reason: str = "",
    ) -> None:
        self._network = network
        self.threshold = threshold
        self.detection_size = detection_size
        self.min_face_size = min_face_size
        self.max_faces = max_faces
        self.reason = reason
        self.fallback = False

    @property
    def name(self) -> str:
        """Either "yunet_ort" or "yunet_cv2"."""
        return self._network.name

    def detect(self, image: NDArray[np.uint8], *, thorough: bool = False) -> list[Detection]:
        """Find the faces; see `FaceDetector.detect`."""
        longer = max(image.shape[:2])
        if longer < CLOSE_UP_SIZE:
            copy = _enlarged_copy(image, CLOSE_UP_SIZE)
        else:
            copy = reduced_copy(image, self.detection_size)
        found = self._faces(image, copy)
        copy_size = max(copy.shape[:2])
        if thorough and copy_size < min(longer, THOROUGH_SIZE):
            found = suppress([*found, *self._faces(image, reduced_copy(image, THOROUGH_SIZE))])
        if not found and copy_size > CLOSE_UP_SIZE:
            close_up = self._faces(image, reduced_copy(copy, CLOSE_UP_SIZE))
            found = [face for face in close_up if min(face.box[2:]) >= _CLOSE_UP_PART * longer]
        return keep_largest(found, self.min_face_size, self.max_faces)

    def close(self) -> None:
        """Release the network; idempotent."""
        self._network.close()

    def _faces(self, image: NDArray[np.uint8], copy: NDArray[np.uint8]) -> list[Detection]:
        """Run the network on a copy of the image; results in pixels of the image."""
        rows = self._network.faces(to_bgr(copy), self.threshold)
        if not len(rows):
            return []
        scale = np.array([image.shape[1] / copy.shape[1], image.shape[0] / copy.shape[0]], np.float32)
        boxes = rows[:, :4] * np.tile(scale, 2)
        landmarks = rows[:, 4:14].reshape(-1, 5, 2) * scale
        return [
            Detection(box, points, min(1.0, float(row[14])))
            for box, points, row in zip(boxes, landmarks, rows, strict=True)
        ]


def _enlarged_copy(image: NDArray[np.uint8], longer_side: int) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    factor = longer_side / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return cast("NDArray[np.uint8]", cv2.resize(image, size, interpolation=cv2.INTER_CUBIC))
