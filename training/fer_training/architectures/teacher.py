"""The teachers: residual networks of plain 3x3 convolutions, which train fastest per unit of accuracy on a CPU.

Design (ours, from common parts): a stem of two convolutions; three stages of basic residual blocks (He et al. 2016)
at a half, a quarter and an eighth of the input size; an average-pooled 1x1 shortcut where the shape changes (He et
al. 2019, "bag of tricks"); optional squeeze-and-excitation (Hu et al. 2018) and stochastic depth (Huang et al. 2016);
global average pooling, dropout and one dense layer. A block's last scale starts at zero, so that it starts as its
shortcut.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from fer_training.architectures.layers import Add, GlobalAveragePooling, conv3x3, drop_path, initialize


class SqueezeExcite(nn.Module):
    """Channel gate: average pooling, two 1x1 convolutions, sigmoid.

    Args:
        channels: channels of the map.
        reduction: the hidden layer has channels / reduction units.
    """

    def __init__(self, channels: int, *, reduction: int = 8) -> None:
        super().__init__()
        hidden = max(channels // reduction, 8)
        self.squeeze = nn.Conv2d(channels, hidden, 1)
        self.relu = nn.ReLU(inplace=True)
        self.excite = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        gate = self.excite(self.relu(self.squeeze(x.mean(dim=(2, 3), keepdim=True))))
        return x * gate.sigmoid()  # type: ignore[no-any-return]


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        stride: 1, or 2 to halve height and width (odd sizes round up).
        squeeze_excite: gate the branch's channels.
        drop_rate: stochastic depth, share of images whose branch is left out in training, [0, 1).
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, stride: int, squeeze_excite: bool, drop_rate: float
    ) -> None:
        super().__init__()
        self.drop_rate = drop_rate
        self.conv_1 = conv3x3(in_channels, out_channels, stride=stride)
        self.bn_1 = nn.BatchNorm2d(out_channels)
        self.relu_1 = nn.ReLU(inplace=True)
        self.conv_2 = conv3x3(out_channels, out_channels)
        self.bn_2 = nn.BatchNorm2d(out_channels)
        self.gate = SqueezeExcite(out_channels) if squeeze_excite else None
        self.shortcut: nn.Sequential | None = None
        if stride != 1 or in_channels != out_channels:
            layers: list[nn.Module] = [] if stride == 1 else [nn.AvgPool2d(stride, ceil_mode=True)]
            layers += [nn.Conv2d(in_channels, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels)]
            self.shortcut = nn.Sequential(*layers)
        self.add = Add()
        self.relu_2 = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H / stride, W / stride)."""
        branch = self.bn_2(self.conv_2(self.relu_1(self.bn_1(self.conv_1(x)))))
        if self.gate is not None:
            branch = self.gate(branch)
        shortcut = x if self.shortcut is None else self.shortcut(x)
        return self.relu_2(self.add(shortcut, drop_path(branch, self.drop_rate, training=self.training)))  # type: ignore[no-any-return]


class Teacher(nn.Module):
    """A residual network whose width and depth are arguments; by default 139 M multiply-adds at 48x48.

    Args:
        in_channels: channels of the input, 1 or 3.
        input_size: side of the square input in pixels (any size works: the head averages).
        num_classes: K, number of outputs.
        width: channels of the first stage; the second and third have twice and four times as many.
        depth: residual blocks of each of the three stages.
        stem_stride: stride of the stem's second convolution, 2 or 1; 1 keeps every stage at twice the size.
        squeeze_excite: gate every block's channels.
        stochastic_depth: drop rate of the last block, rising linearly from 0 at the first, [0, 1).
        dropout: share of the pooled features dropped before the dense layer, [0, 1).
    """

    def __init__(
        self,
        *,
        in_channels: int = 1,
        input_size: int = 48,  # noqa: ARG002  (every network takes it)
        num_classes: int = 7,
        width: int = 48,
        depth: Sequence[int] = (2, 2, 2),
        stem_stride: int = 2,
        squeeze_excite: bool = False,
        stochastic_depth: float = 0.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        stem_width = width // 2
        self.stem = nn.Sequential(
            conv3x3(in_channels, stem_width),
            nn.BatchNorm2d(stem_width),
            nn.ReLU(inplace=True),
            conv3x3(stem_width, width, stride=stem_stride),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        )
        blocks: list[nn.Module] = []
        channels, last = width, max(sum(depth) - 1, 1)
        for stage, count in enumerate(depth):
            for index in range(count):
                blocks.append(
                    ResidualBlock(
                        channels,
                        width * 2**stage,
                        stride=2 if stage > 0 and index == 0 else 1,
                        squeeze_excite=squeeze_excite,
                        drop_rate=stochastic_depth * len(blocks) / last,
                    )
                )
                channels = width * 2**stage
        self.blocks = nn.Sequential(*blocks)
        self.global_average_pooling = GlobalAveragePooling()
        self.dropout = nn.Dropout(dropout)
        self.dense = nn.Linear(channels, num_classes)
        initialize(self)
        for block in blocks:
            if isinstance(block, ResidualBlock):
                nn.init.zeros_(block.bn_2.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, S, S) float -> logits (B, K)."""
        x = self.global_average_pooling(self.blocks(self.stem(x)))
        return self.dense(self.dropout(x))  # type: ignore[no-any-return]


class TeacherLarge(Teacher):
    """The teacher for a GPU: twice the width, twice the resolution in every stage, deeper, gated; 3.4 G multiply-adds.

    Args:
        in_channels: channels of the input, 1 or 3.
        input_size: side of the square input in pixels.
        num_classes: K, number of outputs.
        width: channels of the first stage.
        depth: residual blocks of each of the three stages.
        stochastic_depth: drop rate of the last block, [0, 1).
        dropout: share of the pooled features dropped before the dense layer, [0, 1).
    """

    def __init__(
        self,
        *,
        in_channels: int = 1,
        input_size: int = 48,
        num_classes: int = 7,
        width: int = 96,
        depth: Sequence[int] = (2, 3, 4),
        stochastic_depth: float = 0.2,
        dropout: float = 0.3,
    ) -> None:
        super().__init__(
            in_channels=in_channels,
            input_size=input_size,
            num_classes=num_classes,
            width=width,
            depth=depth,
            stem_stride=1,
            squeeze_excite=True,
            stochastic_depth=stochastic_depth,
            dropout=dropout,
        )
