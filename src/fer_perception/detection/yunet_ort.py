"""YuNet through ONNX Runtime: the preferred path, about three times as fast as cv2.FaceDetectorYN."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_perception.detection.yunet_decode import OUTPUT_NAMES, decode, padded
from fer_perception.errors import BackendError, ModelError

# Cameras of a few sizes, each with its close-up copy; a fresh buffer a frame would cost as much as filling it.
_KEPT_BUFFERS = 8


class OrtYunet:
    """A `YunetNetwork` over an ONNX Runtime session with dynamic input size."""

    name = "yunet_ort"

    def __init__(self, model: Path, *, threads: int) -> None:
        """Load the model.

        Args:
            model: yunet_s_dynamic.onnx.
            threads: processor threads; 0 = ONNX Runtime decides.

        Raises:
            BackendError: ONNX Runtime is not installed.
            ModelError: the file is missing, does not load, or is not a YuNet with dynamic input size.
        """
        self._session: Any = _load(model, threads)
        self._buffers: dict[tuple[int, int], NDArray[np.float32]] = {}

    def faces(self, image: NDArray[np.uint8], threshold: float) -> NDArray[np.float32]:
        """Faces of a picture; see `YunetNetwork.faces`."""
        height, width = image.shape[:2]
        planes = self._buffer(height, width)
        for plane, channel in zip(planes[0], cv2.split(image), strict=True):
            plane[:height, :width] = channel
        outputs = self._session.run(OUTPUT_NAMES, {"input": planes})
        return decode(outputs, planes.shape[3], planes.shape[2], threshold)

    def _buffer(self, height: int, width: int) -> NDArray[np.float32]:
        """Input for pictures of one size, kept between frames; its padding right and below stays black."""
        buffer = self._buffers.get((height, width))
        if buffer is None:
            if len(self._buffers) >= _KEPT_BUFFERS:
                self._buffers.pop(next(iter(self._buffers)))
            buffer = np.zeros((1, 3, padded(height), padded(width)), np.float32)
            self._buffers[height, width] = buffer
        return buffer

    def close(self) -> None:
        """Release the session; idempotent."""
        self._session = None
        self._buffers.clear()


def _load(model: Path, threads: int) -> Any:
    try:
        import onnxruntime
    except ImportError as err:
        msg = (
            f"YuNet through ONNX Runtime needs the package onnxruntime ({err}); install it or set detector to yunet_cv2"
        )
        raise BackendError(msg) from None
    mend = "run `fer models fetch yunet` and `fer models verify`"
    if not model.is_file():
        msg = f"there is no YuNet model at {model}; {mend}"
        raise ModelError(msg)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Waiting threads sleep: a robot's processor has other work between two frames.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        # Without its fallback, which would tell of it on stdout, where results go.
        session = onnxruntime.InferenceSession(
            str(model), options, providers=["CPUExecutionProvider"], enable_fallback=0
        )
    except Exception as err:  # noqa: BLE001 - ONNX Runtime raises many classes without a common base
        msg = f"{model} is not a model that ONNX Runtime loads ({str(err).splitlines()[0]}); {mend}"
        raise ModelError(msg) from None
    inputs, outputs = session.get_inputs(), {output.name for output in session.get_outputs()}
    if [each.name for each in inputs] != ["input"] or not outputs.issuperset(OUTPUT_NAMES):
        msg = (
            f"{model} has inputs {[each.name for each in inputs]} and outputs {sorted(outputs)}; expected YuNet's "
            f"input 'input' and outputs {', '.join(OUTPUT_NAMES)}; {mend}"
        )
        raise ModelError(msg)
    sides = inputs[0].shape[2:]
    if any(isinstance(side, int) for side in sides):
        msg = f"{model} takes pictures of {sides} pixels only; expected the YuNet with dynamic input size; {mend}"
        raise ModelError(msg)
    return session
