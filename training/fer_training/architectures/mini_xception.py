"""mini_XCEPTION (Arriaga et al. 2017), the model most robots run today: 58,423 parameters.

Padding follows the original's framework ("same" pads only right and below where the size is even), so that weights
trained elsewhere mean the same here.
"""

from __future__ import annotations

from torch import Tensor, nn

from fer_training.architectures.layers import (
    Add,
    GlobalAveragePooling,
    SeparableConv2d,
    StridedPointwiseConv2d,
    conv3x3,
    initialize,
)

STEM_CHANNELS = 8
WIDTHS = (16, 32, 64, 128)


class XceptionModule(nn.Module):
    """Two separable convolutions and a pooling beside a strided shortcut.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        side: height and width of the input; its parity decides where the pooling pads.
    """

    def __init__(self, in_channels: int, out_channels: int, side: int) -> None:
        super().__init__()
        self.separable_conv2d_1 = SeparableConv2d(in_channels, out_channels)
        self.bn_1 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.separable_conv2d_2 = SeparableConv2d(out_channels, out_channels)
        self.bn_2 = nn.BatchNorm2d(out_channels)
        even = side % 2 == 0
        self.pool = nn.MaxPool2d(3, stride=2, padding=0 if even else 1, ceil_mode=even)
        self.shortcut = StridedPointwiseConv2d(in_channels, out_channels)
        self.bn_3 = nn.BatchNorm2d(out_channels)
        self.add = Add()

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H/2, W/2), odd sizes rounded up."""
        y = self.relu(self.bn_1(self.separable_conv2d_1(x)))
        y = self.pool(self.bn_2(self.separable_conv2d_2(y)))
        return self.add(y, self.bn_3(self.shortcut(x)))  # type: ignore[no-any-return]


class MiniXception(nn.Module):
    """Two unpadded convolutions, four Xception modules, a convolution to the classes, average pooling.

    Args:
        in_channels: channels of the input, 1 or 3.
        input_size: side of the square input in pixels.
        num_classes: K, number of outputs.
    """

    def __init__(self, *, in_channels: int = 1, input_size: int = 48, num_classes: int = 7) -> None:
        super().__init__()
        self.conv2d_1 = nn.Conv2d(in_channels, STEM_CHANNELS, 3, bias=False)
        self.bn_1 = nn.BatchNorm2d(STEM_CHANNELS)
        self.relu_1 = nn.ReLU(inplace=True)
        self.conv2d_2 = nn.Conv2d(STEM_CHANNELS, STEM_CHANNELS, 3, bias=False)
        self.bn_2 = nn.BatchNorm2d(STEM_CHANNELS)
        self.relu_2 = nn.ReLU(inplace=True)
        modules: list[nn.Module] = []
        channels, side = STEM_CHANNELS, input_size - 4
        for width in WIDTHS:
            modules.append(XceptionModule(channels, width, side))
            channels, side = width, (side + 1) // 2
        self.blocks = nn.Sequential(*modules)
        self.conv2d_3 = conv3x3(channels, num_classes, bias=True)
        self.global_average_pooling = GlobalAveragePooling()
        initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, S, S) float -> logits (B, K)."""
        x = self.relu_1(self.bn_1(self.conv2d_1(x)))
        x = self.relu_2(self.bn_2(self.conv2d_2(x)))
        return self.global_average_pooling(self.conv2d_3(self.blocks(x)))  # type: ignore[no-any-return]
