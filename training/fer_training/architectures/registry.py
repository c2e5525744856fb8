"""Registry of the networks, imported when they are built: naming one, as a recipe does, needs no PyTorch.

Batch normalization keeps PyTorch's defaults (eps 1e-5, running statistics updated by 0.1 a step); the papers used
Keras, whose defaults are eps 1e-3 and an update of 0.01: `create(..., bn_eps=1e-3, bn_momentum=0.01)` gives those.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from fer_perception.errors import ConfigError

if TYPE_CHECKING:
    from torch import nn

#: Module of this package and class of each network, in the order of the documentation.
_NETWORKS: dict[str, tuple[str, str]] = {
    "arch1": ("arch", "Arch1"),
    "arch2": ("arch", "Arch2"),
    "arch3": ("arch", "Arch3"),
    "arch4": ("arch", "Arch4"),
    "ires_separable": ("ires_separable", "IresSeparable"),
    "sepconv_attention": ("sepconv_attention", "SepconvAttention"),
    "mini_xception": ("mini_xception", "MiniXception"),
    "simple_cnn": ("simple_cnn", "SimpleCnn"),
    "simpler_cnn": ("simple_cnn", "SimplerCnn"),
    "lenet": ("lenet", "Lenet"),
    "resnet50": ("resnet50", "Resnet50"),
    "teacher": ("teacher", "Teacher"),
    "teacher_large": ("teacher", "TeacherLarge"),
}

#: Below this side the deepest pooling of some network would leave nothing.
MIN_INPUT_SIZE = 32


class ArchitectureError(ConfigError):
    """An unknown network or an argument it cannot take."""


def names() -> list[str]:
    """Names of all networks, in the order of the documentation."""
    return list(_NETWORKS)


def _network_class(name: str) -> Callable[..., nn.Module]:
    module, cls = _NETWORKS[name]
    return cast("Callable[..., nn.Module]", getattr(importlib.import_module(f"{__package__}.{module}"), cls))


def options(name: str) -> list[str]:
    """The keyword arguments that only this network takes, sorted."""
    return sorted(
        set(inspect.signature(_network_class(name)).parameters) - {"in_channels", "input_size", "num_classes"}
    )


def create(
    name: str,
    *,
    in_channels: int = 1,
    input_size: int = 48,
    num_classes: int = 7,
    bn_eps: float | None = None,
    bn_momentum: float | None = None,
    **keywords: Any,
) -> nn.Module:
    """Build a network with freshly initialized weights.

    Args:
        name: one of `names()`.
        in_channels: channels of the input, 1 (gray) or 3.
        input_size: side of the square input in pixels, at least 32.
        num_classes: K, number of classes, at least 2.
        bn_eps: added to the variance in batch normalization, (0, 1]; None keeps 1e-5.
        bn_momentum: share by which a step updates the running statistics, (0, 1]; None keeps 0.1.
        **keywords: what the network of that name takes besides (see `options`), e.g. `dropout`.

    Returns:
        A module: normalized float (B, in_channels, input_size, input_size) -> logits (B, K).

    Raises:
        ArchitectureError: unknown name or option, or a size or a value of an option that makes no network.
    """
    from torch import nn

    if name not in _NETWORKS:
        msg = f"there is no network {name!r}; expected one of {', '.join(names())}"
        raise ArchitectureError(msg)
    if in_channels not in (1, 3):
        msg = f"in_channels is {in_channels}; expected 1 (gray) or 3 (color)"
        raise ArchitectureError(msg)
    if input_size < MIN_INPUT_SIZE:
        msg = f"input_size is {input_size}; expected at least {MIN_INPUT_SIZE} pixels"
        raise ArchitectureError(msg)
    if num_classes < 2:
        msg = f"num_classes is {num_classes}; expected at least 2"
        raise ArchitectureError(msg)
    unknown = sorted(set(keywords) - set(options(name)))
    if unknown:
        takes = ", ".join(options(name)) or "none"
        msg = f"{name} does not take {', '.join(unknown)}; the options it takes are: {takes}"
        raise ArchitectureError(msg)
    for key, value in (("bn_eps", bn_eps), ("bn_momentum", bn_momentum)):
        if value is not None and not (isinstance(value, int | float) and 0 < value <= 1):
            msg = f"{key} is {value!r}; expected a number above 0, 1 at most"
            raise ArchitectureError(msg)
    try:
        network = _network_class(name)(
            in_channels=in_channels, input_size=input_size, num_classes=num_classes, **keywords
        )
    except (TypeError, ValueError, RuntimeError, ArithmeticError) as err:
        # What PyTorch and Python say of a dropout of 2, a depth of "deep" or a negative width.
        words = " ".join(str(err).split())[:200]
        given = keywords or {"in_channels": in_channels, "input_size": input_size, "num_classes": num_classes}
        msg = f"{name} cannot be built with {', '.join(f'{k}={v!r}' for k, v in given.items())} ({words})"
        raise ArchitectureError(msg) from err
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
            module.eps = module.eps if bn_eps is None else bn_eps
            module.momentum = module.momentum if bn_momentum is None else bn_momentum
    return network


def head_tensors(name: str, **arguments: Any) -> set[str]:
    """Names in the state dict whose shape depends on the number of classes: what fine-tuning to other classes replaces.

    Args:
        name: one of `names()`.
        **arguments: of `create`.

    Raises:
        ArchitectureError: as `create`.
    """
    import torch

    classes = int(arguments.pop("num_classes", 7))
    with torch.device("meta"):
        one = create(name, num_classes=classes, **arguments).state_dict()
        other = create(name, num_classes=classes + 1, **arguments).state_dict()
    return {key for key, value in one.items() if other[key].shape != value.shape}
