"""Tiny real ONNX models, built for each test."""

from __future__ import annotations

import numpy as np
import onnx

from fer_perception.labels import LABELS
from fer_perception.model_files.metadata import ModelMetadata


def metadata(**changes) -> ModelMetadata:
    values = {
        "name": "tiny",
        "labels": LABELS,
        "input_shape": (1, 48, 48),
        "normalization": "per_image_standardisation",
        "landmark_template": ((15.0, 18.2), (32.5, 18.2), (23.3, 28.6), (16.7, 35.9), (30.8, 35.9)),
        "temperature": 1.0,
    }
    return ModelMetadata(**(values | changes))


def tiny_model(
    *,
    classes: int = len(LABELS),
    batch: int | str = "N",
    size: int = 48,
    softmax: bool = True,
    input_name: str = "images",
    output_name: str = "probabilities",
    dtype: int = onnx.TensorProto.FLOAT,
    props: dict[str, str] | None = None,
    changed_props: dict[str, str] | None = None,
    weights: np.ndarray | None = None,
) -> onnx.ModelProto:
    """Mean of each quarter of the image, a linear layer, softmax: small, but the answer depends on the image."""
    helper = onnx.helper
    random = np.random.default_rng(0)
    if weights is None:
        weights = random.normal(0, 0.02, (4, classes)).astype(np.float32)
    nodes = [
        helper.make_node("AveragePool", ["cast"], ["quarters"], kernel_shape=[size // 2] * 2, strides=[size // 2] * 2),
        helper.make_node("Flatten", ["quarters"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["logits" if softmax else output_name]),
    ]
    nodes.insert(0, helper.make_node("Cast", [input_name], ["cast"], to=onnx.TensorProto.FLOAT))
    if softmax:
        nodes.append(helper.make_node("Softmax", ["logits"], [output_name], axis=1))
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(input_name, dtype, [batch, 1, size, size])],
        [helper.make_tensor_value_info(output_name, onnx.TensorProto.FLOAT, [batch, classes])],
        [onnx.numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, (metadata().to_props() if props is None else props) | (changed_props or {}))
    return model
