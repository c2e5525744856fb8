"""The GPU through pycuda, on its primary context, so that ONNX Runtime and PyTorch can live beside us.

This module has not run on a GPU; it is written against pycuda's documented driver interface.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fer_perception.errors import BackendError, NotInstalledError
from fer_perception.inference.tensorrt.engine_key import cuda_description


class CudaDevice:
    """The first CUDA device. Made, used and closed by one thread; its context is current only inside `current()`.

    Raises:
        NotInstalledError: pycuda, the driver or a device is missing.
    """

    def __init__(self) -> None:
        try:
            import pycuda.driver as cuda
        except (ImportError, OSError) as err:
            msg = f"pycuda cannot be imported ({err}); install it (docs/jetson.md), or use backend onnxruntime"
            raise NotInstalledError(msg) from err
        self.cuda: Any = cuda
        try:
            cuda.init()
            self._device: Any = cuda.Device(0)
            self._context: Any = self._device.retain_primary_context()
        except cuda.Error as err:
            msg = f"there is no CUDA device that works ({err}); check the driver, or use backend onnxruntime"
            raise NotInstalledError(msg) from err
        self._thread = threading.get_ident()

    @property
    def name(self) -> str:
        """Of the device, e.g. "Orin"."""
        return str(self._device.name())

    @property
    def compute_capability(self) -> str:
        """E.g. "8.7"."""
        major, minor = self._device.compute_capability()
        return f"{major}.{minor}"

    @property
    def cuda_version(self) -> str:
        """CUDA version and, on a Jetson, the L4T release."""
        return cuda_description(self.cuda.get_version())

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make the primary context current for the body; CUDA's errors leave it as `BackendError`.

        Raises:
            BackendError: closed, another thread, or whatever CUDA says (device lost, out of memory).
        """
        if self._context is None:
            msg = "the CUDA device was closed; create the classifier again"
            raise BackendError(msg)
        if threading.get_ident() != self._thread:
            msg = "the CUDA device belongs to the thread that made it; create and use the classifier in one thread"
            raise BackendError(msg)
        try:
            self._context.push()
            try:
                yield
            finally:
                self._context.pop()
        except self.cuda.Error as err:
            msg = f"CUDA failed: {err}"
            raise BackendError(msg) from err

    def close(self) -> None:
        """Release the primary context; idempotent. What lives in it must be gone already."""
        self._context = None
