from __future__ import annotations

import io
import warnings

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from fer_training.export.graph_passes import pool_before_last_convolution


class Mean(nn.Module):
    def forward(self, x):
        return x.mean(dim=(2, 3))


def traced(*layers: nn.Module, size: int = 6) -> onnx.ModelProto:
    torch.manual_seed(0)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            nn.Sequential(*layers).eval(),
            (torch.zeros(2, 4, size, size),),
            buffer,
            input_names=["x"],
            output_names=["y"],
            dynamic_axes={"x": {0: "N"}, "y": {0: "N"}},
            opset_version=17,
            dynamo=False,
        )
    return onnx.load_from_string(buffer.getvalue())


def answer(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]


@pytest.mark.parametrize(
    ("convolution", "mean", "size"),
    [
        (nn.Conv2d(4, 7, 3, padding=1), Mean(), 6),
        (nn.Conv2d(4, 7, 3, padding=1), nn.AdaptiveAvgPool2d(1), 12),
        (nn.Conv2d(4, 7, 5, padding=2), Mean(), 7),
        (nn.Conv2d(4, 7, 1), Mean(), 6),
        (nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False), Mean(), 3),
    ],
)
def test_the_answer_is_the_same(convolution, mean, size):
    model = traced(nn.ReLU(), convolution, mean, nn.Softmax(dim=1), size=size)
    x = np.random.default_rng(0).normal(0, 2, (5, 4, size, size)).astype(np.float32)
    before = answer(model, x)
    assert pool_before_last_convolution(model) is True
    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in model.graph.node][1:3] == ["AveragePool", "Conv"]
    np.testing.assert_allclose(answer(model, x), before, atol=1e-6)


@pytest.mark.parametrize(
    "layers",
    [
        (nn.Conv2d(4, 7, 3), Mean()),
        (nn.Conv2d(4, 7, 3, padding=1, stride=2), Mean()),
        (nn.Conv2d(4, 7, 3, padding=2, dilation=2), Mean()),
        (nn.Conv2d(4, 7, 3, padding=1), nn.ReLU(), Mean()),
        (nn.Conv2d(4, 7, 3, padding=1), nn.Flatten()),
    ],
)
def test_what_does_not_commute_stays(layers):
    model = traced(*layers)
    before = model.SerializeToString()
    assert pool_before_last_convolution(model) is False
    assert model.SerializeToString() == before


def test_a_map_somebody_else_reads_stays():
    model = traced(nn.Conv2d(4, 7, 3, padding=1), Mean())
    name = model.graph.node[0].output[0]
    model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    assert pool_before_last_convolution(model) is False
