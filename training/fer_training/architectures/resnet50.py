"""ResNet-50 (He et al. 2016) as published: 7x7 stem, 3-4-6-3 bottlenecks, stride in the 3x3 convolution."""

from __future__ import annotations

from torch import Tensor, nn

from fer_training.architectures.layers import Add, GlobalAveragePooling, conv3x3, initialize

#: Inner channels and number of bottlenecks of the four stages.
STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))
EXPANSION = 4


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 beside a shortcut.

    Args:
        in_channels: channels of the input.
        width: channels inside; the output has four times as many.
        stride: of the 3x3 convolution, 1 or 2.
    """

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        out_channels = width * EXPANSION
        self.conv_1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn_1 = nn.BatchNorm2d(width)
        self.relu_1 = nn.ReLU(inplace=True)
        self.conv_2 = conv3x3(width, width, stride=stride)
        self.bn_2 = nn.BatchNorm2d(width)
        self.relu_2 = nn.ReLU(inplace=True)
        self.conv_3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn_3 = nn.BatchNorm2d(out_channels)
        self.shortcut: nn.Sequential | None = None
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False), nn.BatchNorm2d(out_channels)
            )
        self.add = Add()
        self.relu_3 = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, 4 * width, H / stride, W / stride)."""
        y = self.relu_1(self.bn_1(self.conv_1(x)))
        y = self.bn_3(self.conv_3(self.relu_2(self.bn_2(self.conv_2(y)))))
        return self.relu_3(self.add(y, x if self.shortcut is None else self.shortcut(x)))  # type: ignore[no-any-return]


class Resnet50(nn.Module):
    """ResNet-50 with one dense layer for the classes.

    Args:
        in_channels: channels of the input, 1 or 3.
        input_size: side of the square input in pixels (any size works: the head averages).
        num_classes: K, number of outputs.
    """

    def __init__(
        self,
        *,
        in_channels: int = 1,
        input_size: int = 48,  # noqa: ARG002  (every network takes it)
        num_classes: int = 7,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        blocks: list[nn.Module] = []
        channels = 64
        for stage, (width, count) in enumerate(STAGES):
            for index in range(count):
                blocks.append(Bottleneck(channels, width, 2 if stage > 0 and index == 0 else 1))
                channels = width * EXPANSION
        self.blocks = nn.Sequential(*blocks)
        self.global_average_pooling = GlobalAveragePooling()
        self.dense = nn.Linear(channels, num_classes)
        initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, S, S) float -> logits (B, K)."""
        return self.dense(self.global_average_pooling(self.blocks(self.stem(x))))  # type: ignore[no-any-return]
