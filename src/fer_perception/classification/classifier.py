"""The `Classifier` protocol shared by every backend."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fer_perception.model_files.metadata import ModelMetadata


class Classifier(Protocol):
    """Gray faces in, class probabilities out. Made, used and closed by one thread."""

    @property
    def metadata(self) -> ModelMetadata:
        """Labels, input geometry and provenance of the model."""

    @property
    def backend(self) -> str:
        """Backend and device, e.g. "onnxruntime/CPUExecutionProvider" or "tensorrt/FP16"."""

    @property
    def reason(self) -> str:
        """One sentence: why this backend was chosen (for diagnostics)."""

    @property
    def fallback(self) -> bool:
        """True where another backend took over from the one asked for, which failed or was not ready."""

    def classify(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Classify a batch of faces.

        Args:
            batch: (N, 1, 48, 48) float32 gray values in [0, 255], not normalized (the graph does that); N from 0 up.

        Returns:
            (N, K) float32 calibrated probabilities; rows sum to 1; order is `metadata.labels`.

        Raises:
            BackendError: the shape is wrong, or the backend failed and there is nothing to fall back to.
        """

    def close(self) -> None:
        """Release the session, engine and device memory; idempotent."""
