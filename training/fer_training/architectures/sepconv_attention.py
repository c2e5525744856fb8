"""Separable convolutions and two kinds of attention (Khani Yengikand et al. 2023).

From the paper: six blocks, three of them separable convolution + batch normalization and three convolution + batch
normalization + pooling, with a residual shortcut; h is the map after the sixth, s what two more convolutions make of
it; additive attention v.tanh(W[h; s]) and multiplicative attention softmax(h s^T / sqrt d); both pooled,
concatenated, and a multi-layer perceptron with dropout 0.1 to 0.3.

Inferred, because the paper does not say: the two kinds of block alternate, with 32, 64 and 128 channels; ReLU after
each normalization; one strided 1x1 shortcut around each pair; the two further convolutions are 3x3 with
normalization, and ReLU between them; tokens are the positions of the map; additive attention weighs h, multiplicative
attention weighs s and is averaged over positions; the hidden layer has 128 units. The paper gives no number of
parameters.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from fer_training.architectures.layers import Add, SeparableConv2d, StridedPointwiseConv2d, conv3x3, initialize

WIDTHS = (32, 64, 128)
HIDDEN = 128


class BlockPair(nn.Module):
    """A separable and a pooling convolution block beside a strided shortcut.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.separable_conv2d = SeparableConv2d(in_channels, out_channels)
        self.bn_1 = nn.BatchNorm2d(out_channels)
        self.relu_1 = nn.ReLU(inplace=True)
        self.conv2d = conv3x3(out_channels, out_channels)
        self.bn_2 = nn.BatchNorm2d(out_channels)
        # Rounds odd sizes up, as the strided shortcut does.
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        self.shortcut = StridedPointwiseConv2d(in_channels, out_channels)
        self.bn_3 = nn.BatchNorm2d(out_channels)
        self.add = Add()
        self.relu_2 = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H/2, W/2)."""
        y = self.relu_1(self.bn_1(self.separable_conv2d(x)))
        y = self.pool(self.bn_2(self.conv2d(y)))
        return self.relu_2(self.add(y, self.bn_3(self.shortcut(x))))  # type: ignore[no-any-return]


class AdditiveAttention(nn.Module):
    """Weights every position of h by v.tanh(W[h; s]).

    Args:
        width: d, channels of h and s.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.project = nn.Linear(2 * width, width)
        self.score = nn.Linear(width, 1, bias=False)

    def forward(self, h: Tensor, s: Tensor) -> Tensor:
        """Maps h and s, each (B, T, d), to (B, d)."""
        weights = self.score(self.project(torch.cat((h, s), dim=2)).tanh()).softmax(dim=1)
        return (weights * h).sum(dim=1)  # type: ignore[no-any-return]


class MultiplicativeAttention(nn.Module):
    """softmax(h s^T / sqrt d) s, averaged over the positions."""

    def forward(self, h: Tensor, s: Tensor) -> Tensor:
        """Maps h and s, each (B, T, d), to (B, d)."""
        weights = (h @ s.transpose(1, 2) / h.shape[2] ** 0.5).softmax(dim=2)
        return (weights @ s).mean(dim=1)  # type: ignore[no-any-return]


class SepconvAttention(nn.Module):
    """The whole network.

    Args:
        in_channels: channels of the input, 1 or 3.
        input_size: side of the square input in pixels (any size works: tokens are positions).
        num_classes: K, number of outputs.
        dropout: in the perceptron, [0, 1); the paper used 0.1 to 0.3.
    """

    def __init__(
        self,
        *,
        in_channels: int = 1,
        input_size: int = 48,  # noqa: ARG002  (every network takes it)
        num_classes: int = 7,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        channels = (in_channels, *WIDTHS)
        self.blocks = nn.Sequential(*(BlockPair(a, b) for a, b in pairwise(channels)))
        width = WIDTHS[-1]
        self.states = nn.Sequential(
            conv3x3(width, width),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            conv3x3(width, width),
            nn.BatchNorm2d(width),
        )
        self.additive = AdditiveAttention(width)
        self.multiplicative = MultiplicativeAttention()
        self.perceptron = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(2 * width, HIDDEN),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(HIDDEN, num_classes),
        )
        initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, S, S) float -> logits (B, K)."""
        features = self.blocks(x)
        h = features.flatten(2).transpose(1, 2)
        s = self.states(features).flatten(2).transpose(1, 2)
        pooled = torch.cat((self.additive(h, s), self.multiplicative(h, s)), dim=1)
        return self.perceptron(pooled)  # type: ignore[no-any-return]
