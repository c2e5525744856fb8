"""Factory of classifiers: by name or path of the model, on the backend chosen or on the best that works."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from fer_perception.classification.classifier import Classifier
from fer_perception.classification.fallback import FallbackClassifier
from fer_perception.classification.onnxruntime_classifier import OnnxRuntimeClassifier
from fer_perception.errors import BackendError, EngineCacheError, ModelError, NotInstalledError
from fer_perception.inference.onnxruntime_network import PROVIDERS, import_onnxruntime
from fer_perception.inference.tensorrt.engine_cache import default_cache_directory
from fer_perception.model_files.onnx_file import ModelFile, model_file
from fer_perception.model_files.store import ModelStore
from fer_perception.system.files import UntrustedFileError, make_private_directory, require_trusted

logger = logging.getLogger(__name__)

#: What auto tries, best first. The TensorRT provider of ONNX Runtime is left out: our own engine is the same, compared.
_AUTO = ("tensorrt", "onnxruntime_cuda", "onnxruntime")
BACKENDS: tuple[str, ...] = ("auto", "tensorrt", *PROVIDERS)

Progress = Callable[[str], None]


def create_classifier(
    model: str | Path,
    *,
    backend: str,
    threads: int,
    cache_directory: Path | None = None,
    progress: Progress | None = None,
) -> Classifier:
    """Make a classifier and try it once; whoever makes it uses and closes it, in one thread.

    With `auto` the best backend that works is taken. A TensorRT engine that is not in the cache is built first, which
    takes a minute or more; where the cache cannot be written, ONNX Runtime serves instead and `fallback` is set. A GPU
    backend that fails later falls back to the processor (`FallbackClassifier`).

    Args:
        model: name or path of an ONNX file, see `ModelStore.read`.
        backend: one of `BACKENDS`.
        threads: processor threads; 0 = one a core.
        cache_directory: where TensorRT engines are kept; None = the user's cache.
        progress: gets a readable line now and then while an engine is built.

    Returns:
        The classifier; its `backend` and `reason` say what was taken and why.

    Raises:
        ModelError: the model is missing, damaged, unknown or contradicts its metadata.
        BackendError: the backend is unknown, not installed or does not work.
    """
    if backend not in BACKENDS:
        msg = f"there is no backend {backend!r}; expected one of: {', '.join(BACKENDS)}"
        raise BackendError(msg)
    file = model_file(ModelStore().read(model))
    file.metadata()  # another kind of file is refused before any backend is tried
    if backend != "auto":
        return _chosen(file, backend, threads, cache_directory, progress)
    refused: list[str] = []
    broken = False
    for candidate in _AUTO[:-1]:
        try:
            return _open(
                file,
                candidate,
                threads=threads,
                cache_directory=cache_directory,
                progress=progress,
                reason=_auto_reason(refused),
            )
        except NotInstalledError as err:
            refused.append(f"{candidate}: {err}")
        except (BackendError, ModelError) as err:
            # Also what only this backend refuses of a model; a file that is damaged itself the processor refuses too.
            broken = True
            refused.append(f"{candidate}: {err}")
            logger.warning("%s", err)
    try:
        processor = OnnxRuntimeClassifier(file, threads=threads, reason=_auto_reason(refused))
    except NotInstalledError as err:
        msg = f"no backend works: {'; '.join([*refused, f'onnxruntime: {err}'])}"
        raise BackendError(msg) from None
    processor.fallback = broken
    return processor


def _chosen(
    file: ModelFile, backend: str, threads: int, cache_directory: Path | None, progress: Progress | None
) -> Classifier:
    try:
        return _open(
            file,
            backend,
            threads=threads,
            cache_directory=cache_directory,
            progress=progress,
            reason="chosen by the backend setting",
        )
    except EngineCacheError as err:
        logger.warning("%s; going on with ONNX Runtime", err)
        processor = OnnxRuntimeClassifier(file, threads=threads, reason=f"{backend} was asked for, but {err}")
        processor.fallback = True
        return processor


def _open(
    file: ModelFile,
    backend: str,
    *,
    threads: int,
    cache_directory: Path | None,
    progress: Progress | None,
    reason: str,
) -> Classifier:
    if backend == "onnxruntime":
        return OnnxRuntimeClassifier(file, threads=threads, reason=reason)
    first: Classifier
    if backend == "tensorrt":
        from fer_perception.classification.tensorrt.classifier import open_tensorrt_classifier

        first = open_tensorrt_classifier(file, cache_directory=cache_directory, progress=progress, reason=reason)
    else:
        kept = _provider_cache(file, cache_directory) if backend == "onnxruntime_tensorrt" else None
        first = OnnxRuntimeClassifier(file, backend=backend, threads=threads, cache_directory=kept, reason=reason)
    return FallbackClassifier(first, file, threads=threads)


def _provider_cache(file: ModelFile, directory: Path | None) -> Path | None:
    """Engine cache of ONNX Runtime's TensorRT provider; None, with a warning, where it cannot be used.

    The provider loads what lies there: nothing may that others can have written.

    It names them after the graph, not the weights: each model and each version has a directory of its own.
    """
    name = f"onnxruntime-{import_onnxruntime().__version__}-{file.sha256[:16]}"
    kept = (directory or default_cache_directory()) / name
    try:
        make_private_directory(kept)
        for path in (kept.parent, kept, *kept.iterdir()):
            require_trusted(path)
    except UntrustedFileError as err:
        logger.warning("%s; its engine is built at every start", err)
        return None
    except OSError as err:
        logger.warning("%s cannot be made (%s), so its engine is built at every start", kept, err.strerror)
        return None
    return kept


def _auto_reason(refused: list[str]) -> str:
    better = f"; not taken: {'; '.join(refused)}" if refused else ""
    return f"auto took the best backend that works{better}"
