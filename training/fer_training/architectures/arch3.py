"""ARCH-3: plain 3x3 convolutions without a separable branch, global average pooling (306,831 parameters)."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from .layers import GlobalAveragePooling, conv3x3, initialise

#: Output channels of each convolution and whether a max-pool 2 follows its batch normalisation.
PLAN: tuple[tuple[int, bool], ...] = (
    (8, False),
    (8, False),
    (16, False),
    (16, False),
    (16, True),
    (32, False),
    (32, True),
    (64, False),
    (64, True),
    (128, False),
    (128, False),
)


def plain_features(in_channels: int) -> nn.Sequential:
    """The convolutional part that ARCH-3 and ARCH-4 share: (B, in_channels, S, S) -> (B, 128, S/8, S/8).

    Every convolution is without bias and followed by batch normalisation and ReLU, with pooling before the ReLU.

    Args:
        in_channels: channels of the input, 1 or 3.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    channels = in_channels
    for index, (width, pool) in enumerate(PLAN, start=1):
        layers[f"conv2d_{index}"] = conv3x3(channels, width)
        layers[f"bn_{index}"] = nn.BatchNorm2d(width)
        if pool:
            layers[f"pool_{index}"] = nn.MaxPool2d(2)
        layers[f"relu_{index}"] = nn.ReLU(inplace=True)
        channels = width
    return nn.Sequential(layers)


class Arch3(nn.Module):
    """ARCH-3.

    Args:
        in_channels: channels of the input, 1 or 3.
        input_size: side of the square input in pixels (any size works: the head averages).
        num_classes: K, number of outputs.
        dropout: share of the features dropped before the last convolution, [0, 1); not in the paper's table.
    """

    def __init__(
        self,
        *,
        in_channels: int = 1,
        input_size: int = 48,  # noqa: ARG002  (every network takes it)
        num_classes: int = 7,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.features = plain_features(in_channels)
        self.dropout = nn.Dropout(dropout) if dropout > 0 else None
        self.conv2d_12 = conv3x3(128, num_classes, bias=True)
        self.global_average_pooling = GlobalAveragePooling()
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, S, S) float -> logits (B, K)."""
        x = self.features(x)
        if self.dropout is not None:
            x = self.dropout(x)
        return self.global_average_pooling(self.conv2d_12(x))  # type: ignore[no-any-return]
