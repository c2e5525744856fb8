from __future__ import annotations

import pytest

from fer_perception.errors import NotInstalledError
from fer_perception.inference.tensorrt.version import build_plan, full_precision_layers, parse_version


@pytest.mark.parametrize(
    ("text", "number"),
    [("8.6.1", (8, 6, 1)), ("8.6.1.post1", (8, 6, 1)), ("10.11.0.33", (10, 11, 0)), ("11.4", (11, 4, 0))],
)
def test_versions(text, number):
    assert parse_version(text) == number


@pytest.mark.parametrize("text", ["", "new", "x8.6"])
def test_what_is_no_version(text):
    with pytest.raises(NotInstalledError, match=r"its version is"):
        parse_version(text)


@pytest.mark.parametrize(
    ("version", "typing_graph", "network", "builder", "monitor"),
    [
        ("8.6.1", ("weak", "fp32"), ("EXPLICIT_BATCH",), ("FP16", "OBEY_PRECISION_CONSTRAINTS"), False),
        ("10.0.1", ("weak", "fp32"), (), ("FP16", "OBEY_PRECISION_CONSTRAINTS"), True),
        ("10.3.0", ("weak", "fp32"), (), ("FP16", "OBEY_PRECISION_CONSTRAINTS"), True),
        ("10.11.0.33", ("weak", "fp32"), (), ("FP16", "OBEY_PRECISION_CONSTRAINTS"), True),
        ("10.12.0.36", ("strong", "fp16"), ("STRONGLY_TYPED",), (), True),
        ("10.16.1.11", ("strong", "fp16"), ("STRONGLY_TYPED",), (), True),
        ("11.4.0.106", ("strong", "fp16"), (), (), True),
    ],
)
def test_plans(version, typing_graph, network, builder, monitor):
    plan = build_plan(version)
    assert (plan.typing, plan.graph) == typing_graph
    assert (plan.network_flags, plan.builder_flags) == (network, builder)
    assert plan.progress_monitor is monitor
    assert plan.pins_layers is (plan.typing == "weak")


@pytest.mark.parametrize("version", ["7.1.3", "8.5.2"])
def test_too_old(version):
    with pytest.raises(NotInstalledError, match=rf"TensorRT {version} is too old; expected 8.6"):
        build_plan(version)


def test_normalization_and_head_stay_in_full_precision():
    kinds = ["REDUCE", "ELEMENTWISE", "CONSTANT", "UNARY", "CONVOLUTION", "ACTIVATION", "POOLING", "CONVOLUTION"]
    kinds += ["REDUCE", "SHAPE", "ELEMENTWISE", "SOFTMAX"]
    assert full_precision_layers(kinds) == {0, 1, 3, 8, 10, 11}
    assert full_precision_layers(["SOFTMAX"]) == set()
