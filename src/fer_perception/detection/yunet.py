"""The YuNet detector: choice of the input size, over any backend of the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_perception.detection.scaling import keep_largest, reduced_copy, suppress, to_bgr
from fer_perception.detection.windows import WINDOW_SIZE, Window, cut_windows
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


# A search in parts: two halves of the longer side that share this much of it, and a close-up for larger faces.
_SHARED_PART = 0.1
_HALF = 0.5 * (1.0 + _SHARED_PART)
_CLOSE_UP_IN_PARTS = 0.75 * _SHARED_PART
# A pixel of a window costs this much more than one of a search: cutting, decoding, smaller products.
_WINDOW_OVERHEAD = 1.3


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

    def faces_in_batch(self, images: NDArray[np.uint8], threshold: float) -> list[NDArray[np.float32]]:
        """Faces of each of several images of one size.

        Args:
            images: (N, S, S, 3) uint8 BGR, N >= 1, S a multiple of 32.
            threshold: smallest score.

        Returns:
            For each image what `faces` gives.
        """

    def close(self) -> None:
        """Release the network; idempotent."""


class YunetDetector:
    """A `WindowDetector` over any `YunetNetwork`; its settings may be changed at any time.

    Args:
        network: what runs YuNet; closed with this detector.
        threshold: smallest score of a face, [0, 1].
        detection_size: longer side in pixels of the copy looked at; 0 = never reduce.
        min_face_size: pixels of the image.
        max_faces: the largest ones are kept.
        reason: why this detector was chosen, for diagnostics.
    """

    search_parts = 3

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
        self.model_file = ""

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

    def look(self, views: Sequence[tuple[NDArray[np.uint8], Window]]) -> list[list[Detection]]:
        """Look into windows; see `WindowDetector.look`."""
        if not views:
            return []
        found = self._network.faces_in_batch(cut_windows(views), self.threshold)
        return [
            _detections(rows, np.full(2, window.scale, np.float32), (window.x, window.y))
            for rows, (_, window) in zip(found, views, strict=True)
        ]

    def search_part(self, image: NDArray[np.uint8], part: int) -> list[Detection]:
        """Search one part; see `WindowDetector.search_part`."""
        height, width = image.shape[:2]
        longer = max(height, width)
        if part == 2:
            close_up = self._faces(image, _thinned_copy(image, CLOSE_UP_SIZE))
            found = [face for face in close_up if min(face.box[2:]) >= _CLOSE_UP_IN_PARTS * longer]
        else:
            length = round(_HALF * longer)
            first = 0 if part == 0 else longer - length
            piece = slice(first, first + length)
            half = image[:, piece] if width >= height else image[piece]
            looked_at = longer if self.detection_size == 0 else min(longer, self.detection_size)
            size = round(max(half.shape[:2]) * looked_at / longer)
            found = self._faces(half, reduced_copy(half, size))
            start = np.array([first, 0] if width >= height else [0, first], np.float32)
            # What the inner edge cuts lies whole in the other half, or is large enough for the close-up.
            axis, inner = (0 if width >= height else 1), (length if part == 0 else 0)
            found = [
                replace(face, box=face.box + np.append(start, [0, 0]).astype(np.float32), landmarks=_moved(face, start))
                for face in found
                if not float(face.box[axis]) < inner < float(face.box[axis] + face.box[axis + 2])
            ]
        return keep_largest(found, self.min_face_size, self.max_faces)

    def windows_for_a_search(self, width: int, height: int) -> float:
        """Windows for the cost of a search; see `WindowDetector.windows_for_a_search`."""
        longer = max(width, height)
        looked_at = longer if self.detection_size == 0 else min(longer, self.detection_size)
        factor = max(looked_at, CLOSE_UP_SIZE) / longer if longer < CLOSE_UP_SIZE else looked_at / longer
        return width * height * factor**2 / (_WINDOW_OVERHEAD * WINDOW_SIZE**2)

    def close(self) -> None:
        """Release the network; idempotent."""
        self._network.close()

    def _faces(self, image: NDArray[np.uint8], copy: NDArray[np.uint8]) -> list[Detection]:
        """Run the network on a copy of the image; results in pixels of the image."""
        rows = self._network.faces(to_bgr(copy), self.threshold)
        scale = np.array([image.shape[1] / copy.shape[1], image.shape[0] / copy.shape[0]], np.float32)
        return _detections(rows, scale, (0, 0))


def _detections(rows: NDArray[np.float32], scale: NDArray[np.float32], corner: tuple[int, int]) -> list[Detection]:
    """Faces of a scaled part of an image in pixels of the image.

    Args:
        rows: (N, 15) as `YunetNetwork.faces` gives them.
        scale: (2,) pixels of the image for one of the part, x and y.
        corner: x and y of the part's upper left pixel.
    """
    if not len(rows):
        return []
    boxes = rows[:, :4] * np.tile(scale, 2)
    boxes[:, :2] += np.asarray(corner, np.float32)
    landmarks = rows[:, 4:14].reshape(-1, 5, 2) * scale + np.asarray(corner, np.float32)
    return [
        Detection(box, points, min(1.0, float(row[14])))
        for box, points, row in zip(boxes, landmarks, rows, strict=True)
    ]


def _moved(face: Detection, by: NDArray[np.float32]) -> NDArray[np.float32] | None:
    return None if face.landmarks is None else face.landmarks + by


def _thinned_copy(image: NDArray[np.uint8], longer_side: int) -> NDArray[np.uint8]:
    """A rough `reduced_copy` for a part of its time: four pixels of the image for each of the copy."""
    height, width = image.shape[:2]
    factor = max(height, width) / longer_side
    if factor <= 1:
        return image
    stride = max(1, int(factor / 2))
    size = (max(1, round(width / factor)), max(1, round(height / factor)))
    thinned = image[stride // 2 :: stride, stride // 2 :: stride]
    image = np.ascontiguousarray(thinned if thinned.size else image)
    return cast("NDArray[np.uint8]", cv2.resize(image, size, interpolation=cv2.INTER_LINEAR))


def _enlarged_copy(image: NDArray[np.uint8], longer_side: int) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    factor = longer_side / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return cast("NDArray[np.uint8]", cv2.resize(image, size, interpolation=cv2.INTER_CUBIC))
