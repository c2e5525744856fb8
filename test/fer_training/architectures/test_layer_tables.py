"""The layer tables of the papers, row by row: type, output shape, parameters."""

from __future__ import annotations

import torch

from fer_training.architectures.registry import create
from fer_training.report.layer_table import LayerRow, summarize

#: ARCH-1, Table 1. The paper prints 32 for the first convolution (8 x 9 = 72) and counts four numbers a channel for
#: batch normalization.
ARCH1 = [
    ("Conv2d", (8, 48, 48), 72),
    ("BatchNorm2d", (8, 48, 48), 32),
    ("ReLU", (8, 48, 48), 0),
    ("Conv2d", (8, 48, 48), 576),
    ("BatchNorm2d", (8, 48, 48), 32),
    ("ReLU", (8, 48, 48), 0),
    ("Conv2d", (16, 48, 48), 1_152),
    ("BatchNorm2d", (16, 48, 48), 64),
    ("ReLU", (16, 48, 48), 0),
    ("Conv2d", (16, 48, 48), 2_304),
    ("BatchNorm2d", (16, 48, 48), 64),
    ("MaxPool2d", (16, 24, 24), 0),
    ("ReLU", (16, 24, 24), 0),
    # separable branch
    ("SeparableConv2d", (32, 24, 24), 656),
    ("BatchNorm2d", (32, 24, 24), 128),
    ("ReLU", (32, 24, 24), 0),
    ("SeparableConv2d", (32, 24, 24), 1_312),
    ("BatchNorm2d", (32, 24, 24), 128),
    ("MaxPool2d", (32, 12, 12), 0),
    ("ReLU", (32, 12, 12), 0),
    # residual branch
    ("Conv2d", (16, 24, 24), 256),
    ("BatchNorm2d", (16, 24, 24), 64),
    ("Conv2d", (32, 12, 12), 512),
    ("BatchNorm2d", (32, 12, 12), 128),
    ("Add", (32, 12, 12), 0),
    ("ReLU", (32, 12, 12), 0),
    ("Conv2d", (64, 12, 12), 18_496),
    ("BatchNorm2d", (64, 12, 12), 256),
    ("ReLU", (64, 12, 12), 0),
    ("Conv2d", (64, 12, 12), 36_928),
    ("BatchNorm2d", (64, 12, 12), 256),
    ("MaxPool2d", (64, 6, 6), 0),
    ("ReLU", (64, 6, 6), 0),
    ("Conv2d", (128, 6, 6), 73_856),
    ("BatchNorm2d", (128, 6, 6), 512),
    ("ReLU", (128, 6, 6), 0),
    ("Conv2d", (128, 6, 6), 147_584),
    ("BatchNorm2d", (128, 6, 6), 512),
    ("ReLU", (128, 6, 6), 0),
    ("Conv2d", (7, 6, 6), 8_071),
    ("GlobalAveragePooling", (7,), 0),
    ("Softmax", (7,), 0),
]

#: Output channels and side of each convolution of ARCH-3, and whether it is followed by pooling.
ARCH3 = [
    (8, 48, False),
    (8, 48, False),
    (16, 48, False),
    (16, 48, False),
    (16, 48, True),
    (32, 24, False),
    (32, 24, True),
    (64, 12, False),
    (64, 12, True),
    (128, 6, False),
    (128, 6, False),
]

DENSE_HEAD = [
    ("MaxPool2d", (128, 3, 3), 0),
    ("Flatten", (1_152,), 0),
    ("Dropout", (1_152,), 0),
    ("Linear", (512,), 590_336),
    ("ReLU", (512,), 0),
    ("Dropout", (512,), 0),
    ("Linear", (512,), 262_656),
    ("ReLU", (512,), 0),
    ("Linear", (7,), 3_591),
    ("Softmax", (7,), 0),
]


def rows(name: str) -> list[tuple[str, tuple[int, ...], int]]:
    return [(row.type, row.output_shape, row.parameters) for row in summarize(create(name)).layers]


