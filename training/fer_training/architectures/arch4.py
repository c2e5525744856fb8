"""ARCH-4: the features of ARCH-3 with the dense head of ARCH-2 (1,155,343 parameters)."""

from __future__ import annotations

from torch import Tensor, nn

from .arch3 import plain_features
from .dense_head import DenseHead
from .layers import initialise


class Arch4(nn.Module):
    """ARCH-4.

    Args:
        in_channels: channels of the input, 1 or 3.
        input_size: side of the square input in pixels; the weights of the first dense layer depend on it.
        num_classes: K, number of outputs.
        dropout: before both hidden dense layers, [0, 1).
    """

    def __init__(
        self, *, in_channels: int = 1, input_size: int = 48, num_classes: int = 7, dropout: float = 0.5
    ) -> None:
        super().__init__()
        self.features = plain_features(in_channels)
        self.head = DenseHead(channels=128, side=input_size // 8, num_classes=num_classes, dropout=dropout)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, S, S) float -> logits (B, K)."""
        return self.head(self.features(x))  # type: ignore[no-any-return]
