"""The classifier on a TensorRT engine: pinned buffers, one stream, the primary context, one thread.

This module has not run on a GPU; it is written against the documented Python interfaces of TensorRT 8.6 to 11 and of
pycuda.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_perception.classification.batches import check_batch, check_probabilities, in_parts
from fer_perception.classification.tensorrt.engine_policy import Built, obtain_engine
from fer_perception.errors import BackendError, EngineCacheError, ModelError
from fer_perception.inference.tensorrt.build import build_engine
from fer_perception.inference.tensorrt.build_progress import BuildProgress, ticking
from fer_perception.inference.tensorrt.cuda_device import CudaDevice
from fer_perception.inference.tensorrt.engine_cache import EngineCache, default_cache_directory
from fer_perception.inference.tensorrt.engine_key import BUILDERS, EngineKey
from fer_perception.inference.tensorrt.inspector import UNKNOWN, engine_precision
from fer_perception.inference.tensorrt.library import import_tensorrt, library_errors, make_logger
from fer_perception.inference.tensorrt.version import BuildPlan, build_plan
from fer_perception.model_files.metadata import FP32_SHA256_KEY, ModelMetadata
from fer_perception.model_files.onnx_file import ModelFile, read_model_file, version_path

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class OtherBuilder:
    """Another way to build an engine than ours.

    Attributes:
        name: one of `engine_key.BUILDERS`.
        build: gives the serialized engine; called with the device's context current.
    """

    name: str
    build: Callable[[], bytes]


class TensorRTClassifier:
    """Runs one serialized engine. Made, used and closed by one thread.

    Args:
        trt: the module `tensorrt`.
        device: where it runs; owned from here on, also where this fails.
        model: whose engine it is.
        data: the serialized engine.
        path: of the engine, for messages.

    Raises:
        BackendError: it is no engine, one of another TensorRT or device, or its tensors are not those of the model.
    """

    fallback = False

    def __init__(self, trt: Any, device: CudaDevice, model: ModelFile, data: bytes, *, path: str) -> None:
        self.metadata: ModelMetadata = model.metadata()
        self.reason = ""
        self._precision = UNKNOWN
        self._path = path
        self._device = device
        self._held: list[Any] = []
        try:
            with library_errors(f"loading {path} into TensorRT"), device.current():
                try:
                    self._prepare(trt, data)
                except BaseException:
                    self._release()
                    raise
            self._try_once()
        except BaseException:
            self.close()
            raise

    @property
    def backend(self) -> str:
        """The precision the engine calculates in after "tensorrt/"."""
        return f"tensorrt/{self.precision}"

    @property
    def precision(self) -> str:
        """Read from the engine: "FP16", "FP32", ...; "unknown" where it does not say."""
        return self._precision.name

    @property
    def precision_by_layer(self) -> str:
        """For diagnostics, e.g. "FP16 (14 of 17 layers; FP32 3)"."""
        return self._precision.describe()

    def classify(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `Classifier.classify`."""
        check_batch(batch, self.metadata.input_shape)
        return in_parts(batch, self._run, classes=len(self.metadata.labels), largest=self._largest)

    def close(self) -> None:
        """Release engine, buffers and stream, then the context; idempotent."""
        try:
            if self._held:
                with self._device.current():
                    self._release()
        finally:
            self._held = []
            self._device.close()

    def _prepare(self, trt: Any, data: bytes) -> None:
        log = make_logger(trt)
        runtime = trt.Runtime(log)
        engine = runtime.deserialize_cuda_engine(data)
        if engine is None:
            msg = (
                f"{self._path} is not an engine TensorRT {trt.__version__} can use on {self._device.name} "
                f"({log.last_error or 'no reason given'}); remove it or run `fer compile --force`"
            )
            raise BackendError(msg)
        context = engine.create_execution_context()
        if context is None:
            msg = f"TensorRT could not make a context for {self._path}: {log.last_error or 'out of memory?'}"
            raise BackendError(msg)
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        inputs = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
        outputs = [name for name in names if name not in inputs]
        self._check_tensors(trt, engine, inputs, outputs)
        self._input, self._output = inputs[0], outputs[0]
        self._largest = int(engine.get_tensor_profile_shape(self._input, 0)[2][0])
        cuda = self._device.cuda
        classes = len(self.metadata.labels)
        self._host_in = cuda.pagelocked_empty((self._largest, *self.metadata.input_shape), np.float32)
        self._host_out = cuda.pagelocked_empty((self._largest, classes), np.float32)
        self._device_in = cuda.mem_alloc(self._host_in.nbytes)
        self._device_out = cuda.mem_alloc(self._host_out.nbytes)
        self._stream = cuda.Stream()
        self._engine, self._context, self._names, self._shape = engine, context, names, (0,)
        # In the order of release: what lives in another comes before it.
        self._held = [context, engine, runtime, log]
        context.set_input_shape(self._input, (1, *self.metadata.input_shape))
        self._precision = engine_precision(self._inspect(trt))

    def _check_tensors(self, trt: Any, engine: Any, inputs: list[str], outputs: list[str]) -> None:
        shapes = {name: tuple(engine.get_tensor_shape(name)) for name in (*inputs, *outputs)}
        fits = (
            len(inputs) == 1
            and len(outputs) == 1
            and shapes[inputs[0]][1:] == self.metadata.input_shape
            and shapes[outputs[0]][1:] == (len(self.metadata.labels),)
            and all(engine.get_tensor_dtype(name) == trt.float32 for name in shapes)
        )
        if not fits:
            msg = (
                f"{self._path} has the tensors {shapes}; expected one float32 input (N, "
                f"{', '.join(map(str, self.metadata.input_shape))}) and one float32 output (N, "
                f"{len(self.metadata.labels)}); run `fer compile --force`"
            )
            raise BackendError(msg)

    def _inspect(self, trt: Any) -> str:
        inspector = self._engine.create_engine_inspector()
        # With dynamic shapes the engine alone says "N/A due to dynamic shapes"; a context that has a shape knows.
        # (The documentation of 8.6 calls the attribute `context`.)
        name = "execution_context" if hasattr(inspector, "execution_context") else "context"
        setattr(inspector, name, self._context)
        return str(inspector.get_engine_information(trt.LayerInformationFormat.JSON))

    def _try_once(self) -> None:
        trial = np.zeros((1, *self.metadata.input_shape), np.float32)
        trial[:, :, ::2] = 255.0
        try:
            check_probabilities(self._run(trial), rows=1, labels=self.metadata.labels, path=self._path)
        except ModelError as err:
            raise BackendError(str(err)) from err

    def _run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        count = len(batch)
        cuda = self._device.cuda
        with library_errors(f"running {self._path}"), self._device.current():
            self._host_in[:count] = batch
            cuda.memcpy_htod_async(self._device_in, self._host_in[:count], self._stream)
            if self._shape != batch.shape:
                self._context.set_input_shape(self._input, batch.shape)
                self._shape = batch.shape
            if not self._execute():
                msg = f"TensorRT refused to run {self._path} on a batch of {count}"
                raise BackendError(msg)
            cuda.memcpy_dtoh_async(self._host_out[:count], self._device_out, self._stream)
            self._stream.synchronize()
            return np.array(self._host_out[:count])

    def _execute(self) -> bool:
        addresses = {self._input: int(self._device_in), self._output: int(self._device_out)}
        if hasattr(self._context, "execute_async_v3"):
            for name, address in addresses.items():
                self._context.set_tensor_address(name, address)
            return bool(self._context.execute_async_v3(self._stream.handle))
        self._stream.synchronize()
        return bool(self._context.execute_v2([addresses[name] for name in self._names]))

    def _release(self) -> None:
        # Freed by hand: the traceback of a failed call may still refer to the buffers.
        for name in ("_device_in", "_device_out"):
            memory = self.__dict__.pop(name, None)
            if memory is not None:
                memory.free()
        for name in (
            "_stream",
            "_host_in",
            "_host_out",
            "_context",
            "_engine",
        ):
            self.__dict__.pop(name, None)
        while self._held:
            self._held.pop(0)


