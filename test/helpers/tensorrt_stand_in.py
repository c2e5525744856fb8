"""A stand-in for TensorRT and pycuda where there is no GPU: the documented names of one version, and no others.

An "engine" is the ONNX file behind a header, run by ONNX Runtime out of "device memory" that is host memory. It shows
that our calls are spelled and ordered as documented; it shows nothing of a GPU.
"""

from __future__ import annotations

import ctypes
import enum
import json
from types import SimpleNamespace

import numpy as np
import onnxruntime

HEADER = b"stand-in engine "
#: A timing cache that is refused.
DAMAGED = b"damaged"


class Counts:
    """What was made and not released."""

    def __init__(self) -> None:
        self.pushed = 0
        self.memory = 0
        self.fail_next_copy = False


def make_pycuda(counts: Counts) -> SimpleNamespace:
    class Error(Exception):
        pass

    class Context:
        def push(self) -> None:
            counts.pushed += 1

        def pop(self) -> None:
            counts.pushed -= 1

    class Device:
        def __init__(self, index: int) -> None:
            assert index == 0

        def name(self) -> str:
            return "Stand-in"

        def compute_capability(self) -> tuple[int, int]:
            return (8, 7)

        def retain_primary_context(self) -> Context:
            return Context()

    class Memory:
        def __init__(self, size: int) -> None:
            assert counts.pushed
            self.buffer = ctypes.create_string_buffer(size)
            counts.memory += 1

        def __int__(self) -> int:
            return ctypes.addressof(self.buffer)

        def free(self) -> None:
            assert counts.pushed, "device memory is freed while its context is current"
            counts.memory -= 1

    class Stream:
        handle = 7

        def synchronize(self) -> None:
            assert counts.pushed

    def copy_in(target: Memory, source: np.ndarray, stream: Stream) -> None:
        if counts.fail_next_copy:
            counts.fail_next_copy = False
            msg = "an illegal memory access was encountered"
            raise Error(msg)
        ctypes.memmove(int(target), source.ctypes.data, source.nbytes)

    def copy_out(target: np.ndarray, source: Memory, stream: Stream) -> None:
        ctypes.memmove(target.ctypes.data, int(source), target.nbytes)

    return SimpleNamespace(
        Error=Error,
        Device=Device,
        Stream=Stream,
        init=lambda: None,
        get_version=lambda: (12, 6, 0),
        mem_alloc=Memory,
        pagelocked_empty=np.empty,
        memcpy_htod_async=copy_in,
        memcpy_dtoh_async=copy_out,
    )


