"""ARCH-1: plain convolutions, a separable branch beside a residual one, average pooling (293,951 parameters)."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from fer_training.architectures.layers import Add, GlobalAveragePooling, SeparableConv2d, conv3x3, initialize


class SeparableFeatures(nn.Module):
    """The convolutional part that ARCH-1 and ARCH-2 share, down to 128 channels at an eighth of the input size.

    The convolutions up to the sum of the two branches have no bias, the later ones have one. Pooling comes before the
    ReLU, as in the paper's table: the result is the same as after it, for a quarter of the work.

    Args:
        in_channels: channels of the input, 1 or 3.
        input_size: side S of the square input in pixels.

    Attributes:
        output_size: side of the output map in pixels, S/8.
    """

    def __init__(self, *, in_channels: int, input_size: int) -> None:
        super().__init__()
        half = input_size // 2
        self.output_size = (half + 1) // 2 // 2
        self.conv2d_1 = conv3x3(in_channels, 8)
        self.bn_1 = nn.BatchNorm2d(8)
        self.relu_1 = nn.ReLU(inplace=True)
        self.conv2d_2 = conv3x3(8, 8)
        self.bn_2 = nn.BatchNorm2d(8)
        self.relu_2 = nn.ReLU(inplace=True)
        self.conv2d_3 = conv3x3(8, 16)
        self.bn_3 = nn.BatchNorm2d(16)
        self.relu_3 = nn.ReLU(inplace=True)
        self.conv2d_4 = conv3x3(16, 16)
        self.bn_4 = nn.BatchNorm2d(16)
        self.pool_1 = nn.MaxPool2d(2)
        self.relu_4 = nn.ReLU(inplace=True)

        self.separable_conv2d_1 = SeparableConv2d(16, 32)
        self.bn_5 = nn.BatchNorm2d(32)
        self.relu_5 = nn.ReLU(inplace=True)
        self.separable_conv2d_2 = SeparableConv2d(32, 32)
        self.bn_6 = nn.BatchNorm2d(32)
        # A strided convolution rounds an odd size up; the branches must agree.
        self.pool_2 = nn.MaxPool2d(2, ceil_mode=half % 2 == 1)
        self.relu_6 = nn.ReLU(inplace=True)

        self.conv2d_5 = nn.Conv2d(16, 16, 1, bias=False)
        self.bn_7 = nn.BatchNorm2d(16)
        self.conv2d_6 = nn.Conv2d(16, 32, 1, stride=2, bias=False)
        self.bn_8 = nn.BatchNorm2d(32)

        self.add = Add()
        self.relu_7 = nn.ReLU(inplace=True)
        self.conv2d_7 = conv3x3(32, 64, bias=True)
        self.bn_9 = nn.BatchNorm2d(64)
        self.relu_8 = nn.ReLU(inplace=True)
        self.conv2d_8 = conv3x3(64, 64, bias=True)
        self.bn_10 = nn.BatchNorm2d(64)
        self.pool_3 = nn.MaxPool2d(2)
        self.relu_9 = nn.ReLU(inplace=True)
        self.conv2d_9 = conv3x3(64, 128, bias=True)
        self.bn_11 = nn.BatchNorm2d(128)
        self.relu_10 = nn.ReLU(inplace=True)
        self.conv2d_10 = conv3x3(128, 128, bias=True)
        self.bn_12 = nn.BatchNorm2d(128)
        self.relu_11 = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, S, S) -> (B, 128, S/8, S/8)."""
        x = self.relu_1(self.bn_1(self.conv2d_1(x)))
        x = self.relu_2(self.bn_2(self.conv2d_2(x)))
        x = self.relu_3(self.bn_3(self.conv2d_3(x)))
        x = self.relu_4(self.pool_1(self.bn_4(self.conv2d_4(x))))

        separable = self.relu_5(self.bn_5(self.separable_conv2d_1(x)))
        separable = self.relu_6(self.pool_2(self.bn_6(self.separable_conv2d_2(separable))))
        residual = self.bn_8(self.conv2d_6(self.bn_7(self.conv2d_5(x))))

        x = self.relu_7(self.add(separable, residual))
        x = self.relu_8(self.bn_9(self.conv2d_7(x)))
        x = self.relu_9(self.pool_3(self.bn_10(self.conv2d_8(x))))
        x = self.relu_10(self.bn_11(self.conv2d_9(x)))
        return self.relu_11(self.bn_12(self.conv2d_10(x)))  # type: ignore[no-any-return]


class Arch1(nn.Module):
    """ARCH-1, layer by layer as in the paper's Table 1; softmax is left to the caller.

    Args:
        in_channels: channels of the input, 1 or 3.
        input_size: side of the square input in pixels, at least 8.
        num_classes: K, number of outputs.
        dropout: share of the features dropped before the last convolution, [0, 1); not in the paper's table.
    """

    def __init__(
        self, *, in_channels: int = 1, input_size: int = 48, num_classes: int = 7, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.features = SeparableFeatures(in_channels=in_channels, input_size=input_size)
        self.dropout = nn.Dropout(dropout) if dropout > 0 else None
        self.conv2d_11 = conv3x3(128, num_classes, bias=True)
        self.global_average_pooling = GlobalAveragePooling()
        initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, S, S) float -> logits (B, K)."""
        x = self.features(x)
        if self.dropout is not None:
            x = self.dropout(x)
        return self.global_average_pooling(self.conv2d_11(x))  # type: ignore[no-any-return]


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
        initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, S, S) float -> logits (B, K)."""
        return self.head(self.features(x))  # type: ignore[no-any-return]


#: Output channels of each convolution and whether a max-pool 2 follows its batch normalization.
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

    Every convolution is without bias and followed by batch normalization and ReLU, with pooling before the ReLU.

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
        initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, S, S) float -> logits (B, K)."""
        x = self.features(x)
        if self.dropout is not None:
            x = self.dropout(x)
        return self.global_average_pooling(self.conv2d_12(x))  # type: ignore[no-any-return]


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
        initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, S, S) float -> logits (B, K)."""
        return self.head(self.features(x))  # type: ignore[no-any-return]


HIDDEN = 512


class DenseHead(nn.Module):
    """Max-pool 2, flatten, two dense layers of 512 with ReLU and dropout before each, and the output layer.

    Args:
        channels: channels of the map.
        side: height and width of the map.
        num_classes: K, number of outputs.
        dropout: share of the inputs of both hidden layers that is dropped, [0, 1).
    """

    def __init__(self, *, channels: int, side: int, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.pool_4 = nn.MaxPool2d(2)
        self.flatten = nn.Flatten()
        self.dropout_1 = nn.Dropout(dropout)
        self.dense_1 = nn.Linear(channels * (side // 2) ** 2, HIDDEN)
        self.relu_dense_1 = nn.ReLU(inplace=True)
        self.dropout_2 = nn.Dropout(dropout)
        self.dense_2 = nn.Linear(HIDDEN, HIDDEN)
        self.relu_dense_2 = nn.ReLU(inplace=True)
        self.dense_3 = nn.Linear(HIDDEN, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, side, side) -> logits (B, K)."""
        x = self.flatten(self.pool_4(x))
        x = self.relu_dense_1(self.dense_1(self.dropout_1(x)))
        x = self.relu_dense_2(self.dense_2(self.dropout_2(x)))
        return self.dense_3(x)  # type: ignore[no-any-return]
