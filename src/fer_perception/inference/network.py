"""The `Network` protocol: named float32 arrays in and out of an ONNX graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of a graph.

    Attributes:
        name: as in the graph.
        dtype: ONNX type, "float" for float32.
        shape: each side in elements; None where the graph leaves it open (dynamic).
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        """For messages, for example `images float [N, 1, 48, 48]`."""
        return f"{self.name} {self.dtype} [{', '.join('N' if side is None else str(side) for side in self.shape)}]"


class Network(Protocol):
    """An ONNX graph that is ready to run. Made, used and closed by one thread.

    Example:
        >>> from fer_perception.inference.onnxruntime_network import OnnxRuntimeNetwork
        >>> from fer_perception.system.paths import share_directory
        >>> model = (share_directory() / "models" / "arch1_fer2013.onnx").read_bytes()
        >>> network = OnnxRuntimeNetwork(model, name="arch1", threads=1)
        >>> images = np.zeros((2, 1, 48, 48), dtype=np.float32)
        >>> [probabilities] = network.run({"images": images}, ["probabilities"])
        >>> probabilities.shape
        (2, 7)
        >>> network.close()
    """

    @property
    def device(self) -> str:
        """The backend and what it runs on, e.g. "onnxruntime/CPUExecutionProvider"."""

    @property
    def inputs(self) -> Sequence[TensorInfo]:
        """Inputs of the graph."""

    @property
    def outputs(self) -> Sequence[TensorInfo]:
        """Outputs of the graph."""

    def run(self, inputs: Mapping[str, NDArray[np.float32]], outputs: Sequence[str]) -> list[NDArray[np.float32]]:
        """Runs the graph.

        Args:
            inputs: an array for each input, of the shapes that `inputs` says.
            outputs: names of the outputs wanted.

        Returns:
            The outputs in the order asked for.

        Raises:
            BackendError: it failed, or it was closed.
        """

    def close(self) -> None:
        """Releases the session and its memory; idempotent."""
