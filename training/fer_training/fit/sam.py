"""Sharpness-aware minimization (Foret et al. 2021, ICLR): the gradient at the worst weights nearby."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

#: Keeps a gradient of zero from dividing by zero.
_EPSILON = 1e-12


@contextmanager
def perturbed_weights(network: nn.Module, radius: float) -> Iterator[None]:
    """Within, every weight with a gradient is moved by `radius` times the normalized gradient of all of them.

    Batch normalization does not update its running statistics within: they are of the weights that are kept.

    Args:
        network: with gradients from a backward pass; they are left as they are.
        radius: length of the step, in the L2 norm over all weights (rho of the paper, which takes 0.05).
    """
    weights = [p for p in network.parameters() if p.grad is not None]
    norms = [p.grad.norm() for p in weights if p.grad is not None]
    steps: list[Tensor] = []
    if norms:
        scale = radius / (torch.stack(norms).norm() + _EPSILON)
        steps = [p.grad * scale for p in weights if p.grad is not None]
    layers = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    momenta = [layer.momentum for layer in layers]
    before = [p.detach().clone() for p in weights]
    with torch.no_grad():
        for weight, step in zip(weights, steps, strict=True):
            weight.add_(step)
    for layer in layers:
        layer.momentum = 0.0
    try:
        yield
    finally:
        # Copied, not subtracted: adding and subtracting would not give the same weights back.
        with torch.no_grad():
            for weight, kept in zip(weights, before, strict=True):
                weight.copy_(kept)
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
