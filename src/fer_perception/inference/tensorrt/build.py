"""Build of a serialized TensorRT engine from ONNX through the ONNX parser, versions 8.6 to 11.

What differs between versions is data in `version.py`. This module has not run on a GPU; it is written against
the documented Python interface.
"""

from __future__ import annotations

from typing import Any

from fer_perception.errors import BackendError, ModelError
from fer_perception.inference.tensorrt.build_progress import BuildProgress, ticking
from fer_perception.inference.tensorrt.engine_key import PROFILE
from fer_perception.inference.tensorrt.library import make_logger
from fer_perception.inference.tensorrt.version import BuildPlan, full_precision_layers
from fer_perception.model_files.onnx_file import ModelFile

#: Workspace the tactics may use, in bytes; the largest layer of our networks needs a fraction of it.
WORKSPACE = 256 * 2**20


def build_engine(
    trt: Any, graph: ModelFile, plan: BuildPlan, *, timing_cache: bytes, progress: BuildProgress
) -> tuple[bytes, bytes]:
    """Build an engine with dynamic batch.

    Args:
        trt: the module `tensorrt`.
        graph: the file `plan.graph` asks for.
        plan: of this version.
        timing_cache: kernel timings of earlier builds, or empty.
        progress: gets the phases.

    Returns:
        The serialized engine and the serialized timing cache.

    Raises:
        ModelError: the parser does not take the file.
        BackendError: the build failed; the message has TensorRT's last error.
    """
    log = make_logger(trt)
    builder = trt.Builder(log)
    flags = 0
    for name in plan.network_flags:
        flags |= 1 << int(getattr(trt.NetworkDefinitionCreationFlag, name))
    network = builder.create_network(flags)
    _parse(trt, network, graph, log)
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    for name in plan.builder_flags:
        config.set_flag(getattr(trt.BuilderFlag, name))
    if plan.pins_layers:
        _pin_layers(trt, network)
    _add_profile(builder, config, network, graph)
    # A damaged one is refused; without any, the kernels are timed again.
    timings = config.create_timing_cache(timing_cache) or config.create_timing_cache(b"")
    config.set_timing_cache(timings, ignore_mismatch=False)
    monitor = _monitor(trt, progress) if plan.progress_monitor else None
    if monitor is not None:
        config.progress_monitor = monitor
    with ticking(progress):
        engine = builder.build_serialized_network(network, config)
    if engine is None:
        msg = f"TensorRT {trt.__version__} could not build {graph.path}: {log.last_error or 'no reason given'}"
        raise BackendError(msg)
    return bytes(engine), bytes(config.get_timing_cache().serialize())


def _parse(trt: Any, network: Any, graph: ModelFile, log: Any) -> None:
    parser = trt.OnnxParser(network, log)
    parsed = parser.parse_from_file(str(graph.path)) if graph.external else parser.parse(graph.data)
    if not parsed:
        errors = "; ".join(parser.get_error(index).desc() for index in range(parser.num_errors))
        msg = (
            f"TensorRT {trt.__version__} does not take {graph.path}: {errors or log.last_error}; "
            "export it with `fer-train export`, which keeps to what 8.6 reads (opset 17, IR 8)"
        )
        raise ModelError(msg)


def _pin_layers(trt: Any, network: Any) -> None:
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    for index in full_precision_layers([layer.type.name for layer in layers]):
        layer = layers[index]
        outputs = range(layer.num_outputs)
        if all(layer.get_output(output).dtype == trt.float32 for output in outputs):
            layer.precision = trt.float32
            for output in outputs:
                layer.set_output_type(output, trt.float32)


def _add_profile(builder: Any, config: Any, network: Any, graph: ModelFile) -> None:
    shape = graph.metadata().input_shape
    profile = builder.create_optimization_profile()
    smallest, preferred, largest = ((batch, *shape) for batch in PROFILE)
    profile.set_shape(network.get_input(0).name, smallest, preferred, largest)
    config.add_optimization_profile(profile)


def _monitor(trt: Any, progress: BuildProgress) -> Any:
    class Monitor(trt.IProgressMonitor):  # type: ignore[misc, name-defined, unused-ignore]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            progress.phase_start(phase_name, parent_phase, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            return progress.step_complete(phase_name, step)

        def phase_finish(self, phase_name: str) -> None:
            progress.phase_finish(phase_name)

    return Monitor()
