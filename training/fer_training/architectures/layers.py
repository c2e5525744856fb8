"""Small building blocks that several networks share, each one row of a layer table."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812  (PyTorch's own abbreviation)
from torch import Tensor, nn


class SeparableConv2d(nn.Module):
    """Depthwise 3x3 followed by pointwise 1x1 convolution, both without bias unless asked (Chollet 2017, Xception).

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: side of the depthwise kernel, odd; the padding keeps height and width.
        bias: give the pointwise convolution a bias.
    """

    def __init__(self, in_channels: int, out_channels: int, *, kernel_size: int = 3, bias: bool = False) -> None:
        super().__init__()
        padding = kernel_size // 2
        self.depthwise = nn.Conv2d(
            in_channels, in_channels, kernel_size, padding=padding, groups=in_channels, bias=False
        )
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H, W)."""
        return self.pointwise(self.depthwise(x))  # type: ignore[no-any-return]


class StridedPointwiseConv2d(nn.Conv2d):
    """1x1 convolution with stride 2 and without bias that in training leaves out first what the stride skips.

    The numbers are the same. oneDNN's backward pass of such a convolution writes beyond its workspace where the image
    is in channels-last order and has fewer channels than a vector register has numbers, 16 at most: training would
    crash, or go wrong (uxlfoundation/oneDNN, issue 6035; seen with PyTorch 2.13).

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 1, stride=2, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H/2, W/2), odd sizes rounded up."""
        if not self.training:
            return super().forward(input)
        return F.conv2d(input[:, :, ::2, ::2], self.weight)


class Add(nn.Module):
    """Sum of two maps of one shape; a module so that layer tables and feature-map hooks see it."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """(B, C, H, W) twice -> (B, C, H, W)."""
        return x + y


class GlobalAveragePooling(nn.Module):
    """Mean over height and width."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C)."""
        return x.mean(dim=(2, 3))


def conv3x3(in_channels: int, out_channels: int, *, bias: bool = False, stride: int = 1) -> nn.Conv2d:
    """3x3 convolution with padding 1."""
    return nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=bias)


def initialize(network: nn.Module) -> None:
    """He initialization (fan out) of every convolution, Xavier of every dense layer, zeros for their biases, in place.

    A depthwise kernel has one output channel per group, so its fan is the kernel's area alone.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            area = module.kernel_size[0] * module.kernel_size[1]
            fan_out = area * module.out_channels / module.groups
            nn.init.normal_(module.weight, 0.0, (2.0 / fan_out) ** 0.5)
        elif isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def drop_path(x: Tensor, rate: float, *, training: bool) -> Tensor:
    """Stochastic depth: in training a residual branch is left out for a share of the images (Huang et al. 2016).

    Args:
        x: (B, ...) output of a residual branch.
        rate: share of images whose branch is dropped, [0, 1).
        training: False returns `x` itself.
    """
    if not training or rate <= 0.0:
        return x
    keep = 1.0 - rate
    shape = (x.shape[0],) + (1,) * (x.ndim - 1)
    return x * torch.empty(shape, dtype=x.dtype, device=x.device).bernoulli_(keep).div_(keep)
