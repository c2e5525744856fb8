"""Small clean-ups of an exported graph: batch norms that follow no convolution, copies of constants, constant nodes."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper


def fold_batch_norms(model: onnx.ModelProto) -> int:
    """Replace every BatchNormalization by a multiplication and an addition with constants, in place.

    In inference a batch norm is affine: y = x * s + (bias - mean * s) with s = scale / sqrt(var + epsilon).

    Args:
        model: graph whose batch-norm parameters are initializers.

    Returns:
        How many were replaced.
    """
    graph = model.graph
    left = [node for node in graph.node if node.op_type == "BatchNormalization"]
    if not left:
        return 0
    inferred = onnx.shape_inference.infer_shapes(model).graph
    ranks = {
        v.name: len(v.type.tensor_type.shape.dim) for v in (*inferred.value_info, *inferred.input, *inferred.output)
    }
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.op_type != "BatchNormalization":
            nodes.append(node)
            continue
        source = node.input[0]
        gamma, beta, mean, variance = (weights[name].astype(np.float64) for name in node.input[1:5])
        epsilon = next((a.f for a in node.attribute if a.name == "epsilon"), 1e-5)
        scale = gamma / np.sqrt(variance + epsilon)
        shape = (1, -1) + (1,) * (ranks.get(source, 4) - 2)
        target = node.output[0]
        for suffix, value in (("scale", scale), ("shift", beta - mean * scale)):
            array = value.reshape(shape).astype(np.float32)
            graph.initializer.append(numpy_helper.from_array(array, f"{target}_{suffix}"))
        nodes.append(helper.make_node("Mul", [source, f"{target}_scale"], [f"{target}_scaled"], f"{target}_multiply"))
        nodes.append(helper.make_node("Add", [f"{target}_scaled", f"{target}_shift"], [target], f"{target}_add"))
    replace_nodes(graph, nodes)
    return len(left)


def constants_to_initializers(graph: onnx.GraphProto) -> None:
    """Make every constant an initializer that its readers name directly, in place.

    The exporter writes scalars as Constant nodes and shares equal weights through Identity nodes, which TensorRT would
    see as layers of their own.
    """
    weights = {tensor.name for tensor in graph.initializer}
    same: dict[str, str] = {}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        value = next((a.t for a in node.attribute if a.name == "value"), None)
        if node.op_type == "Constant" and value is not None:
            tensor = onnx.TensorProto()
            tensor.CopyFrom(value)
            tensor.name = node.output[0]
            graph.initializer.append(tensor)
        elif node.op_type == "Identity" and node.input[0] in weights:
            same[node.output[0]] = node.input[0]
        else:
            nodes.append(node)
    for node in nodes:
        inputs = [same.get(name, name) for name in node.input]
        del node.input[:]
        node.input.extend(inputs)
    replace_nodes(graph, nodes)


def replace_nodes(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> None:
    """Give a graph other operators and drop the weights that none of them reads."""
    nodes = list(nodes)
    del graph.node[:]
    graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def pool_before_last_convolution(model: onnx.ModelProto) -> bool:
    """Move a global mean in front of the convolution it follows, in place, where that is exact.

    That is where nothing else reads the convolution's map, its stride and dilation are 1, its padding keeps the map's
    size, and the size is known.

    Args:
        model: a graph.

    Returns:
        Whether the graph has changed.
    """
    graph = model.graph
    makers = {output: node for node in graph.node for output in node.output}
    readers = Counter(name for node in graph.node for name in node.input)
    readers.update(value.name for value in graph.output)
    inferred = onnx.shape_inference.infer_shapes(model).graph
    shapes = {value.name: value.type.tensor_type.shape.dim for value in (*inferred.value_info, *inferred.input)}
    for mean in graph.node:
        convolution = makers.get(mean.input[0]) if mean.input else None
        if convolution is None or convolution.op_type != "Conv" or readers[convolution.output[0]] != 1:
            continue
        size = [dim.dim_value for dim in shapes.get(convolution.input[0], ())][2:]
        if not (_is_global_mean(mean) and _keeps_size(convolution) and len(size) == 2 and all(size)):
            continue
        _exchange(graph, convolution, size)
        return True
    return False


def _exchange(graph: onnx.GraphProto, convolution: onnx.NodeProto, size: list[int]) -> None:
    means = f"{convolution.output[0]}_tap_means"
    pooling = helper.make_node(
        "AveragePool",
        [convolution.input[0]],
        [means],
        means,
        kernel_shape=size,
        strides=[1, 1],
        pads=_attribute(convolution, "pads", [0] * 4),
        count_include_pad=1,
    )
    convolution.input[0] = means
    for attribute in convolution.attribute:
        if attribute.name == "pads":
            attribute.ints[:] = [0] * 4
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.output[0] == convolution.output[0]:
            nodes.append(pooling)
        nodes.append(node)
    replace_nodes(graph, nodes)
    # The recorded sizes of what lies between the two have changed; readers infer them again.
    del graph.value_info[:]


def _is_global_mean(node: onnx.NodeProto) -> bool:
    """(N, C, H, W) -> (N, C) or (N, C, 1, 1); axes are an attribute up to opset 17."""
    if node.op_type == "GlobalAveragePool":
        return True
    axes = _attribute(node, "axes", [])
    return node.op_type == "ReduceMean" and sorted(axis % 4 for axis in axes) == [2, 3]


def _keeps_size(convolution: onnx.NodeProto) -> bool:
    """Stride and dilation 1, and padding of (k - 1) / 2 on every side."""
    kernel = _attribute(convolution, "kernel_shape", [])
    ones = _attribute(convolution, "strides", [1, 1]) == _attribute(convolution, "dilations", [1, 1]) == [1, 1]
    explicit = _attribute(convolution, "auto_pad", b"NOTSET") == b"NOTSET"
    half = [(side - 1) // 2 for side in kernel]
    odd = len(kernel) == 2 and all(side % 2 for side in kernel)
    return ones and explicit and odd and _attribute(convolution, "pads", [0] * 4) == half + half


def _attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    found = next((attribute for attribute in node.attribute if attribute.name == name), None)
    if found is None:
        return default
    value = helper.get_attribute_value(found)
    return list(value) if isinstance(default, list) else value