def make_tensorrt(version: str, counts: Counts) -> SimpleNamespace:
    major, minor = (int(part) for part in version.split(".")[:2])

    class Logger:
        INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)

        def log(self, severity: int, message: str) -> None:
            raise NotImplementedError

    class Mode(enum.Enum):
        NONE, INPUT, OUTPUT = range(3)

    class Tensor:
        name, dtype = "images", "float32"

    class Layer:
        num_outputs = 1

        def __init__(self, kind: str) -> None:
            self.type = SimpleNamespace(name=kind)
            self.precision = None
            self.output_type = None

        def get_output(self, index: int) -> Tensor:
            return Tensor()

        def set_output_type(self, index: int, dtype: str) -> None:
            self.output_type = dtype

    class Network:
        def __init__(self, flags: int) -> None:
            self.flags, self.data = flags, b""
            self.layers = [Layer("REDUCE"), Layer("CONVOLUTION"), Layer("SOFTMAX")]
            self.num_layers = 3

        def get_layer(self, index: int) -> Layer:
            return self.layers[index]

        def get_input(self, index: int) -> Tensor:
            return Tensor()

    class Parser:
        num_errors = 1

        def __init__(self, network: Network, logger: Logger) -> None:
            self.network = network

        def parse(self, data: bytes) -> bool:
            self.network.data = data
            return b"Softmax" in data

        def get_error(self, index: int) -> SimpleNamespace:
            return SimpleNamespace(desc=lambda: "there is no softmax")

    class Timings:
        def __init__(self, data: bytes) -> None:
            self.data = data

        def serialize(self) -> bytes:
            return self.data + b"."

    class Config:
        __slots__ = ("flags", "pool", "profile", "profiling_verbosity", "progress_monitor", "timings")

        def __init__(self) -> None:
            self.flags: list[str] = []
            self.progress_monitor = None

        def set_memory_pool_limit(self, pool: str, size: int) -> None:
            self.pool = (pool, size)

        def set_flag(self, flag: str) -> None:
            self.flags.append(flag)

        def add_optimization_profile(self, profile: dict) -> None:
            self.profile = profile

        def create_timing_cache(self, data: bytes) -> Timings | None:
            return None if data == DAMAGED else Timings(data)

        def set_timing_cache(self, cache: Timings, ignore_mismatch: bool) -> bool:
            if cache is None:
                msg = "incompatible function arguments"
                raise TypeError(msg)
            self.timings = cache
            return not ignore_mismatch

        def get_timing_cache(self) -> Timings:
            return self.timings

    class Profile(dict):
        def set_shape(self, name: str, *shapes: tuple[int, ...]) -> None:
            self[name] = shapes

    class Builder:
        def __init__(self, logger: Logger) -> None:
            assert counts.pushed

        def create_network(self, flags: int) -> Network:
            return Network(flags)

        def create_builder_config(self) -> Config:
            return Config()

        def create_optimization_profile(self) -> Profile:
            return Profile()

        def build_serialized_network(self, network: Network, config: Config) -> bytes:
            assert config.profiling_verbosity == "detailed"
            if config.progress_monitor is not None:
                config.progress_monitor.phase_start("Building", None, 2)
                assert config.progress_monitor.step_complete("Building", 0)
                config.progress_monitor.phase_finish("Building")
            facts = {
                "network_flags": network.flags,
                "flags": config.flags,
                "profile": config.profile["images"],
                "pinned": [layer.precision == layer.output_type == "float32" for layer in network.layers],
                "monitor": config.progress_monitor is not None,
            }
            head = json.dumps(facts).encode()
            return HEADER + len(head).to_bytes(4, "little") + head + network.data

    class Engine:
        num_io_tensors = 2

        def __init__(self, data: bytes) -> None:
            size = int.from_bytes(data[len(HEADER) : len(HEADER) + 4], "little")
            head = data[len(HEADER) + 4 : len(HEADER) + 4 + size]
            self.facts = json.loads(head)
            self.session = onnxruntime.InferenceSession(data[len(HEADER) + 4 + size :])

        def get_tensor_name(self, index: int) -> str:
            return ("images", "probabilities")[index]

        def get_tensor_mode(self, name: str) -> Mode:
            return Mode.INPUT if name == "images" else Mode.OUTPUT

        def get_tensor_shape(self, name: str) -> tuple[int, ...]:
            return (-1, 1, 48, 48) if name == "images" else (-1, self.session.get_outputs()[0].shape[1])

        def get_tensor_dtype(self, name: str) -> str:
            return "float32"

        def get_tensor_profile_shape(self, name: str, profile: int) -> list:
            return self.facts["profile"]

        def create_execution_context(self) -> object:
            return (ContextV3 if (major, minor) >= (8, 5) else ContextV2)(self)

        def create_engine_inspector(self) -> Inspector:
            return Inspector(self)

    class Inspector:
        def __init__(self, engine: Engine) -> None:
            self.engine = engine
            self.execution_context = None

        def get_engine_information(self, layout: str) -> str:
            assert layout == "json"
            half = "FP16" in self.engine.facts["flags"] or b"half" in str(self.engine.session.get_modelmeta()).encode()
            words = ("Row major linear FP16 format" if major < 10 else "Half") if half else "Float"
            if self.execution_context is None:
                words = "N/A due to dynamic shapes"
            tensors = [{"Name": "t", "Format/Datatype": words}]
            return json.dumps({"Layers": [{"LayerType": "CaskConvolution", "Inputs": tensors, "Outputs": tensors}]})

    class ContextV2:
        def __init__(self, engine: Engine) -> None:
            self.engine, self.shape, self.addresses = engine, None, {}

        def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
            self.shape = shape
            return True

        def execute_v2(self, bindings: list[int]) -> bool:
            shape = self.shape
            source = (ctypes.c_float * int(np.prod(shape))).from_address(bindings[0])
            batch = np.ctypeslib.as_array(source).reshape(shape)
            (answer,) = self.engine.session.run(None, {"images": batch})
            ctypes.memmove(bindings[1], np.ascontiguousarray(answer).ctypes.data, answer.nbytes)
            return True

    class ContextV3(ContextV2):
        def set_tensor_address(self, name: str, address: int) -> bool:
            self.addresses[name] = address
            return True

        def execute_async_v3(self, stream_handle: int) -> bool:
            assert stream_handle == 7
            return ContextV2.execute_v2(self, [self.addresses["images"], self.addresses["probabilities"]])

    class Runtime:
        def __init__(self, logger: Logger) -> None:
            self.logger = logger

        def deserialize_cuda_engine(self, data: bytes) -> Engine | None:
            assert counts.pushed
            if not data.startswith(HEADER):
                self.logger.log(Logger.ERROR, "magicTag does not match")
                return None
            return Engine(data)

    creation = {"EXPLICIT_BATCH": 0} if major < 11 else {}
    creation |= {"STRONGLY_TYPED": 1} if major >= 10 else {}
    flags = {"FP16": "FP16", "OBEY_PRECISION_CONSTRAINTS": "OBEY"} if major < 11 else {}
    module = SimpleNamespace(
        __version__=version,
        ILogger=Logger,
        TensorIOMode=Mode,
        Builder=Builder,
        OnnxParser=Parser,
        Runtime=Runtime,
        float32="float32",
        MemoryPoolType=SimpleNamespace(WORKSPACE="workspace"),
        ProfilingVerbosity=SimpleNamespace(DETAILED="detailed"),
        LayerInformationFormat=SimpleNamespace(JSON="json"),
        NetworkDefinitionCreationFlag=SimpleNamespace(**creation),
        BuilderFlag=SimpleNamespace(**flags),
    )
    if major >= 10:
        module.IProgressMonitor = type("IProgressMonitor", (), {})
    return module
