"""simple_CNN, a baseline of Arriaga et al. 2017 and Xu et al. 2021: five pairs of convolutions, average pooling."""

from __future__ import annotations

from torch import Tensor, nn

from fer_training.architectures.layers import GlobalAveragePooling, initialize

#: Channels and kernel side of the four pairs that end in a pooling.
PAIRS = ((16, 7), (32, 5), (64, 3), (128, 3))


class SimpleCnn(nn.Module):
    """Four pairs of convolutions with pooling and dropout, then 256 channels, then the classes; biases everywhere.

    Args:
        in_channels: channels of the input, 1 or 3.
        input_size: side of the square input in pixels (any size works: the head averages).
        num_classes: K, number of outputs.
        dropout: after each pooling, [0, 1).
    """

    def __init__(
        self,
        *,
        in_channels: int = 1,
        input_size: int = 48,  # noqa: ARG002  (every network takes it)
        num_classes: int = 7,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = in_channels
        for width, kernel in PAIRS:
            layers += [
                nn.Conv2d(channels, width, kernel, padding=kernel // 2),
                nn.BatchNorm2d(width),
                nn.Conv2d(width, width, kernel, padding=kernel // 2),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
                nn.AvgPool2d(2, ceil_mode=True),
                nn.Dropout(dropout),
            ]
            channels = width
        layers += [nn.Conv2d(channels, 256, 3, padding=1), nn.BatchNorm2d(256)]
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Conv2d(256, num_classes, 3, padding=1)
        self.global_average_pooling = GlobalAveragePooling()
        initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, S, S) float -> logits (B, K)."""
        return self.global_average_pooling(self.classifier(self.features(x)))  # type: ignore[no-any-return]


#: Channels and kernel side of the first, then of the second (strided) convolution of each of the four pairs.
STRIDED_PAIRS = (((16, 5), (16, 5)), ((32, 5), (32, 5)), ((64, 3), (64, 3)), ((64, 1), (128, 3)))


class SimplerCnn(nn.Module):
    """Four pairs of convolutions, the second of each strided, and two bottlenecks; biases everywhere.

    Args:
        in_channels: channels of the input, 1 or 3.
        input_size: side of the square input in pixels.
        num_classes: K, number of outputs.
        dropout: after each pair, [0, 1).
    """

    def __init__(
        self,
        *,
        in_channels: int = 1,
        input_size: int = 48,  # noqa: ARG002  (every network takes it)
        num_classes: int = 7,
        dropout: float = 0.25,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = in_channels
        for (first, kernel_1), (second, kernel_2) in STRIDED_PAIRS:
            layers += [
                nn.Conv2d(channels, first, kernel_1, padding=kernel_1 // 2),
                nn.BatchNorm2d(first),
                nn.Conv2d(first, second, kernel_2, stride=2, padding=kernel_2 // 2),
                nn.BatchNorm2d(second),
                nn.ReLU(inplace=True),
                nn.Dropout(dropout),
            ]
            channels = second
        layers += [
            nn.Conv2d(channels, 256, 1),
            nn.BatchNorm2d(256),
            nn.Conv2d(256, 128, 3, stride=2, padding=1),
            nn.Conv2d(128, 256, 1),
            nn.BatchNorm2d(256),
        ]
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Conv2d(256, num_classes, 3, stride=2, padding=1)
        self.global_average_pooling = GlobalAveragePooling()
        initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, S, S) float -> logits (B, K)."""
        return self.global_average_pooling(self.classifier(self.features(x)))  # type: ignore[no-any-return]
