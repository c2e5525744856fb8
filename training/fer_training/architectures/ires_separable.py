"""Inverted residuals with squeeze-and-excitation (Xu et al. 2021): 54,983 parameters, the smallest network here.

A bias in every convolution gives 54,983; the paper prints 54,900. Its table's patch-size column and last stride are
slips.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from fer_perception.errors import ConfigError
from fer_training.architectures.layers import Add, GlobalAveragePooling, initialize

#: The gates that close squeeze-and-excitation: h-swish as the paper draws it, hard-sigmoid as in MobileNetV3.
GATES: dict[str, type[nn.Module]] = {"hswish": nn.Hardswish, "hard_sigmoid": nn.Hardsigmoid}


@dataclass(frozen=True)
class BlockPlan:
    """One inverted residual: channels inside, kernel side, channels out, stride, squeeze-and-excitation."""

    expanded: int
    kernel: int
    out_channels: int
    stride: int
    squeeze_excite: bool


PLAN: tuple[BlockPlan, ...] = (
    BlockPlan(16, 3, 16, 1, False),
    BlockPlan(32, 3, 24, 2, False),
    BlockPlan(64, 3, 24, 1, False),
    BlockPlan(64, 5, 40, 2, True),
    BlockPlan(72, 5, 40, 1, True),
    BlockPlan(88, 5, 40, 1, True),
)

#: h-swish of it is 1: a gate that starts open. Started at 0 it lets nothing through, with random signs.
_OPEN = (33**0.5 - 3) / 2

STEM_CHANNELS = 16
HEAD_CHANNELS = 256


class ChannelGate(nn.Module):
    """Squeeze-and-excitation: average, dense to a quarter, ReLU, dense back, gate; times the map.

    Args:
        channels: channels of the map.
        gate: key of `GATES`.
    """

    def __init__(self, channels: int, gate: str) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, channels // 4, 1)
        self.relu = nn.ReLU(inplace=True)
        self.excite = nn.Conv2d(channels // 4, channels, 1)
        self.gate = GATES[gate]()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        weights = self.gate(self.excite(self.relu(self.squeeze(x.mean(dim=(2, 3), keepdim=True)))))
        return x * weights  # type: ignore[no-any-return]


class InvertedResidual(nn.Module):
    """Expand 1x1, depthwise, optional gate between its normalization and activation, linear projection, shortcut.

    Args:
        in_channels: channels of the input.
        plan: the rest.
        gate: key of `GATES`.
    """

    def __init__(self, in_channels: int, plan: BlockPlan, gate: str) -> None:
        super().__init__()
        self.expand = nn.Conv2d(in_channels, plan.expanded, 1)
        self.bn_1 = nn.BatchNorm2d(plan.expanded)
        self.relu_1 = nn.ReLU(inplace=True)
        self.depthwise = nn.Conv2d(
            plan.expanded,
            plan.expanded,
            plan.kernel,
            stride=plan.stride,
            padding=plan.kernel // 2,
            groups=plan.expanded,
        )
        self.bn_2 = nn.BatchNorm2d(plan.expanded)
        self.squeeze_excite = ChannelGate(plan.expanded, gate) if plan.squeeze_excite else None
        self.relu_2 = nn.ReLU(inplace=True)
        self.project = nn.Conv2d(plan.expanded, plan.out_channels, 1)
        self.bn_3 = nn.BatchNorm2d(plan.out_channels)
        self.add = Add() if plan.stride == 1 and in_channels == plan.out_channels else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H / stride, W / stride)."""
        y = self.relu_1(self.bn_1(self.expand(x)))
        y = self.bn_2(self.depthwise(y))
        if self.squeeze_excite is not None:
            y = self.squeeze_excite(y)
        y = self.bn_3(self.project(self.relu_2(y)))
        return y if self.add is None else self.add(x, y)  # type: ignore[no-any-return]


class IresSeparable(nn.Module):
    """Stem, six inverted residuals, 1x1 convolution to 256, average pooling, 1x1 convolution to the classes.

    Args:
        in_channels: channels of the input, 1 or 3.
        input_size: side of the square input in pixels (any size works: the head averages).
        num_classes: K, number of outputs.
        gate: "hswish" as the paper draws it, or "hard_sigmoid".
        dropout: share of the pooled features dropped, [0, 1); the paper has none.

    Raises:
        ConfigError: unknown gate.
    """

    def __init__(
        self,
        *,
        in_channels: int = 1,
        input_size: int = 48,  # noqa: ARG002  (every network takes it)
        num_classes: int = 7,
        gate: str = "hswish",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if gate not in GATES:
            msg = f"there is no gate {gate!r}; expected one of {', '.join(GATES)}"
            raise ConfigError(msg)
        self.stem = nn.Conv2d(in_channels, STEM_CHANNELS, 3, stride=2, padding=1)
        self.bn_stem = nn.BatchNorm2d(STEM_CHANNELS)
        self.hswish_stem = nn.Hardswish()
        blocks = []
        channels = STEM_CHANNELS
        for plan in PLAN:
            blocks.append(InvertedResidual(channels, plan, gate))
            channels = plan.out_channels
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Conv2d(channels, HEAD_CHANNELS, 1)
        self.bn_head = nn.BatchNorm2d(HEAD_CHANNELS)
        self.hswish_head = nn.Hardswish()
        self.global_average_pooling = GlobalAveragePooling()
        self.dropout = nn.Dropout(dropout) if dropout > 0 else None
        # On a pooled 1x1 map the paper's last 1x1 convolution is a dense layer.
        self.classifier = nn.Linear(HEAD_CHANNELS, num_classes)
        initialize(self)
        if gate == "hswish":
            for module in self.modules():
                if isinstance(module, ChannelGate) and module.excite.bias is not None:
                    nn.init.constant_(module.excite.bias, _OPEN)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, S, S) float -> logits (B, K)."""
        x = self.hswish_stem(self.bn_stem(self.stem(x)))
        x = self.hswish_head(self.bn_head(self.head(self.blocks(x))))
        x = self.global_average_pooling(x)
        if self.dropout is not None:
            x = self.dropout(x)
        return self.classifier(x)  # type: ignore[no-any-return]
