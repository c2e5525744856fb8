"""ARCH-2: the features of ARCH-1 with a dense head (1,142,463 parameters)."""

from __future__ import annotations

from torch import Tensor, nn

from .arch1 import SeparableFeatures
from .dense_head import DenseHead
from .layers import initialise


class Arch2(nn.Module):
    """ARCH-2: max-pool, flatten and three dense layers in place of ARCH-1's last convolution and average pooling.

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
        self.features = SeparableFeatures(in_channels=in_channels, input_size=input_size)
        self.head = DenseHead(channels=128, side=self.features.output_size, num_classes=num_classes, dropout=dropout)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, S, S) float -> logits (B, K)."""
        return self.head(self.features(x))  # type: ignore[no-any-return]
