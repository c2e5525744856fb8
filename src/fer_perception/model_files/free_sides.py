"""Freeing the sides of a fully convolutional ONNX graph, so that one file runs on images of any size and in batches.

The file in the OpenCV Zoo is exported for one image of 640x640 pixels, but nothing in its graph depends on that: the
shapes of the input and outputs say so, and the reshapes behind the last convolutions keep a leading 1. Both are changed
in memory; weights and operations stay as they are. Source of the field numbers: onnx.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Mapping

from fer_perception.errors import ModelError
from fer_perception.model_files.protobuf import (
    WireError,
    bytes_field,
    encoded_fields,
    onnx_metadata,
    packed_integers,
    signed,
)

# Field numbers of onnx.proto: ModelProto, GraphProto, NodeProto, TensorProto, ValueInfoProto and below.
_MODEL_GRAPH = 7
_NODE, _INITIALIZER, _INPUT, _OUTPUT, _VALUE_INFO = 1, 5, 11, 12, 13
_NODE_INPUT, _NODE_OPERATOR = 1, 4
_TENSOR_DIMENSION, _TENSOR_TYPE, _TENSOR_INT64, _TENSOR_NAME, _TENSOR_RAW = 1, 2, 7, 8, 9
_VALUE_NAME, _VALUE_TYPE, _TYPE_TENSOR, _TENSOR_SHAPE, _SHAPE_DIMENSION, _DIMENSION_NAME = 1, 2, 1, 2, 1, 2
_INT64 = 7

# Operations that work alike on a batch and an image of any size, besides Reshape and Resize, which are looked into.
_SIZE_FREE = frozenset({"Conv", "Relu", "Sigmoid", "Add", "MaxPool", "Transpose"})
# Reshape reads 0 as "this side of its input", here the batch, and -1 as "what is left".
_BATCH_OF_INPUT, _WHAT_IS_LEFT = 0, -1


def free_sides(model: bytes, *, name: str, input_name: str = "input") -> bytes:
    """The same model for batches of images of any size.

    Args:
        model: the content of an ONNX file: an input (1, C, H, W) and outputs (1, n, k), of fixed sides.
        name: of the model, for messages.
        input_name: of the input whose batch, height and width become free.

    Returns:
        The content of an ONNX file with the input (batch, C, height, width) and outputs (batch, n, k). What was free
        before stays so.

    Raises:
        ModelError: not an ONNX model, cut short, without that input, or with an operation that depends on the size.
    """
    try:
        # Also what says that there is a graph inside.
        onnx_metadata(memoryview(model))
        return _each_field(memoryview(model), {_MODEL_GRAPH: lambda graph: _free_graph(graph, name, input_name)})
    except WireError as err:
        msg = f"{name} ({len(model)} bytes) is not an ONNX model or was cut short ({err}); get the file again"
        raise ModelError(msg) from None


def _each_field(message: memoryview, changes: Mapping[int, Callable[[memoryview], bytes | None]]) -> bytes:
    """A message with some length-delimited fields changed; a change to None leaves the field out."""
    parts: list[bytes | memoryview] = []
    for field in encoded_fields(message):
        if field.number not in changes or not isinstance(field.value, memoryview):
            parts.append(field.encoded)
            continue
        content = changes[field.number](field.value)
        if content is not None:
            parts.append(bytes_field(field.number, content))
    return b"".join(parts)


def _free_graph(graph: memoryview, name: str, input_name: str) -> bytes:
    targets: set[str] = set()
    inputs: set[str] = set()
    for field in encoded_fields(graph):
        if field.number == _NODE and isinstance(field.value, memoryview):
            targets.update(_reshape_target(field.value, name))
        elif field.number == _INPUT and isinstance(field.value, memoryview):
            inputs.add(_text(field.value, _VALUE_NAME))
    if input_name not in inputs:
        msg = f"{name} has inputs {sorted(inputs)}; expected one named {input_name!r}"
        raise ModelError(msg)
    freed: set[str] = set()

    def initializer(tensor: memoryview) -> bytes:
        own = _text(tensor, _TENSOR_NAME)
        if own not in targets:
            return bytes(tensor)
        freed.add(own)
        return _free_target(tensor, name)

    def value_info(value: memoryview) -> bytes:
        sides = {0: "batch", 2: "height", 3: "width"} if _text(value, _VALUE_NAME) == input_name else {}
        return _with_shape(value, sides)

    def output(value: memoryview) -> bytes:
        own = _text(value, _VALUE_NAME)
        return _with_shape(value, {0: "batch", 1: f"cells_{own}"})

    # The shapes noted for values in between would contradict the freed ones; whoever runs the graph infers them.
    changed = _each_field(
        graph, {_INITIALIZER: initializer, _INPUT: value_info, _OUTPUT: output, _VALUE_INFO: lambda _value: None}
    )
    _require_all(targets, freed, name)
    return changed


def _require_all(targets: Collection[str], freed: Collection[str], name: str) -> None:
    missing = sorted(set(targets) - set(freed))
    if missing:
        msg = f"the sides of {name} cannot be freed: a Reshape calculates its shape {missing[0]}; expected a constant"
        raise ModelError(msg)


def _reshape_target(node: memoryview, name: str) -> list[str]:
    """Name of the constant with the new shape where a node is a Reshape; nothing for other allowed operations."""
    operator = _text(node, _NODE_OPERATOR)
    if operator in _SIZE_FREE:
        return []
    inputs = [
        bytes(field.value).decode(errors="replace")
        for field in encoded_fields(node)
        if field.number == _NODE_INPUT and isinstance(field.value, memoryview)
    ]
    if operator == "Reshape" and len(inputs) == 2:
        return inputs[1:]
    # By factors; a fourth input would be the size itself.
    if operator == "Resize" and len(inputs) == 3:
        return []
    msg = (
        f"the sides of {name} cannot be freed: its operation {operator or '(without a name)'} with {len(inputs)} "
        f"inputs may depend on them; expected only Reshape, Resize by factors, {', '.join(sorted(_SIZE_FREE))}"
    )
    raise ModelError(msg)


def _free_target(tensor: memoryview, name: str) -> bytes:
    """A constant shape (1, -1, k) as (0, -1, k)."""
    shape = _int64_values(tensor)
    if len(shape) < 2 or shape[0] not in (1, _BATCH_OF_INPUT) or shape[1:].count(_WHAT_IS_LEFT) != 1:
        msg = (
            f"the sides of {name} cannot be freed: a Reshape makes {shape}; expected the batch first (1) and one side "
            "left open (-1)"
        )
        raise ModelError(msg)
    content = struct.pack(f"<{len(shape)}q", _BATCH_OF_INPUT, *shape[1:])
    values = (_TENSOR_INT64, _TENSOR_RAW)
    kept = b"".join(field.encoded for field in encoded_fields(tensor) if field.number not in values)
    return kept + bytes_field(_TENSOR_RAW, content)


def _int64_values(tensor: memoryview) -> list[int]:
    """Content of a tensor of whole numbers; empty where it is of another type or lies elsewhere."""
    values: list[int] = []
    for field in encoded_fields(tensor):
        if field.number == _TENSOR_TYPE and field.value != _INT64:
            return []
        if field.number == _TENSOR_RAW and isinstance(field.value, memoryview) and len(field.value) % 8 == 0:
            values = list(struct.unpack(f"<{len(field.value) // 8}q", field.value))
        elif field.number == _TENSOR_INT64:
            value = field.value
            values.extend(packed_integers(value) if isinstance(value, memoryview) else [signed(value)])
    return values


def _with_shape(value: memoryview, sides: Mapping[int, str]) -> bytes:
    """A description of a value with some sides named instead of given."""

    def shape(dimensions: memoryview) -> bytes:
        parts = []
        for index, field in enumerate(encoded_fields(dimensions)):
            parts.append(
                bytes_field(_SHAPE_DIMENSION, bytes_field(_DIMENSION_NAME, sides[index].encode()))
                if index in sides
                else bytes(field.encoded)
            )
        return b"".join(parts)

    return _each_field(
        value, {_VALUE_TYPE: lambda t: _each_field(t, {_TYPE_TENSOR: lambda s: _each_field(s, {_TENSOR_SHAPE: shape})})}
    )


def _text(message: memoryview, number: int) -> str:
    for field in encoded_fields(message):
        if field.number == number and isinstance(field.value, memoryview):
            return bytes(field.value).decode(errors="replace")
    return ""
