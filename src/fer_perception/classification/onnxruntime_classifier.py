"""The classifier on ONNX Runtime: processor, CUDA or TensorRT execution provider."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from fer_perception.errors import BackendError, ModelError
from fer_perception.inference.base import NotInstalledError
from fer_perception.inference.batches import MAX_BATCH, check_batch, check_probabilities, in_parts
from fer_perception.inference.metadata import INPUT_NAME, OUTPUT_NAME, ModelMetadata
from fer_perception.inference.model_file import ModelFile

#: Execution provider of each backend name.
PROVIDERS: dict[str, str] = {
    "onnxruntime": "CPUExecutionProvider",
    "onnxruntime_cuda": "CUDAExecutionProvider",
    "onnxruntime_tensorrt": "TensorrtExecutionProvider",
}


class OnnxRuntimeClassifier:
    """A classifier that runs in one ONNX Runtime session.

    Spinning is off: waiting threads sleep, so a robot's processor is not burnt between frames.
    """

    fallback = False

    def __init__(
        self,
        model: ModelFile,
        *,
        backend: str = "onnxruntime",
        threads: int = 0,
        cache_directory: Path | None = None,
        reason: str = "",
    ) -> None:
        """Load the model and try it once.

        Args:
            model: the file.
            backend: a key of `PROVIDERS`.
            threads: processor threads; 0 = one a core.
            cache_directory: where the TensorRT provider keeps its engines; None = it builds them anew at every start.
            reason: why this backend was chosen, for diagnostics.

        Raises:
            ModelError: the model cannot be loaded or is not a classifier that fits its metadata.
            BackendError: the execution provider is not there or does not work.
        """
        self.metadata: ModelMetadata = model.metadata()
        self.reason = reason
        self._path = str(model.path)
        self._provider = PROVIDERS[backend]
        self._session: Any = self._open(model, backend, threads, cache_directory)
        self._check_graph()
        trial = np.zeros((2, *self.metadata.input_shape), dtype=np.float32)
        trial[1, :, ::2] = 255.0
        check_probabilities(self._run(trial), rows=2, labels=self.metadata.labels, path=self._path)

    @property
    def backend(self) -> str:
        """The name of the execution provider after "onnxruntime/"."""
        return f"onnxruntime/{self._provider}"

    def classify(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `Classifier.classify`."""
        check_batch(batch, self.metadata.input_shape)
        return in_parts(batch, self._run, classes=len(self.metadata.labels))

    def close(self) -> None:
        """Release the session; idempotent."""
        self._session = None

    def _run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        if self._session is None:
            msg = f"the classifier of {self._path} was closed; create another one"
            raise BackendError(msg)
        try:
            (output,) = self._session.run([OUTPUT_NAME], {INPUT_NAME: batch})
        except Exception as err:
            msg = f"{self.backend} failed on a batch of {len(batch)}: {_first_line(err)}"
            raise BackendError(msg) from err
        return np.asarray(output, dtype=np.float32)

    def _open(self, model: ModelFile, backend: str, threads: int, cache_directory: Path | None) -> Any:
        available = onnxruntime.get_available_providers()
        if self._provider not in available:
            msg = (
                f"the installed onnxruntime {onnxruntime.__version__} has no {self._provider} (it has "
                f"{', '.join(available)}); install onnxruntime-gpu instead of onnxruntime, or set backend to "
                "onnxruntime"
            )
            raise NotInstalledError(msg)
        providers = [(self._provider, provider_options(backend, self.metadata.input_shape, cache_directory))]
        # With external data ONNX Runtime needs the path to find it; else the very bytes that were checked are run.
        source = str(model.path) if model.external else model.data
        try:
            # Without its fallback, which would tell of it on stdout, where results go.
            session = onnxruntime.InferenceSession(
                source, session_options(threads), providers=providers, enable_fallback=0
            )
        except Exception as err:
            if backend == "onnxruntime":
                msg = f"{model.path} cannot be loaded by ONNX Runtime {onnxruntime.__version__}: {_first_line(err)}"
                raise ModelError(msg) from err
            msg = f"{self._provider} cannot run {model.path}: {_first_line(err)}; set backend to onnxruntime or auto"
            raise BackendError(msg) from err
        if session.get_providers()[0] != self._provider:
            msg = (
                f"{self._provider} did not start (ONNX Runtime took {session.get_providers()[0]} instead); check the "
                "driver and the CUDA, cuDNN and TensorRT libraries, or set backend to onnxruntime"
            )
            raise BackendError(msg)
        session.disable_fallback()
        return session

    def _check_graph(self) -> None:
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        channels, height, width = self.metadata.input_shape
        found = ", ".join(f"{i.name} {i.type} {i.shape}" for i in inputs)
        mend = "export it again with `fer-train export`"
        if [i.name for i in inputs] != [INPUT_NAME] or inputs[0].type != "tensor(float)" or len(inputs[0].shape) != 4:
            msg = f"{self._path} has the inputs {found}; expected one: {INPUT_NAME} tensor(float) [N, C, H, W]; {mend}"
            raise ModelError(msg)
        batch, *rest = inputs[0].shape
        if any(
            isinstance(have, int) and have != want for have, want in zip(rest, (channels, height, width), strict=True)
        ):
            msg = f"{self._path} has the input {found} but its metadata says {[channels, height, width]}; {mend}"
            raise ModelError(msg)
        if isinstance(batch, int):
            msg = f"{self._path} has the fixed batch size {batch}; expected a dynamic one; {mend}"
            raise ModelError(msg)
        if [o.name for o in outputs] != [OUTPUT_NAME]:
            names = ", ".join(o.name for o in outputs)
            msg = f"{self._path} has the outputs {names}; expected one: {OUTPUT_NAME}; {mend}"
            raise ModelError(msg)


def session_options(threads: int) -> Any:
    """Options of every ONNX Runtime session on the robot: quiet, in order, sleeping while they wait.

    Args:
        threads: processor threads; 0 = one a core.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def provider_options(backend: str, shape: tuple[int, int, int], cache_directory: Path | None) -> dict[str, str]:
    """Options of the execution provider (documented at onnxruntime.ai, "Execution Providers").

    Args:
        backend: a key of `PROVIDERS`.
        shape: (C, H, W) of the model's input.
        cache_directory: of the TensorRT provider's engines.
    """
    if backend != "onnxruntime_tensorrt":
        return {}
    picture = "x".join(map(str, shape))
    # FP32 with TF32, not FP16: the raw gray values' variance overflows FP16 and this provider pins no layer to FP32.
    options = {
        "trt_fp16_enable": "0",
        "trt_profile_min_shapes": f"{INPUT_NAME}:1x{picture}",
        "trt_profile_opt_shapes": f"{INPUT_NAME}:8x{picture}",
        "trt_profile_max_shapes": f"{INPUT_NAME}:{MAX_BATCH}x{picture}",
    }
    if cache_directory is not None:
        options |= {
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": str(cache_directory),
            "trt_timing_cache_enable": "1",
            "trt_timing_cache_path": str(cache_directory),
        }
    return options


def _first_line(err: Exception) -> str:
    return (str(err).strip().splitlines() or [type(err).__name__])[0]