def engine_keys(
    device: CudaDevice, plan: BuildPlan, version: str, model: ModelFile, graph: ModelFile
) -> list[EngineKey]:
    """The engines that serve a model on a device: our own first, then one made with torch2trt.

    Args:
        device: gives name, compute capability and CUDA version.
        plan: of this TensorRT.
        version: of this TensorRT.
        model: the FP32 file.
        graph: the file that is parsed.
    """
    precision = "fp32" if plan.graph == "fp16" and graph is model else "fp16"
    return [
        EngineKey(
            gpu=device.name,
            compute_capability=device.compute_capability,
            tensorrt=version,
            cuda=device.cuda_version,
            model=model.metadata().name,
            model_sha256=model.sha256,
            graph_sha256=graph.sha256 if builder == "onnx" else model.sha256,
            precision=precision if builder == "onnx" else "fp16",
            typing=plan.typing if builder == "onnx" else "weak",
            builder=builder,
        )
        for builder in BUILDERS
    ]


def graph_to_parse(model: ModelFile, plan: BuildPlan) -> ModelFile:
    """The file TensorRT parses: with strong typing "<model>_fp16.onnx" beside the model, where it is there.

    Args:
        model: the FP32 file.
        plan: of this TensorRT.

    Returns:
        `model` itself where FP32 is what is parsed, or, with a warning, where no FP16 file is there or the one there is
        damaged or of another model; the engine then calculates in FP32.
    """
    half = version_path(model.path, "fp16")
    if plan.graph != "fp16":
        return model
    if not half.is_file():
        logger.warning("there is no FP16 file beside %s, so the engine calculates in FP32; copy it there", model.path)
        return model
    try:
        graph = read_model_file(half)
        own, other = model.metadata(), graph.metadata()
        # What the FP16 file was made of; one of ours always says so.
        same = graph.props.get(FP32_SHA256_KEY, model.sha256) == model.sha256
        if same and (own.labels, own.input_shape, own.temperature) == (
            other.labels,
            other.input_shape,
            other.temperature,
        ):
            return graph
        fault = f"{half} is of another model than {model.path}"
    except ModelError as err:
        fault = str(err)
    logger.warning("%s; the engine calculates in FP32: export the model again with --fp16", fault)
    return model


