"""FP16 version of an exported graph: convolutions and their neighbors in half precision, everything delicate in FP32.

FP32 stay the input and its normalization (the variance of raw pixels overflows half precision), averages over many
values, the temperature and the softmax. Casts stand between the two, so that strongly typed TensorRT builds keep them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from fer_perception.errors import ModelError
from fer_perception.model_files.onnx_file import version_path
from fer_perception.system.files import write_atomically
from fer_training.deployed_network import as_batch
from fer_training.export.export import ExportError, check_contract, probe_images
from fer_training.export.graph_passes import constants_to_initializers, replace_nodes
from fer_training.onnx_file import load_onnx, onnx_bytes, run_onnx, set_metadata, version_metadata

#: Where the multiply-adds are; the FP16 part reaches from the first of them to the last.
_HEAVY = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
#: May be FP16 between heavy operators: exact (selection, layout) or as harmless as rounding a convolution's output.
_LIGHT = frozenset(
    {
        "Add", "Clip", "Concat", "Elu", "Flatten", "HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "MaxPool",
        "Mul", "PRelu", "Relu", "Reshape", "Sigmoid", "Squeeze", "Sub", "Tanh", "Transpose", "Unsqueeze",
    }
)  # fmt: skip
#: Largest difference in any probability from the FP32 graph that still counts as the same model.
TOLERANCE = 0.01


@dataclass(frozen=True)
class HalfExport:
    """An FP16 file and how it compares with the FP32 one.

    Attributes:
        path: the file.
        sha256: of the file, hexadecimal.
        max_difference: largest difference in any probability, over synthetic and, where given, real images.
        half_nodes: operators that run in FP16.
    """

    path: Path
    sha256: str
    max_difference: float
    half_nodes: int


def export_fp16(source: Path, out: Path | None = None, *, images: NDArray[Any] | None = None) -> HalfExport:
    """Write the FP16 version of an exported graph and compare the two.

    Inputs and outputs stay float32. Metadata is kept; "fer.precision" and "fer.fp32_sha256" (of `source`) are added.

    Args:
        source: a file written by `export_checkpoint`.
        out: where to; None is "<source>_fp16.onnx".
        images: real images, (M, H, W) or (M, C, H, W), 0-255, compared beside the synthetic ones.

    Raises:
        ModelError: `source` is unreadable or `out` unwritable.
        ExportError: a weight does not fit FP16, or a probability differs by more than 0.01.
    """
    out = version_path(source, "fp16") if out is None else out
    single, data = load_onnx(source)
    half, half_nodes = convert_to_half(single)
    set_metadata(half, version_metadata(single, data, precision="float16"))
    onnx.checker.check_model(half, full_check=True)
    dims = [d.dim_value for d in half.graph.input[0].type.tensor_type.shape.dim]
    shape = (dims[1], dims[2], dims[3])
    classes = half.graph.output[0].type.tensor_type.shape.dim[1].dim_value
    check_contract(half, labels=classes, shape=shape)
    written = onnx_bytes(half)
    batches = [probe_images(shape)]
    if images is not None and len(images):
        batches.append(as_batch(images, shape))
    worst = float(np.max([np.abs(run_onnx(written, b) - run_onnx(data, b)).max() for b in batches]))
    if not worst <= TOLERANCE:
        msg = (
            f"the FP16 version of {source} differs from FP32 by {worst:.3g} in a probability, expected at most "
            f"{TOLERANCE}; {out} was not written, deploy the FP32 file or train with smaller activations"
        )
        raise ExportError(msg)
    write_atomically(out, written, error=ModelError)
    return HalfExport(out, hashlib.sha256(written).hexdigest(), worst, half_nodes)


def convert_to_half(single: onnx.ModelProto) -> tuple[onnx.ModelProto, int]:
    """Turn the inner part of a graph to FP16.

    Args:
        single: float32 graph; it is not changed.

    Returns:
        The converted graph and how many of its operators run in FP16.

    Raises:
        ExportError: a weight is larger than FP16 can hold (65,504).
    """
    model = onnx.ModelProto()
    model.CopyFrom(single)
    graph = model.graph
    constants_to_initializers(graph)
    half = _half_nodes(graph.node)
    floats = _float_tensors(model)
    weights = {tensor.name: tensor for tensor in graph.initializer}
    made_half = {name for index in half for name in graph.node[index].output if name in floats}
    new_weights: dict[str, onnx.TensorProto] = {}
    casts: dict[tuple[str, int], str] = {}
    nodes: list[onnx.NodeProto] = []

    def cast(name: str, to: int) -> str:
        if (name, to) not in casts:
            suffix = "half" if to == TensorProto.FLOAT16 else "single"
            casts[name, to] = f"{name}_{suffix}"
            nodes.append(helper.make_node("Cast", [name], [f"{name}_{suffix}"], f"{name}_to_{suffix}", to=to))
        return casts[name, to]

    def half_input(name: str) -> str:
        if name not in floats or name in made_half:
            return name
        if name not in weights:
            return cast(name, TensorProto.FLOAT16)
        new_name = f"{name}_half"
        new_weights.setdefault(new_name, _half_tensor(weights[name], new_name))
        return new_name

    for index, node in enumerate(graph.node):
        if index in half:
            inputs = [half_input(name) for name in node.input]
        else:
            inputs = [cast(name, TensorProto.FLOAT) if name in made_half else name for name in node.input]
        del node.input[:]
        node.input.extend(inputs)
        nodes.append(node)
    graph.initializer.extend(new_weights.values())
    replace_nodes(graph, nodes)
    # The recorded types of intermediate tensors are float32; readers infer them again.
    del graph.value_info[:]
    return model, len(half)


def _half_nodes(nodes: Iterable[onnx.NodeProto]) -> set[int]:
    """Indices of the operators that lie between the first and the last heavy one (inclusive) and may be FP16."""
    nodes = list(nodes)
    after: set[str] = set()
    downstream: set[int] = set()
    for index, node in enumerate(nodes):
        if node.op_type in _HEAVY or any(name in after for name in node.input):
            downstream.add(index)
            after.update(node.output)
    before: set[str] = set()
    upstream: set[int] = set()
    for index in range(len(nodes) - 1, -1, -1):
        if nodes[index].op_type in _HEAVY or any(name in before for name in nodes[index].output):
            upstream.add(index)
            before.update(nodes[index].input)
    return {i for i in downstream & upstream if nodes[i].op_type in _HEAVY | _LIGHT}


def _float_tensors(model: onnx.ModelProto) -> set[str]:
    """Names of all float32 tensors: weights, inputs and what lies between."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    values = (*graph.input, *graph.output, *graph.value_info)
    names = {value.name for value in values if value.type.tensor_type.elem_type == TensorProto.FLOAT}
    return names | {tensor.name for tensor in graph.initializer if tensor.data_type == TensorProto.FLOAT}


def _half_tensor(tensor: onnx.TensorProto, name: str) -> onnx.TensorProto:
    values = numpy_helper.to_array(tensor)
    largest = float(np.abs(values).max(initial=0.0))
    if not largest <= float(np.finfo(np.float16).max):
        msg = f"weight {tensor.name} holds {largest:g}, more than FP16's 65504; deploy the FP32 file"
        raise ExportError(msg)
    return numpy_helper.from_array(values.astype(np.float16), name)
