"""Small clean-ups of an exported graph: batch norms that follow no convolution, copies of constants, constant nodes."""

from __future__ import annotations

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
