"""`Network` on ONNX Runtime: processor, CUDA or TensorRT execution provider."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_perception.errors import BackendError, ModelError, NotInstalledError
from fer_perception.inference.network import TensorInfo

#: Execution provider of each backend name.
PROVIDERS: dict[str, str] = {
    "onnxruntime": "CPUExecutionProvider",
    "onnxruntime_cuda": "CUDAExecutionProvider",
    "onnxruntime_tensorrt": "TensorrtExecutionProvider",
}

#: Time that a network's first answer may take, in s; on a busy processor a good one takes less than one.
FIRST_RUN_DEADLINE = 60.0


def import_onnxruntime() -> Any:
    """The module `onnxruntime`.

    Raises:
        NotInstalledError: it is not installed, or does not load.
    """
    try:
        import onnxruntime
    except ImportError as err:
        msg = f"the package onnxruntime is not installed ({err}); `pip install onnxruntime` brings it"
        raise NotInstalledError(msg) from None
    return onnxruntime


class OnnxRuntimeNetwork:
    """A `Network` that runs in one ONNX Runtime session.

    Spinning is off: waiting threads sleep, so that a robot's processor is not busy between frames.

    Args:
        model: the content of an ONNX file, or its path where it keeps tensors in other files.
        name: of the model, for messages.
        backend: a key of `PROVIDERS`.
        threads: processor threads; 0 = one a core.
        provider_options: of the execution provider (onnxruntime.ai, "Execution Providers").

    Raises:
        NotInstalledError: ONNX Runtime, or the provider, is not installed.
        ModelError: the processor cannot load the graph.
        BackendError: the provider cannot run the graph, or did not start.
    """

    def __init__(
        self,
        model: bytes | Path,
        *,
        name: str,
        backend: str = "onnxruntime",
        threads: int = 0,
        provider_options: Mapping[str, str] | None = None,
    ) -> None:
        runtime = import_onnxruntime()
        self._name = name
        self._provider = PROVIDERS[backend]
        available = runtime.get_available_providers()
        if self._provider not in available:
            msg = (
                f"the installed onnxruntime {runtime.__version__} has no {self._provider} (it has "
                f"{', '.join(available)}); install onnxruntime-gpu instead of onnxruntime, or set backend to "
                "onnxruntime"
            )
            raise NotInstalledError(msg)
        try:
            # Without its fallback, which would report on stdout, where results go.
            session = runtime.InferenceSession(
                model if isinstance(model, bytes) else str(model),
                session_options(threads),
                providers=[(self._provider, dict(provider_options or {}))],
                enable_fallback=0,
            )
        except Exception as err:
            if backend == "onnxruntime":
                msg = f"{name} cannot be loaded by ONNX Runtime {runtime.__version__}: {_first_line(err)}"
                raise ModelError(msg) from err
            msg = f"{self._provider} cannot run {name}: {_first_line(err)}; set backend to onnxruntime or auto"
            raise BackendError(msg) from err
        if session.get_providers()[0] != self._provider:
            msg = (
                f"{self._provider} did not start (ONNX Runtime took {session.get_providers()[0]} instead); check the "
                "driver and the CUDA, cuDNN and TensorRT libraries, or set backend to onnxruntime"
            )
            raise BackendError(msg)
        session.disable_fallback()
        self.inputs: tuple[TensorInfo, ...] = _infos(session.get_inputs())
        self.outputs: tuple[TensorInfo, ...] = _infos(session.get_outputs())
        self._session: Any = session
        self._started = False

    @property
    def device(self) -> str:
        """The name of the execution provider after "onnxruntime/"."""
        return f"onnxruntime/{self._provider}"

    def run(self, inputs: Mapping[str, NDArray[np.float32]], outputs: Sequence[str]) -> list[NDArray[np.float32]]:
        """See `Network.run`."""
        if self._session is None:
            msg = f"{self._name} was closed; create another one"
            raise BackendError(msg)
        try:
            if self._started:
                answer = self._session.run(list(outputs), dict(inputs))
            else:
                answer = self._first_run(list(outputs), dict(inputs))
        except ModelError:
            raise
        except Exception as err:
            shapes = ", ".join(f"{name} {array.shape}" for name, array in inputs.items())
            msg = f"{self.device} failed on {shapes}: {_first_line(err)}"
            raise BackendError(msg) from err
        return [np.asarray(output, dtype=np.float32) for output in answer]

    def _first_run(self, outputs: list[str], inputs: dict[str, NDArray[np.float32]]) -> Any:
        """Runs under a deadline: what the graph of a file takes does not show before."""
        options = import_onnxruntime().RunOptions()
        alarm = threading.Timer(FIRST_RUN_DEADLINE, setattr, (options, "terminate", True))
        alarm.daemon = True
        alarm.start()
        try:
            answer = self._session.run(outputs, inputs, options)
        except Exception as err:
            if options.terminate:
                msg = f"{self._name} had not answered within {FIRST_RUN_DEADLINE:.0f} s; take a smaller network"
                raise ModelError(msg) from err
            raise
        finally:
            alarm.cancel()
        self._started = True
        return answer

    def close(self) -> None:
        """Releases the session; idempotent."""
        self._session = None


def session_options(threads: int) -> Any:
    """Options of every ONNX Runtime session on the robot: quiet, in order, sleeping while they wait.

    Args:
        threads: processor threads; 0 = one a core that this process may use.
    """
    # Told no number, ONNX Runtime pins each thread to a core of the machine, which fails loudly in a container that has
    # only some of them.
    threads = threads or usable_cores()
    options = import_onnxruntime().SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def usable_cores() -> int:
    """The number of cores this process may run on (the affinity mask; on Linux that is a container's cpuset)."""
    try:
        return len(os.sched_getaffinity(0)) or 1
    except AttributeError:
        # macOS and Windows have no such call.
        return os.cpu_count() or 1


def _infos(values: Sequence[Any]) -> tuple[TensorInfo, ...]:
    return tuple(
        TensorInfo(
            value.name,
            value.type.removeprefix("tensor(").removesuffix(")"),
            tuple(side if isinstance(side, int) else None for side in value.shape),
        )
        for value in values
    )


def _first_line(err: Exception) -> str:
    return (str(err).strip().splitlines() or [type(err).__name__])[0]
