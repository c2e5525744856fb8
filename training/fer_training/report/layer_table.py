"""Layer table of a network, counted as the papers count: batch normalization has four numbers a channel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from fer_training.architectures.layers import SeparableConv2d

#: Modules that are one row although they have parts.
_WHOLE = (SeparableConv2d,)


@dataclass(frozen=True)
class LayerRow:
    """One layer.

    Attributes:
        name: path of the module in the network, as in its state dict; "softmax" for the last row.
        type: class of the module.
        output_shape: without the batch: (C, H, W), (T, d) or (K,).
        parameters: weights, biases and, for batch normalization, running means and variances.
    """

    name: str
    type: str
    output_shape: tuple[int, ...]
    parameters: int


@dataclass(frozen=True)
class Summary:
    """A network in numbers.

    Attributes:
        total: all parameters, running statistics included.
        trainable: those that training changes by gradient.
        multiply_adds: for one image.
        layers: rows in the order of execution.
    """

    total: int
    trainable: int
    multiply_adds: int
    layers: tuple[LayerRow, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON: keys total, trainable, multiply_adds, layers (name, type, output_shape, parameters)."""
        rows = [
            {
                "name": row.name,
                "type": row.type,
                "output_shape": list(row.output_shape),
                "parameters": row.parameters,
            }
            for row in self.layers
        ]
        return {
            "total": self.total,
            "trainable": self.trainable,
            "multiply_adds": self.multiply_adds,
            "layers": rows,
        }


def count_parameters(module: nn.Module) -> tuple[int, int]:
    """Total and trainable parameters; the running mean and variance count, the number of batches seen does not."""
    trainable = sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
    fixed = sum(parameter.numel() for parameter in module.parameters() if not parameter.requires_grad)
    statistics = sum(
        buffer.numel() for name, buffer in module.named_buffers() if not name.endswith("num_batches_tracked")
    )
    return trainable + fixed + statistics, trainable


def summarize(network: nn.Module, *, in_channels: int = 1, input_size: int = 48) -> Summary:
    """Run a blank image through a network and note what every layer does.

    Args:
        network: (B, in_channels, input_size, input_size) -> logits (B, K); its mode is left as it was.
        in_channels: channels of the input.
        input_size: side of the input in pixels.
    """
    rows: list[LayerRow] = []
    handles = [
        module.register_forward_hook(_note(name, rows)) for name, module in network.named_modules() if _is_row(module)
    ]
    # Parts of a whole row would come before it.
    inner = {
        f"{name}.{part}"
        for name, module in network.named_modules()
        if isinstance(module, _WHOLE)
        for part, _ in module.named_modules()
        if part
    }
    training = network.training
    device = next(network.parameters()).device
    image = torch.zeros(1, in_channels, input_size, input_size, device=device)
    counter = FlopCounterMode(display=False)
    try:
        network.eval()
        with torch.no_grad(), counter:
            logits = network(image)
    finally:
        network.train(training)
        for handle in handles:
            handle.remove()
    layers = [row for row in rows if row.name not in inner]
    layers.append(LayerRow("softmax", "Softmax", tuple(logits.shape[1:]), 0))
    total, trainable = count_parameters(network)
    return Summary(total, trainable, counter.get_total_flops() // 2, tuple(layers))


def _is_row(module: nn.Module) -> bool:
    return isinstance(module, _WHOLE) or not any(module.children())


def _note(name: str, rows: list[LayerRow]) -> Callable[[nn.Module, tuple[Any, ...], Tensor], None]:
    def hook(module: nn.Module, _inputs: tuple[Any, ...], output: Tensor) -> None:
        rows.append(LayerRow(name, type(module).__name__, tuple(output.shape[1:]), count_parameters(module)[0]))

    return hook
