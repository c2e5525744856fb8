"""Import of TensorRT, and its messages in our log.

This module has not run with TensorRT installed on a GPU.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fer_perception.errors import BackendError, FerError, NotInstalledError

logger = logging.getLogger(__name__)


def import_tensorrt() -> Any:
    """The module `tensorrt`.

    Raises:
        NotInstalledError: it is not installed or its libraries do not load.
    """
    try:
        import tensorrt
    except (ImportError, OSError, RuntimeError) as err:
        msg = f"tensorrt cannot be imported ({err}); install it (docs/jetson.md), or use backend onnxruntime"
        raise NotInstalledError(msg) from err
    return tensorrt


@contextmanager
def library_errors(doing: str) -> Iterator[None]:
    """Whatever the bindings raise in the body leaves it as `BackendError`.

    They raise what pybind11 makes of a C++ failure, e.g. `TypeError` from `Builder(...)` where CUDA does not start.

    Args:
        doing: what the body does, for the message.

    Raises:
        BackendError: see above; this project's own errors pass through.
    """
    try:
        yield
    except FerError:
        raise
    except Exception as err:
        msg = f"{doing} failed: {type(err).__name__}: {err}; set backend to onnxruntime to do without TensorRT"
        raise BackendError(msg) from err


def make_logger(trt: Any) -> Any:
    """An `ILogger` that writes into Python's log and keeps the last error in `last_error`.

    Args:
        trt: the module.
    """
    levels = {
        trt.ILogger.INTERNAL_ERROR: logging.ERROR,
        trt.ILogger.ERROR: logging.ERROR,
        trt.ILogger.WARNING: logging.INFO,
        trt.ILogger.INFO: logging.DEBUG,
        trt.ILogger.VERBOSE: logging.DEBUG,
    }

    class Log(trt.ILogger):  # type: ignore[misc, name-defined, unused-ignore]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.last_error = ""

        def log(self, severity: Any, message: str) -> None:
            level = levels.get(severity, logging.DEBUG)
            if level == logging.ERROR:
                self.last_error = message
            logger.log(level, "TensorRT: %s", message)

    return Log()
