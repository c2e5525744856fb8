"""Minimal reader and writer of the protocol buffer wire format, for ONNX files without the `onnx` package.

Source: the encoding document of Protocol Buffers (varint, 64-bit, length-delimited, 32-bit) and the field numbers of
onnx.proto (IR version 3 to 13).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

# Field numbers of onnx.proto.
_MODEL_GRAPH, _MODEL_METADATA, _MODEL_TRAINING, _MODEL_FUNCTIONS = 7, 14, 20, 25
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_SPARSE = 1, 5, 15
_NODE_OPERATOR, _NODE_ATTRIBUTE, _FUNCTION_NODE = 4, 5, 7
_ATTRIBUTE_TENSOR, _ATTRIBUTE_GRAPH, _ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS = 5, 6, 10, 11
_ATTRIBUTE_SPARSE, _ATTRIBUTE_SPARSES = 22, 23
_TENSOR_EXTERNAL = 13
_ENTRY_KEY, _ENTRY_VALUE = 1, 2

#: Which fields of a message hold further messages that may hold tensors: kind -> field -> kind.
_CHILDREN: dict[str, dict[int, str]] = {
    "model": {_MODEL_GRAPH: "graph", _MODEL_TRAINING: "training", _MODEL_FUNCTIONS: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {_FUNCTION_NODE: "node"},
    "graph": {_GRAPH_NODE: "node", _GRAPH_INITIALIZER: "tensor", _GRAPH_SPARSE: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "node": {_NODE_ATTRIBUTE: "attribute"},
    "attribute": {
        _ATTRIBUTE_TENSOR: "tensor",
        _ATTRIBUTE_GRAPH: "graph",
        _ATTRIBUTE_TENSORS: "tensor",
        _ATTRIBUTE_GRAPHS: "graph",
        _ATTRIBUTE_SPARSE: "sparse",
        _ATTRIBUTE_SPARSES: "sparse",
    },
    "tensor": {},
}
#: Graphs inside attributes inside graphs: no sane model nests deeper, and a crafted one must not exhaust the stack.
_MAX_DEPTH = 64
_MOST_OPERATOR_BYTES = 100


class WireError(ValueError):
    """Bytes that are not a protocol buffer message, or a message cut short."""


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            msg = "a number is cut short"
            raise WireError(msg)
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    msg = "a number is longer than 64 bits"
    raise WireError(msg)


@dataclass(frozen=True)
class Field:
    """One field of an encoded message.

    Attributes:
        number: of the field.
        value: a view of the bytes of a length-delimited field, an int of any other.
        encoded: the whole field as it stands in the message: tag, length and content.
    """

    number: int
    value: memoryview | int
    encoded: memoryview


def encoded_fields(data: memoryview) -> Iterator[Field]:
    """The fields of one message, in order; their `encoded` parts joined are the message.

    Args:
        data: the encoded message.

    Raises:
        WireError: the bytes are no message or end too early.
    """
    position = 0
    while position < len(data):
        start = position
        tag, position = _varint(data, position)
        number, wire = tag >> 3, tag & 7
        if number == 0:
            msg = "field number 0"
            raise WireError(msg)
        if wire == _VARINT:
            value, position = _varint(data, position)
            yield Field(number, value, data[start:position])
            continue
        if wire == _BYTES:
            length, position = _varint(data, position)
        elif wire in (_FIXED32, _FIXED64):
            length = 4 if wire == _FIXED32 else 8
        else:
            msg = f"wire type {wire}"
            raise WireError(msg)
        end = position + length
        if end > len(data):
            msg = f"field {number} announces {length} bytes, {len(data) - position} are left"
            raise WireError(msg)
        content = data[position:end]
        position = end
        yield Field(number, content if wire == _BYTES else int.from_bytes(content, "little"), data[start:position])


def fields(data: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """The fields of one message.

    Args:
        data: the encoded message.

    Yields:
        Field number and its value: a view of the bytes of a length-delimited field, an int of any other.

    Raises:
        WireError: the bytes are no message or end too early.
    """
    for field in encoded_fields(data):
        yield field.number, field.value


def packed_integers(data: memoryview) -> list[int]:
    """The signed numbers of a packed repeated field of int64.

    Raises:
        WireError: the last one is cut short.
    """
    values, position = [], 0
    while position < len(data):
        value, position = _varint(data, position)
        values.append(signed(value))
    return values


def signed(value: int) -> int:
    """The int64 that a varint stands for."""
    return value - (1 << 64) if value >> 63 else value


def bytes_field(number: int, content: bytes) -> bytes:
    """A length-delimited field: bytes, text or a message.

    Args:
        number: of the field, >= 1.
        content: encoded.
    """
    return _encoded_varint(number << 3 | _BYTES) + _encoded_varint(len(content)) + content


def _encoded_varint(value: int) -> bytes:
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


def _entry(data: memoryview) -> tuple[str, str]:
    key = value = ""
    for number, content in fields(data):
        if isinstance(content, memoryview) and number in (_ENTRY_KEY, _ENTRY_VALUE):
            try:
                text = bytes(content).decode()
            except UnicodeDecodeError as err:
                msg = f"text that is not UTF-8: {err}"
                raise WireError(msg) from None
            if number == _ENTRY_KEY:
                key = text
            else:
                value = text
    return key, value


def onnx_metadata(data: memoryview) -> dict[str, str]:
    """The metadata map of an encoded ONNX model.

    Raises:
        WireError: the bytes are not a model: no message, cut short, or without a graph.
    """
    props: dict[str, str] = {}
    has_graph = False
    for number, content in fields(data):
        has_graph = has_graph or number == _MODEL_GRAPH
        if number == _MODEL_METADATA and isinstance(content, memoryview):
            key, value = _entry(content)
            props[key] = value
    if not has_graph:
        msg = "there is no graph inside"
        raise WireError(msg)
    return props


def onnx_control_flow(data: memoryview) -> list[str]:
    """The operators of an encoded ONNX model that hold graphs of their own (If, Loop, Scan, SequenceMap, ...).

    How long such a graph runs does not show in it.

    Returns:
        Their types, each once.

    Raises:
        WireError: the bytes are no message, cut short or nested too deeply.
    """
    found: dict[str, None] = {}
    _collect_control_flow(data, "model", found, 0)
    return list(found)


def _collect_control_flow(data: memoryview, kind: str, found: dict[str, None], depth: int) -> None:
    if depth > _MAX_DEPTH:
        msg = f"graphs nested more than {_MAX_DEPTH} deep"
        raise WireError(msg)
    operator, holds_graph = "", False
    for number, content in fields(data):
        if not isinstance(content, memoryview):
            continue
        child = _CHILDREN[kind].get(number)
        if kind == "node":
            if number == _NODE_OPERATOR:
                operator = bytes(content[:_MOST_OPERATOR_BYTES]).decode(errors="replace")
            elif child == "attribute":
                graphs = (_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS)
                holds_graph = holds_graph or any(inside in graphs for inside, _ in fields(content))
        elif child in ("graph", "training", "function", "node"):
            _collect_control_flow(content, child, found, depth + 1)
    if holds_graph:
        found[operator] = None


def onnx_external_locations(data: memoryview) -> list[str]:
    """The files outside of an encoded ONNX model that its tensors point to, wherever in the model they are.

    Returns:
        The `location` strings as they stand, each once, in order of appearance.

    Raises:
        WireError: the bytes are no message, cut short or nested too deeply.
    """
    found: dict[str, None] = {}
    _collect_locations(data, "model", found, 0)
    return list(found)


def _collect_locations(data: memoryview, kind: str, found: dict[str, None], depth: int) -> None:
    if depth > _MAX_DEPTH:
        msg = f"graphs nested more than {_MAX_DEPTH} deep"
        raise WireError(msg)
    children = _CHILDREN[kind]
    for number, content in fields(data):
        if not isinstance(content, memoryview):
            continue
        if kind == "tensor" and number == _TENSOR_EXTERNAL:
            key, value = _entry(content)
            if key == "location":
                found[value] = None
        elif number in children:
            _collect_locations(content, children[number], found, depth + 1)
