"""Every network: totals as documented, any size, channels and classes, and gradients everywhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from fer_training import architectures
from fer_training.architectures import registry
from fer_training.architectures.layers import StridedPointwiseConv2d, drop_path
from fer_training.architectures.registry import ArchitectureError, create, head_tensors
from fer_training.report.layer_table import count_parameters, summarize

TOTALS = {
    "arch1": (293_951, 292_863),
    "arch2": (1_142_463, 1_141_375),
    "arch3": (306_831, 305_807),
    "arch4": (1_155_343, 1_154_319),
    "ires_separable": (54_983, 52_727),
    "sepconv_attention": (580_400, 578_544),
    "mini_xception": (58_423, 56_951),
    "simple_cnn": (642_935, 641_463),
    "simpler_cnn": (559_671, 557_815),
    "lenet": (168_971, 168_971),
    "resnet50": (23_569_223, 23_516_103),
    "teacher": (1_576_255, 1_572_847),
    "teacher_large": (12_450_199, 12_439_543),
}


def test_totals_cover_the_registry() -> None:
    assert list(TOTALS) == architectures.names(), "TOTALS takes what `fer-train summary NAME` prints, in the same order"


@pytest.mark.parametrize(("name", "totals"), TOTALS.items())
def test_total_and_trainable_parameters(name: str, totals: tuple[int, int]) -> None:
    with torch.device("meta"):
        assert count_parameters(create(name)) == totals


@pytest.mark.parametrize("name", TOTALS)
@pytest.mark.parametrize("size", [32, 47, 64, 96, 112])
def test_takes_every_size_channels_and_classes(name: str, size: int) -> None:
    # Shapes are all that matters here: the meta device computes nothing else.
    with torch.device("meta"):
        for channels, classes in ((1, 7), (3, 8)):
            network = create(name, in_channels=channels, input_size=size, num_classes=classes).eval()
            assert network(torch.empty(2, channels, size, size)).shape == (2, classes)


@pytest.mark.parametrize("name", [name for name in TOTALS if name not in ("resnet50", "teacher_large")])
def test_logits_are_finite_and_every_parameter_learns(name: str) -> None:
    torch.manual_seed(0)
    network = create(name).train()
    logits = network(torch.randn(4, 1, 48, 48))
    assert logits.isfinite().all()
    assert logits.std(dim=0).max() > 0, "the logits do not depend on the image"
    nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2, 3])).backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_conv_bias_counts_as_in_the_paper_with_color() -> None:
    gray, _ = count_parameters(create("arch1"))
    color, _ = count_parameters(create("arch1", in_channels=3))
    assert color - gray == 2 * 8 * 9


def test_classes_change_only_the_last_layer() -> None:
    seven, _ = count_parameters(create("arch1"))
    eight, _ = count_parameters(create("arch1", num_classes=8))
    assert eight - seven == 128 * 9 + 1


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("arch1", {"conv2d_11.weight", "conv2d_11.bias"}),
        ("arch2", {"head.dense_3.weight", "head.dense_3.bias"}),
        ("ires_separable", {"classifier.weight", "classifier.bias"}),
    ],
)
def test_head_is_what_depends_on_the_classes(name: str, expected: set[str]) -> None:
    assert head_tensors(name, in_channels=3, num_classes=8) == expected


def test_every_network_has_a_head() -> None:
    assert all(len(head_tensors(name)) == 2 for name in architectures.names())


def test_teacher_stays_within_its_budget() -> None:
    with torch.device("meta"):
        network = create("teacher")
    assert summarize(network).multiply_adds < 150_000_000


def test_teacher_width_and_depth_are_options() -> None:
    narrow, _ = count_parameters(create("teacher", width=16, depth=[1, 1, 1]))
    assert narrow < 200_000
    gated, _ = count_parameters(create("teacher", squeeze_excite=True))
    assert gated > TOTALS["teacher"][0]


def test_stochastic_depth_drops_whole_images_in_training_only() -> None:
    x = torch.ones(400, 2, 3, 3)
    torch.manual_seed(0)
    dropped = drop_path(x, 0.25, training=True)
    per_image = dropped.flatten(1)
    assert (per_image == per_image[:, :1]).all()
    kept = per_image[:, 0] > 0
    assert 0.65 < kept.float().mean() < 0.85
    assert torch.allclose(per_image[kept][:, 0], torch.tensor(1 / 0.75))
    assert drop_path(x, 0.25, training=False) is x


def test_dropout_of_arch1_acts_in_training_only() -> None:
    torch.manual_seed(0)
    network = create("arch1", dropout=0.5).eval()
    image = torch.randn(2, 1, 48, 48)
    with torch.no_grad():
        assert torch.equal(network(image), network(image))
        for module in network.modules():
            if isinstance(module, nn.Dropout):
                module.train()
        assert not torch.equal(network(image), network(image))


def test_heads_of_arch2_and_arch4_drop_half_by_default() -> None:
    for name in ("arch2", "arch4"):
        rates = [module.p for module in create(name).modules() if isinstance(module, nn.Dropout)]
        assert rates == [0.5, 0.5]


def test_batch_normalization_constants() -> None:
    norms = [module for module in create("arch1").modules() if isinstance(module, nn.BatchNorm2d)]
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-5, 0.1)}
    keras = create("arch1", bn_eps=1e-3, bn_momentum=0.01)
    norms = [module for module in keras.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == 12
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-3, 0.01)}


def test_gates_of_ires_separable_start_open() -> None:
    """An h-swish gate that starts at zero lets nothing through; on no signal it must be 1."""
    network = create("ires_separable")
    gates = [module for name, module in network.named_modules() if name.endswith("squeeze_excite")]
    assert len(gates) == 3
    for gate in gates:
        channels = gate.squeeze.in_channels
        assert gate.gate(gate.excite(torch.zeros(1, channels // 4, 1, 1))).flatten().tolist() == pytest.approx(
            [1.0] * channels
        )


def test_gate_of_ires_separable_is_an_option() -> None:
    torch.manual_seed(0)
    paper = create("ires_separable").eval()
    other = create("ires_separable", gate="hard_sigmoid").eval()
    other.load_state_dict(paper.state_dict())
    image = torch.randn(1, 1, 48, 48)
    with torch.no_grad():
        assert not torch.allclose(paper(image), other(image))
    with pytest.raises(Exception, match="no gate 'relu'; expected one of hswish, hard_sigmoid"):
        create("ires_separable", gate="relu")


def test_initial_weights_keep_the_signal_alive() -> None:
    torch.manual_seed(0)
    features = create("arch3").features
    assert isinstance(features, nn.Sequential)
    with torch.no_grad():
        out = features.train()(torch.randn(16, 1, 48, 48))
    assert 0.2 < float(out.std()) < 5.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "arch9"}, "no network 'arch9'; expected one of arch1, arch2"),
        ({"name": "arch1", "in_channels": 2}, "in_channels is 2; expected 1"),
        ({"name": "arch1", "input_size": 16}, "input_size is 16; expected at least 32"),
        ({"name": "arch1", "num_classes": 1}, "num_classes is 1; expected at least 2"),
        ({"name": "arch1", "depth": 3}, "arch1 does not take depth; the options it takes are: dropout"),
        ({"name": "arch1", "dropout": 2}, r"arch1 cannot be built with dropout=2 \(dropout probability has to be"),
        ({"name": "teacher", "depth": "deep"}, "teacher cannot be built with depth='deep'"),
        ({"name": "arch1", "bn_eps": "small"}, "bn_eps is 'small'; expected a number above 0, 1 at most"),
        ({"name": "arch1", "bn_momentum": 0}, "bn_momentum is 0; expected a number above 0, 1 at most"),
        ({"name": "lenet", "dropout": 0.1}, "lenet does not take dropout; the options it takes are: none"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ArchitectureError, match=message):
        create(**arguments)  # type: ignore[arg-type]


def test_what_every_network_must_take_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class OfOneSize(nn.Module):
        def __init__(self, *, in_channels: int = 1, num_classes: int = 7) -> None:
            super().__init__()

    monkeypatch.setitem(registry._NETWORKS, "of_one_size", ("nowhere", "OfOneSize"))
    monkeypatch.setattr(registry, "_network_class", lambda _name: OfOneSize)
    message = (
        r"of_one_size cannot be built with in_channels=1, input_size=48, num_classes=7 \(.* argument 'input_size'\)"
    )
    with pytest.raises(ArchitectureError, match=message):
        create("of_one_size")


def test_outputs_follow_the_image_not_the_batch() -> None:
    torch.manual_seed(0)
    network = create("sepconv_attention").eval()
    images = torch.randn(3, 1, 48, 48)
    with torch.no_grad():
        together = network(images).numpy()
        alone = np.concatenate([network(image[None]).numpy() for image in images])
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", TOTALS)
@pytest.mark.parametrize("channels", [1, 3])
def test_no_layer_that_onednn_cannot_train(name: str, channels: int) -> None:
    """Its backward pass corrupts the memory: mini_xception at 64 pixels, its own size, crashed in the first step."""
    with torch.device("meta"):
        modules = create(name, in_channels=channels).named_modules()
    plain = [(path, module) for path, module in modules if type(module) is nn.Conv2d and module.kernel_size == (1, 1)]
    assert not [path for path, module in plain if module.in_channels < 16 and max(module.stride) > 1]


@pytest.mark.parametrize("side", [8, 9])
def test_strided_pointwise_convolution_equals_the_plain_one(side: int) -> None:
    torch.manual_seed(0)
    layer = StridedPointwiseConv2d(3, 5)
    plain = nn.Conv2d(3, 5, 1, stride=2, bias=False)
    plain.load_state_dict(layer.state_dict())
    images = torch.randn(2, 3, side, side)
    expected = plain(images)
    torch.testing.assert_close(layer.eval()(images), expected)
    torch.testing.assert_close(layer.train()(images), expected)
    for network in (layer, plain):
        network(images).square().sum().backward()
    torch.testing.assert_close(layer.weight.grad, plain.weight.grad)
