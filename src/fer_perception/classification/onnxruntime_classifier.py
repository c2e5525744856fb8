"""The classifier on ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_perception.classification.batches import MAX_BATCH, check_batch, check_probabilities, in_parts
from fer_perception.errors import ModelError
from fer_perception.inference.network import Network
from fer_perception.inference.onnxruntime_network import OnnxRuntimeNetwork
from fer_perception.model_files.metadata import INPUT_NAME, OUTPUT_NAME, ModelMetadata
from fer_perception.model_files.onnx_file import ModelFile


class OnnxRuntimeClassifier:
    """A `Classifier` over an `OnnxRuntimeNetwork`.

    Args:
        model: the file.
        backend: a key of `onnxruntime_network.PROVIDERS`.
        threads: processor threads; 0 = one a core.
        cache_directory: where the TensorRT provider keeps its engines; None = it builds them anew at every start.
        reason: why this backend was chosen, for diagnostics.

    Raises:
        ModelError: the model cannot be loaded or is not a classifier that fits its metadata.
        BackendError: the execution provider is not there or does not work.
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
        self.metadata: ModelMetadata = model.metadata()
        self.reason = reason
        self._path = str(model.path)
        network = OnnxRuntimeNetwork(
            # With external data ONNX Runtime needs the path to find it; else the very bytes that were checked are run.
            model.path if model.external else model.data,
            name=self._path,
            backend=backend,
            threads=threads,
            provider_options=provider_options(backend, self.metadata.input_shape, cache_directory),
        )
        self._network: Network = network
        try:
            _check_graph(network, self.metadata.input_shape, self._path)
            trial = np.zeros((2, *self.metadata.input_shape), dtype=np.float32)
            trial[1, :, ::2] = 255.0
            check_probabilities(self._run(trial), rows=2, labels=self.metadata.labels, path=self._path)
        except BaseException:
            network.close()
            raise

    @property
    def backend(self) -> str:
        """The name of the execution provider after "onnxruntime/"."""
        return self._network.device

    def classify(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `Classifier.classify`."""
        check_batch(batch, self.metadata.input_shape)
        return in_parts(batch, self._run, classes=len(self.metadata.labels))

    def close(self) -> None:
        """Releases the session; idempotent."""
        self._network.close()

    def _run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        (output,) = self._network.run({INPUT_NAME: batch}, [OUTPUT_NAME])
        return output


def provider_options(backend: str, shape: tuple[int, int, int], cache_directory: Path | None) -> dict[str, str]:
    """Options of the execution provider for a classifier (onnxruntime.ai, "Execution Providers").

    Args:
        backend: a key of `onnxruntime_network.PROVIDERS`.
        shape: (C, H, W) of the model's input.
        cache_directory: of the TensorRT provider's engines.
    """
    if backend != "onnxruntime_tensorrt":
        return {}
    image = "x".join(map(str, shape))
    # FP32 with TF32, not FP16: the raw gray values' variance overflows FP16 and this provider pins no layer to FP32.
    options = {
        "trt_fp16_enable": "0",
        "trt_profile_min_shapes": f"{INPUT_NAME}:1x{image}",
        "trt_profile_opt_shapes": f"{INPUT_NAME}:8x{image}",
        "trt_profile_max_shapes": f"{INPUT_NAME}:{MAX_BATCH}x{image}",
    }
    if cache_directory is not None:
        options |= {
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": str(cache_directory),
            "trt_timing_cache_enable": "1",
            "trt_timing_cache_path": str(cache_directory),
        }
    return options


def _check_graph(network: Network, shape: tuple[int, int, int], path: str) -> None:
    """Refuses a graph whose inputs and outputs are not those of a classifier with this input shape."""
    fix = "export it again with `fer-train export`"
    found = ", ".join(map(str, network.inputs))
    inputs = network.inputs
    if [each.name for each in inputs] != [INPUT_NAME] or inputs[0].dtype != "float" or len(inputs[0].shape) != 4:
        msg = f"{path} has the inputs {found}; expected one: {INPUT_NAME} float [N, C, H, W]; {fix}"
        raise ModelError(msg)
    batch, *rest = inputs[0].shape
    if any(have is not None and have != want for have, want in zip(rest, shape, strict=True)):
        msg = f"{path} has the input {found} but its metadata says {list(shape)}; {fix}"
        raise ModelError(msg)
    if batch is not None:
        msg = f"{path} has the fixed batch size {batch}; expected a dynamic one; {fix}"
        raise ModelError(msg)
    if [each.name for each in network.outputs] != [OUTPUT_NAME]:
        names = ", ".join(each.name for each in network.outputs)
        msg = f"{path} has the outputs {names}; expected one: {OUTPUT_NAME}; {fix}"
        raise ModelError(msg)