def arch3_features() -> list[tuple[str, tuple[int, ...], int]]:
    expected: list[tuple[str, tuple[int, ...], int]] = []
    before = 1
    for channels, side, pool in ARCH3:
        expected.append(("Conv2d", (channels, side, side), 9 * before * channels))
        expected.append(("BatchNorm2d", (channels, side, side), 4 * channels))
        if pool:
            side //= 2  # noqa: PLW2901
            expected.append(("MaxPool2d", (channels, side, side), 0))
        expected.append(("ReLU", (channels, side, side), 0))
        before = channels
    return expected


def test_arch1_row_by_row() -> None:
    assert rows("arch1") == ARCH1


def test_arch1_rows_add_up() -> None:
    result = summarize(create("arch1"))
    assert sum(row.parameters for row in result.layers) == result.total == 293_951


def test_arch2_is_arch1_with_the_dense_head() -> None:
    assert rows("arch2") == [*ARCH1[:-3], *DENSE_HEAD]


def test_arch3_row_by_row() -> None:
    head = [("Conv2d", (7, 6, 6), 8_071), ("GlobalAveragePooling", (7,), 0), ("Softmax", (7,), 0)]
    assert rows("arch3") == [*arch3_features(), *head]


def test_arch4_is_arch3_with_the_dense_head() -> None:
    assert rows("arch4") == [*arch3_features(), *DENSE_HEAD]


def test_bias_begins_after_the_sum_in_arch1() -> None:
    network = create("arch1")
    biased = [
        name
        for name, module in network.named_modules()
        if isinstance(module, torch.nn.Conv2d) and module.bias is not None
    ]
    assert biased == [f"features.conv2d_{index}" for index in (7, 8, 9, 10)] + ["conv2d_11"]


def test_blocks_of_ires_separable() -> None:
    layers = {row.name: row for row in summarize(create("ires_separable")).layers}
    # expanded channels, side after the depthwise convolution, channels out
    expected = [(16, 24, 16), (32, 12, 24), (64, 12, 24), (64, 6, 40), (72, 6, 40), (88, 6, 40)]
    for index, (expanded, side, out) in enumerate(expected):
        assert layers[f"blocks.{index}.expand"].output_shape[0] == expanded
        assert layers[f"blocks.{index}.depthwise"].output_shape == (expanded, side, side)
        assert layers[f"blocks.{index}.project"].output_shape == (out, side, side)
    squeezed = {name: row.output_shape[0] for name, row in layers.items() if name.endswith("squeeze_excite.squeeze")}
    assert squeezed == {
        "blocks.3.squeeze_excite.squeeze": 16,
        "blocks.4.squeeze_excite.squeeze": 18,
        "blocks.5.squeeze_excite.squeeze": 22,
    }
    shortcuts = [name for name in layers if name.endswith(".add")]
    assert shortcuts == ["blocks.0.add", "blocks.2.add", "blocks.4.add", "blocks.5.add"]
    assert layers["hswish_head"] == LayerRow("hswish_head", "Hardswish", (256, 6, 6), 0)


def test_depthwise_kernels_of_ires_separable() -> None:
    network = create("ires_separable")
    kernels = [
        module.kernel_size[0]
        for name, module in network.named_modules()
        if isinstance(module, torch.nn.Conv2d) and name.endswith("depthwise")
    ]
    assert kernels == [3, 3, 3, 5, 5, 5]


def test_sides_of_mini_xception_follow_the_original() -> None:
    layers = {row.name: row for row in summarize(create("mini_xception")).layers}
    assert layers["conv2d_2"].output_shape == (8, 44, 44)
    assert [layers[f"blocks.{index}.pool"].output_shape for index in range(4)] == [
        (16, 22, 22),
        (32, 11, 11),
        (64, 6, 6),
        (128, 3, 3),
    ]


def test_multiply_adds_of_arch1() -> None:
    assert round(summarize(create("arch1")).multiply_adds / 1e6) == 27


def test_mode_is_left_as_it_was() -> None:
    network = create("arch1").train()
    before = network.features.bn_1.running_mean.clone()
    summarize(network)
    assert network.training
    assert torch.equal(network.features.bn_1.running_mean, before)
    assert not network.features.bn_1._forward_hooks
