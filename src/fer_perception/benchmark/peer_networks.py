"""Networks others run on faces, as ONNX with random weights: for timing, not for their answers.

Built in their deployed form, batch norms folded into the convolutions. Needs the `onnx` package.
Sources: Tan & Le 2019, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", Table 1, with the
blocks of MnasNet (Tan et al. 2019) and squeeze-and-excitation ratio 0.25; Arriaga, Valdenegro-Toro & Plöger 2017,
"Real-time Convolutional Neural Networks for Emotion and Gender Classification", Figure 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

#: Stages of EfficientNet-B0: expansion, output channels, repeats, stride of the first block, kernel.
_STAGES = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)


@dataclass(frozen=True)
class PeerNetwork:
    """A network ready to be timed.

    Attributes:
        data: the ONNX file.
        input_shape: (C, H, W) of its input "images", float32, batch dynamic.
        parameters: as usually counted: the trainable ones of EfficientNet-B0, all of mini_XCEPTION.
    """

    data: bytes
    input_shape: tuple[int, int, int]
    parameters: int


class _Graph:
    """Collects nodes and random weights; counts parameters as if batch norms were still there."""

    def __init__(self, *, per_batch_norm: int) -> None:
        import onnx

        self._onnx = onnx
        self._random = np.random.default_rng(0)
        self._per_batch_norm = per_batch_norm
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self.parameters = 0

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add an operator; its output's name."""
        output = f"t{len(self.nodes)}"
        self.nodes.append(self._onnx.helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def tensor(self, *shape: int) -> str:
        """Add random weights scaled to keep activations bounded; their name."""
        fan_in = max(1, int(np.prod(shape[1:])))
        values = self._random.normal(0, fan_in**-0.5, shape).astype(np.float32)
        name = f"w{len(self.weights)}"
        self.weights.append(self._onnx.numpy_helper.from_array(values, name))
        return name

    def convolution(
        self,
        x: str,
        shape: tuple[int, int],
        *,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        padding: int | None = None,
        batch_norm: bool = True,
    ) -> str:
        """A convolution with the bias that a folded batch norm (or its own) leaves it."""
        inputs, outputs = shape
        pad = kernel // 2 if padding is None else padding
        self.parameters += outputs * (inputs // groups) * kernel**2
        self.parameters += outputs * (self._per_batch_norm if batch_norm else 1)
        weights, bias = self.tensor(outputs, inputs // groups, kernel, kernel), self.tensor(outputs)
        return self.node(
            "Conv", x, weights, bias, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4, group=groups
        )

    def swish(self, x: str) -> str:
        """Multiply with the sigmoid of itself."""
        return self.node("Mul", x, self.node("Sigmoid", x))

    def finish(self, x: str, shape: tuple[int, int, int], classes: int) -> PeerNetwork:
        """Close the graph at logits (N, classes)."""
        helper, kind = self._onnx.helper, self._onnx.TensorProto.FLOAT
        self.nodes.append(helper.make_node("Softmax", [x], ["probabilities"], axis=1))
        graph = helper.make_graph(
            self.nodes,
            "peer",
            [helper.make_tensor_value_info("images", kind, ["N", *shape])],
            [helper.make_tensor_value_info("probabilities", kind, ["N", classes])],
            self.weights,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        return PeerNetwork(model.SerializeToString(), shape, self.parameters)


def efficientnet_b0(classes: int = 1000) -> PeerNetwork:
    """EfficientNet-B0 for 224x224 color images: 5,288,548 trainable parameters with 1,000 classes.

    Raises:
        ImportError: `onnx` is not installed.
    """
    graph = _Graph(per_batch_norm=2)
    x = graph.swish(graph.convolution("images", (3, 32), kernel=3, stride=2))
    channels = 32
    for expansion, outputs, repeats, first_stride, kernel in _STAGES:
        for repeat in range(repeats):
            stride = first_stride if repeat == 0 else 1
            x = _inverted_bottleneck(graph, x, (channels, outputs), expansion=expansion, kernel=kernel, stride=stride)
            channels = outputs
    x = graph.swish(graph.convolution(x, (channels, 1280)))
    x = graph.node("Flatten", graph.node("GlobalAveragePool", x))
    graph.parameters += 1280 * classes + classes
    x = graph.node("Gemm", x, graph.tensor(classes, 1280), graph.tensor(classes), transB=1)
    return graph.finish(x, (3, 224, 224), classes)


def _inverted_bottleneck(
    graph: _Graph, x: str, channels: tuple[int, int], *, expansion: int, kernel: int, stride: int
) -> str:
    inputs, outputs = channels
    wide = inputs * expansion
    y = x if expansion == 1 else graph.swish(graph.convolution(x, (inputs, wide)))
    y = graph.swish(graph.convolution(y, (wide, wide), kernel=kernel, stride=stride, groups=wide))
    squeezed = max(1, inputs // 4)
    gate = graph.node("GlobalAveragePool", y)
    gate = graph.swish(graph.convolution(gate, (wide, squeezed), batch_norm=False))
    gate = graph.node("Sigmoid", graph.convolution(gate, (squeezed, wide), batch_norm=False))
    y = graph.convolution(graph.node("Mul", y, gate), (wide, outputs))
    return graph.node("Add", x, y) if stride == 1 and inputs == outputs else y


def mini_xception(classes: int = 7) -> PeerNetwork:
    """mini_XCEPTION for 64x64 gray images: 58,423 parameters in total with 7 classes.

    Raises:
        ImportError: `onnx` is not installed.
    """
    graph = _Graph(per_batch_norm=4)
    x = graph.node("Relu", graph.convolution("images", (1, 8), kernel=3, padding=0))
    x = graph.node("Relu", graph.convolution(x, (8, 8), kernel=3, padding=0))
    channels = 8
    for outputs in (16, 32, 64, 128):
        shortcut = graph.convolution(x, (channels, outputs), stride=2)
        y = graph.node("Relu", _separable(graph, x, channels, outputs))
        y = _separable(graph, y, outputs, outputs)
        y = graph.node("MaxPool", y, kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER")
        x = graph.node("Add", y, shortcut)
        channels = outputs
    x = graph.convolution(x, (channels, classes), kernel=3, batch_norm=False)
    x = graph.node("Flatten", graph.node("GlobalAveragePool", x))
    return graph.finish(x, (1, 64, 64), classes)


def _separable(graph: _Graph, x: str, inputs: int, outputs: int) -> str:
    """Depthwise 3x3 without bias or batch norm, then pointwise with batch norm."""
    graph.parameters += inputs * 9
    depthwise = graph.node("Conv", x, graph.tensor(inputs, 1, 3, 3), kernel_shape=[3, 3], pads=[1] * 4, group=inputs)
    return graph.convolution(depthwise, (inputs, outputs))
