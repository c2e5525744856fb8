"""A device that is not the processor, pretended: finds tensors left behind on the processor where there is no GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_flatten, tree_map_only

#: A device type that PyTorch knows and that needs no driver to be named.
OTHER = torch.device("maia", 0)
aten = torch.ops.aten
#: An accelerator copies between devices, and takes the indices (not what is indexed) from the processor.
_COPIES = {aten._to_copy.default, aten.copy_.default}
_INDEXED = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default}


class LeftBehindError(AssertionError):
    """An operation got tensors of two devices: on a GPU it would have failed."""


class Elsewhere(torch.Tensor):
    """Says that it lies on `OTHER`; its values are in `inner`, on the processor."""

    inner: torch.Tensor

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> Elsewhere:
        tensor = torch.Tensor._make_wrapper_subclass(
            cls, inner.size(), strides=inner.stride(), dtype=inner.dtype, device="meta"
        )
        tensor.inner = inner
        return tensor

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        """Where the tensor says that it is."""
        return OTHER

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class _Operations(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class _FromNumbers(TorchFunctionMode):
    """Makes tensors of Python numbers: PyTorch does so out of the sight of a dispatch mode."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in {torch.tensor, torch.as_tensor} and kwargs.get("device") == OTHER:
            return func(*args, **{**kwargs, "device": None}).to(OTHER)
        return func(*args, **kwargs)


@contextmanager
def other_device() -> Iterator[torch.device]:
    """Within, tensors can be made on `OTHER`, moved there and calculated with."""
    with _Operations(), _FromNumbers():
        yield OTHER


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Do it on the processor, with the rules of an accelerator about where things lie."""
    device = kwargs.get("device")
    moved = device is not None and torch.device(device).type in {OTHER.type, "meta"}
    if moved:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    # Of an indexed tensor and its indices, only the tensor (and new values) must be on the device.
    strict = (args[0], *args[2:]) if func in _INDEXED else (args, kwargs)
    tensors = [value for value in tree_flatten(strict)[0] if isinstance(value, torch.Tensor)]
    there = any(isinstance(value, Elsewhere) for value in tensors)
    # A single number may come from the processor.
    here = [value for value in tensors if not isinstance(value, Elsewhere) and value.ndim]
    if there and here and func not in _COPIES:
        msg = f"{func} got tensors of {OTHER} and of the processor, {[tuple(value.shape) for value in here]}"
        raise LeftBehindError(msg)
    plain_args, plain_kwargs = tree_map_only(Elsewhere, lambda value: value.inner, (args, kwargs))
    with _disable_current_modes():
        out = func(*plain_args, **plain_kwargs)
    if func is aten.copy_.default or func._schema.name.endswith("_"):
        return args[0]  # in place
    return tree_map_only(torch.Tensor, Elsewhere, out) if moved or (there and device is None) else out
