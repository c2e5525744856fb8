"""YuNet through cv2.FaceDetectorYN: the reference, and the way where ONNX Runtime is missing."""

from __future__ import annotations

import tempfile
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_perception.detection.yunet_decode import NMS_THRESHOLD, TOP_K
from fer_perception.errors import BackendError, ModelError
from fer_perception.model_files.stored_file import StoredFile

# Where a side of the padded image is 32 pixels, so that the coarsest grid has a single row or column, OpenCV (4.14)
# reads outputs from the wrong place and reports faces of random size.
_SMALLEST_SIDE = 64


class OpenCvYunet:
    """A `YunetNetwork` over cv2.FaceDetectorYN (OpenCV 4.8 or later for the 2023 model).

    Args:
        model: face_detection_yunet_2023mar.onnx, as `ModelStore.read` hands it over.

    Raises:
        BackendError: this OpenCV has no FaceDetectorYN.
        ModelError: the file does not load or is not YuNet (or OpenCV is too old for it).
    """

    name = "yunet_cv2"

    def __init__(self, model: StoredFile) -> None:
        create = getattr(getattr(cv2, "FaceDetectorYN", None), "create", None)
        if create is None:
            msg = f"OpenCV {cv2.__version__} has no FaceDetectorYN; install OpenCV 4.8 or later, or onnxruntime"
            raise BackendError(msg)
        fix = "run `fer models fetch yunet` and `fer models verify`"
        self._size = (64, 64)
        # OpenCV 4.8 reads files only: a copy, so that the very bytes that were checked are run.
        with tempfile.NamedTemporaryFile(suffix=".onnx") as copy:
            copy.write(model.data)
            copy.flush()
            self._load(create, copy.name, str(model.path), fix)

    def _load(self, create: Any, file: str, name: str, fix: str) -> None:
        try:
            self._detector: Any = create(file, "", self._size, 0.5, NMS_THRESHOLD, TOP_K)
            self._detector.detect(np.zeros((*self._size, 3), np.uint8))
        except cv2.error as err:
            msg = (
                f"{name} is not a YuNet model that OpenCV {cv2.__version__} runs ({err.err}); {fix}; the "
                "2023 model needs OpenCV 4.8 or later"
            )
            raise ModelError(msg) from None

    def faces(self, image: NDArray[np.uint8], threshold: float) -> NDArray[np.float32]:
        """Faces of an image; see `YunetNetwork.faces`."""
        missing = (max(0, _SMALLEST_SIDE - image.shape[0]), max(0, _SMALLEST_SIDE - image.shape[1]))
        if any(missing):
            image = np.pad(image, ((0, missing[0]), (0, missing[1]), (0, 0)))
        size = (image.shape[1], image.shape[0])
        if size != self._size:
            self._detector.setInputSize(size)
            self._size = size
        self._detector.setScoreThreshold(threshold)
        _, faces = self._detector.detect(np.ascontiguousarray(image))
        if faces is None:
            return np.empty((0, 15), np.float32)
        return np.asarray(faces, np.float32).reshape(-1, 15)

    def faces_in_batch(self, images: NDArray[np.uint8], threshold: float) -> list[NDArray[np.float32]]:
        """Faces of each image, one after the other; see `YunetNetwork.faces_in_batch`."""
        return [self.faces(image, threshold) for image in images]

    def close(self) -> None:
        """Release the network; idempotent."""
        self._detector = None
