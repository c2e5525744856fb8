"""Classifier that falls back to the processor when its first backend fails at run time."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from fer_perception.classification.batches import check_batch
from fer_perception.classification.classifier import Classifier
from fer_perception.classification.onnxruntime_classifier import OnnxRuntimeClassifier
from fer_perception.errors import BackendError
from fer_perception.model_files.metadata import ModelMetadata
from fer_perception.model_files.onnx_file import ModelFile

logger = logging.getLogger(__name__)


class FallbackClassifier:
    """Runs `first` until it fails (GPU lost, out of memory), then ONNX Runtime on the processor, for good.

    The batch on which it failed is classified again, so no face is lost. `fallback` then turns True and `reason` says
    what happened, for diagnostics.

    Args:
        first: what runs until it fails; owned from here on.
        model: the file, kept in memory: the disk may be gone as well.
        threads: processor threads of the fallback; 0 = one a core.
    """

    def __init__(self, first: Classifier, model: ModelFile, *, threads: int) -> None:
        self._active: Classifier = first
        self._model = model
        self._threads = threads
        self._closed = False

    @property
    def metadata(self) -> ModelMetadata:
        """Of the model, whichever backend runs it."""
        return self._active.metadata

    @property
    def backend(self) -> str:
        """Backend and device of the classifier in use."""
        return self._active.backend

    @property
    def reason(self) -> str:
        """Reason why this classifier is in use."""
        return self._active.reason

    @property
    def fallback(self) -> bool:
        """True once a backend failed and another one took over."""
        return self._active.fallback

    def classify(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `Classifier.classify`; a failure of the first backend costs time, not faces."""
        check_batch(batch, self.metadata.input_shape)
        if self._active.fallback or self._closed:
            return self._active.classify(batch)
        try:
            answer = self._active.classify(batch)
        except BackendError as err:
            self._replace(err)
            return self._active.classify(batch)
        # An image that is not finite has no finite answer on any backend.
        if np.isfinite(answer).all() or not np.isfinite(batch).all():
            return answer
        self._replace(BackendError("it answered with values that are not finite"))
        return self._active.classify(batch)

    def close(self) -> None:
        """Release the active backend; idempotent."""
        self._closed = True
        self._active.close()

    def _replace(self, err: BackendError) -> None:
        failed = self._active
        reason = f"{failed.backend} failed at run time ({err}); configure again to try it anew"
        second = OnnxRuntimeClassifier(self._model, threads=self._threads, reason=reason)
        second.fallback = True
        self._active = second
        logger.warning("%s; going on with %s", reason, second.backend)
        try:
            failed.close()
        except BackendError as close_error:
            logger.warning("%s did not close cleanly: %s", failed.backend, close_error)
