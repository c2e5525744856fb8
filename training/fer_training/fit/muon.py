"""Muon: steps along the orthogonalized momentum of each weight matrix, AdamW for everything else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

#: Coefficients of the quintic iteration, which trade an exact limit for speed: singular values end near 1, not at it.
_QUINTIC = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
#: Root mean square of an update of AdamW; a matrix' update is scaled to it, so that both take one learning rate.
_ADAMW_RMS = 0.2


def orthogonalized(matrix: Tensor) -> Tensor:
    """The nearest semi-orthogonal matrix, roughly: U V^T of the singular value decomposition U S V^T.

    Newton-Schulz iteration of the fifth order, whose only operation is the matrix product.

    Args:
        matrix: (R, C) float32.

    Returns:
        (R, C) float32 with singular values near 1 (0.6 to 1.3), less where the matrix has some far below its norm;
        zeros where the matrix is zero.
    """
    a, b, c = _QUINTIC
    tall = matrix.shape[0] > matrix.shape[1]
    wide: Tensor = (matrix.T if tall else matrix) / matrix.norm().clamp_min(1e-12)
    for _ in range(_ITERATIONS):
        gram = wide @ wide.T
        wide = a * wide + (b * gram + c * gram @ gram) @ wide
    return wide.T if tall else wide


class Muon(torch.optim.AdamW):
    """MomentUm Orthogonalized by Newton-Schulz (Jordan et al. 2024, "Muon: an optimizer for hidden layers").

    A convolution's weight is taken as the matrix (output channels, input channels * kernel). Its update is scaled to
    the size of one of AdamW (Liu et al. 2025, "Muon is scalable for LLM training"), so that learning rate and weight
    decay mean the same for all weights. `torch.optim.Muon` takes matrices alone, hence this one.

    Args:
        matrices: weights of two and more dimensions to be updated so.
        others: groups of parameters for AdamW, as `torch.optim.AdamW` takes them.
        lr: learning rate of all.
        momentum: of the matrices, Nesterov's.
        weight_decay: decoupled, of the matrices; the groups bring their own.
    """

    def __init__(
        self,
        matrices: Iterable[nn.Parameter],
        others: Iterable[dict[str, Any]],
        *,
        lr: float,
        momentum: float,
        weight_decay: float,
    ) -> None:
        # A group must not be empty.
        groups = [group for group in others if group["params"]]
        own = [{"params": list(matrices), "weight_decay": weight_decay, "momentum": momentum}]
        super().__init__([group for group in own if group["params"]] + groups, lr=lr)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update all parameters that have a gradient; those of the matrices are used up."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            if "momentum" not in group:
                continue
            lr, momentum = float(group["lr"]), float(group["momentum"])
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(weight)
                    state["step"] = torch.tensor(0.0)  # AdamW looks for it in every state it loads.
                state["step"] += 1
                buffer: Tensor = state["momentum_buffer"]
                buffer.lerp_(weight.grad, 1 - momentum)
                flat = weight.grad.lerp(buffer, momentum).flatten(1)
                scale = _ADAMW_RMS * max(flat.shape) ** 0.5
                weight.mul_(1 - lr * float(group["weight_decay"]))
                weight.add_(orthogonalized(flat).view(weight.shape), alpha=-lr * scale)
                weight.grad = None  # AdamW, which comes now, passes over it.
        super().step()
        return loss
