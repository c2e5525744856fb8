"""Selection of the engine: one from the cache that works, else a new one that agrees with ONNX Runtime."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from fer_perception.classification.batches import comparison_batch
from fer_perception.classification.onnxruntime_classifier import OnnxRuntimeClassifier
from fer_perception.errors import BackendError, EngineCacheError
from fer_perception.inference.tensorrt.engine_cache import EngineCache
from fer_perception.inference.tensorrt.engine_key import EngineKey
from fer_perception.model_files.onnx_file import ModelFile

logger = logging.getLogger(__name__)

#: An engine may differ by so much from ONNX Runtime in FP32, in any probability of any image.
TOLERANCE = 0.01


class Runner(Protocol):
    """Interface of a classifier on an engine, as far as the policy needs it."""

    @property
    def precision(self) -> str:
        """Read from the engine."""

    def classify(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `Classifier.classify`."""

    def close(self) -> None:
        """Release it."""


R = TypeVar("R", bound=Runner)


@dataclass(frozen=True)
class Built:
    """A fresh engine.

    Attributes:
        data: serialized.
        seconds: how long the build took, in s.
    """

    data: bytes
    seconds: float


def largest_difference(runner: Runner, model: ModelFile) -> float:
    """Largest difference between a compiled engine and ONNX Runtime in FP32, over all probabilities of fixed images.

    Args:
        runner: the engine.
        model: the FP32 file.

    Returns:
        In [0, 1]; infinity where the engine answers with NaN.
    """
    batch = comparison_batch(model.metadata().input_shape)
    reference = OnnxRuntimeClassifier(model, threads=1)
    try:
        expected = reference.classify(batch)
    finally:
        reference.close()
    difference = np.abs(runner.classify(batch).astype(np.float64) - expected)
    return float(difference.max()) if np.isfinite(difference).all() else float("inf")


def obtain_engine(
    cache: EngineCache,
    keys: Sequence[EngineKey],
    *,
    model: ModelFile,
    load: Callable[[bytes, str], R],
    build: Callable[[], Built],
    force: bool = False,
) -> tuple[R, str]:
    """Take the first engine of the cache that works, else build one, compare it and keep it.

    Args:
        cache: where engines are kept.
        keys: what the cache may hold, best first; the first is what is built.
        model: the FP32 file, for the comparison.
        load: makes a runner of a serialized engine and its file name; raises `BackendError` where it fails.
        build: builds the engine of the first key.
        force: build even where the cache has one.

    Returns:
        The runner and a phrase that says where the engine came from.

    Raises:
        EngineCacheError: nothing in the cache serves and it cannot be written: known before the build, not after it.
        BackendError: the build failed, or the engine differs by more than `TOLERANCE` and was refused.
    """
    why = "a new engine was asked for"
    refused = ""
    for key in () if force else keys:
        found = cache.find(key)
        if found.refused:
            # One of another builder says nothing of ours.
            refused = refused or (found.reason if key is keys[0] else "")
            continue
        why = found.reason
        if found.engine is None:
            continue
        try:
            return load(found.engine.data, str(found.engine.path)), why
        except BackendError as err:
            logger.warning("the engine %s does not work and is built again: %s", found.engine.path, err)
            why = f"{found.engine.path} did not work ({err})"
            cache.discard(key)
    if refused:
        raise BackendError(refused)
    cache.require_writable()
    logger.info("building an engine: %s", why)
    return _build_and_keep(cache, keys[0], model, load, build)


def _build_and_keep(
    cache: EngineCache, key: EngineKey, model: ModelFile, load: Callable[[bytes, str], R], build: Callable[[], Built]
) -> tuple[R, str]:
    built = build()
    path = str(cache.engine_path(key))
    runner = load(built.data, path)
    try:
        difference = largest_difference(runner, model)
    except BackendError:
        runner.close()
        raise
    if difference > TOLERANCE:
        runner.close()
        msg = (
            f"the engine built from {model.path} differs by {difference:.3g} from ONNX Runtime in some probability "
            f"(allowed: {TOLERANCE}), so it is refused; set backend to onnxruntime"
        )
        cache.refuse(key, msg)
        raise BackendError(msg)
    try:
        cache.store(key, built.data, precision=runner.precision, build_seconds=built.seconds, max_difference=difference)
    except EngineCacheError as err:
        # The engine works: this start keeps it, the next one builds again.
        logger.warning("%s", err)
    return runner, f"an engine built in {built.seconds:.0f} s, within {difference:.2g} of ONNX Runtime"