def open_tensorrt_classifier(
    model: ModelFile,
    *,
    cache_directory: Path | None,
    progress: Callable[[str], None] | None,
    reason: str,
    force: bool = False,
    other_builder: OtherBuilder | None = None,
) -> TensorRTClassifier:
    """Take the engine from the cache or build it, and make a classifier of it.

    Args:
        model: the FP32 ONNX file.
        cache_directory: of the engines; None = the user's cache.
        progress: gets a readable line now and then during a build.
        reason: why this backend was chosen.
        force: build even where the cache has an engine.
        other_builder: builds instead of our own parser path, under its own key.

    Raises:
        NotInstalledError: TensorRT, pycuda or a GPU is missing.
        EngineCacheError: an engine has to be built and cannot be kept.
        BackendError: the engine cannot be built or was refused.
    """
    trt = import_tensorrt()
    plan = build_plan(trt.__version__)
    device = CudaDevice()
    graph = graph_to_parse(model, plan)
    cache = EngineCache(cache_directory or default_cache_directory())
    keys = engine_keys(device, plan, trt.__version__, model, graph)
    if other_builder is not None:
        keys = [key for key in keys if key.builder == other_builder.name]
    say = progress or _silent

    def build() -> Built:
        expected = cache.expected_build_seconds(keys[0])
        known = f"about {expected:.0f} s, as before" if expected else "no earlier build here to estimate from"
        say(f"building a TensorRT {trt.__version__} engine of {model.path.name} for {device.name} ({known})")
        begin = time.monotonic()
        report = BuildProgress(say, expected_seconds=expected)
        with library_errors(f"building a TensorRT {trt.__version__} engine of {graph.path}"), device.current():
            if other_builder is not None:
                with ticking(report):
                    return Built(other_builder.build(), time.monotonic() - begin)
            data, timings = build_engine(trt, graph, plan, timing_cache=cache.timing_cache(keys[0]), progress=report)
        try:
            cache.store_timing_cache(keys[0], timings)
        except EngineCacheError as err:
            logger.warning("%s", err)
        return Built(data, time.monotonic() - begin)

    def load(data: bytes, path: str) -> TensorRTClassifier:
        # Each attempt has its own hold on the primary context, which it gives up when it fails.
        return TensorRTClassifier(trt, CudaDevice(), model, data, path=path)

    try:
        classifier, origin = obtain_engine(cache, keys, model=model, load=load, build=build, force=force)
    finally:
        device.close()
    classifier.reason = f"{reason}: {origin}; calculates in {classifier.precision_by_layer}"
    return classifier


def _silent(line: str) -> None:
    del line
