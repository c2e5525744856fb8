"""Static INT8 quantization of the convolutional part of an ONNX file, calibrated on images.

Meant for processors: ONNX Runtime fuses the QuantizeLinear/DequantizeLinear pairs (QDQ) into integer kernels with
unsigned activations and signed, per-channel weights. Normalization, pooling over the map, temperature and softmax stay
in FP32, as in the FP16 version; so do the first convolution and the depthwise ones, which are faster in FP32 (one input
channel has nothing to pack). TensorRT wants symmetric activations: on a GPU the FP16 engine is the one to use.
"""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from fer_perception.errors import ModelError
from fer_perception.model_files.metadata import INPUT_NAME
from fer_perception.system.files import write_atomically
from fer_training.deployed_network import as_batch
from fer_training.onnx_file import load_onnx, onnx_bytes, set_metadata, version_metadata
from fer_training.output_files import scratch_folder

#: Images the ranges of the activations are taken from, evenly spread over those given.
CALIBRATION_IMAGES = 512
_BATCH = 32


def quantize_int8(model: Path, out: Path, images: NDArray[np.uint8]) -> None:
    """Write the INT8 version of an exported classifier.

    Its metadata goes along; "fer.precision" and "fer.fp32_sha256" (of `model`) are added.

    Args:
        model: FP32 file written by `fer-train export`.
        out: the file to write; an earlier one stays whole unless the new one is complete.
        images: (N, H, W) or (N, C, H, W) uint8, of the training set and of the model's input size; N at least 1. One
            channel is repeated where the model takes three.

    Raises:
        ModelError: the model is damaged or has no convolution, there are no images or they have another size, or the
            file cannot be written.
        SourceError: the folder for temporary files cannot be used.
    """
    source, data = load_onnx(model)
    props = version_metadata(source, data, precision="int8")
    rectify_before_pooling(source)
    batches = _Batches(_calibration(images, source, model))
    with scratch_folder() as directory:
        try:
            result = _quantized(source, model, batches, directory)
        except DecodeError as err:
            # ONNX Runtime does not notice where it could write a part only.
            raise OSError(errno.ENOSPC, "a file that was written there came back truncated") from err
    set_metadata(result, props)
    result.ir_version = source.ir_version
    write_atomically(out, onnx_bytes(result), error=ModelError)


def _quantized(source: onnx.ModelProto, path: Path, batches: _Batches, directory: Path) -> onnx.ModelProto:
    """The INT8 graph, by way of files in `directory`."""
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    reordered, prepared, quantized = (directory / name for name in ("r.onnx", "p.onnx", "q.onnx"))
    onnx.save(source, reordered)
    # Symbolic inference needs sympy and finds nothing here that the ordinary one does not.
    quant_pre_process(str(reordered), str(prepared), skip_symbolic_shape=True)
    graph = onnx.load(prepared)
    if source.graph.node and not graph.graph.node:
        msg = "empty"
        raise DecodeError(msg)
    quantize_static(
        str(prepared),
        str(quantized),
        batches,
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
        calibrate_method=CalibrationMethod.MinMax,
        nodes_to_exclude=full_precision_nodes(graph, path),
    )
    return onnx.load(quantized)


def full_precision_nodes(model: onnx.ModelProto, path: Path) -> list[str]:
    """The nodes that stay in FP32.

    These are all up to the first convolution with its activation, the depthwise convolutions, and the head: the mean in
    front of the last convolution (see `graph_passes.py`) with that convolution, which then has next to nothing to do,
    and all after it.

    Args:
        model: the graph.
        path: where it came from, for the message.

    Raises:
        ModelError: there is no convolution.
    """
    nodes = list(model.graph.node)
    channels = {tensor.name: tensor.dims[1] for tensor in model.graph.initializer if len(tensor.dims) > 1}
    convolutions = [index for index, node in enumerate(nodes) if node.op_type == "Conv"]
    if not convolutions:
        msg = f"{path} has no convolution to quantize; expected a classifier written by `fer-train export`"
        raise ModelError(msg)
    first, last = convolutions[0], convolutions[-1]
    if nodes[last - 1].op_type == "AveragePool" and nodes[last - 1].output[0] == nodes[last].input[0]:
        last -= 2
    names = [node.name for index, node in enumerate(nodes) if index <= first or index > last]
    names += [node.name for node in nodes if node.op_type == "Relu" and node.input[0] == nodes[first].output[0]]
    names += [
        nodes[index].name
        for index in convolutions[1:]
        if _attribute(nodes[index], "group") > 1 and channels.get(nodes[index].input[1]) == 1
    ]
    return names


def rectify_before_pooling(model: onnx.ModelProto) -> None:
    """Turn max-pool, ReLU into ReLU, max-pool where nothing else reads in between: equal, but the ReLU fuses.

    Args:
        model: changed in place.
    """
    makers = {output: node for node in model.graph.node for output in node.output}
    readers = Counter(name for node in model.graph.node for name in node.input)
    for after in model.graph.node:
        before = makers.get(after.input[0]) if after.op_type == "Relu" else None
        if before is not None and before.op_type == "MaxPool" and readers[before.output[0]] == 1:
            pooling = list(before.attribute)
            before.op_type, after.op_type = "Relu", "MaxPool"
            del before.attribute[:]
            after.attribute.extend(pooling)


def _attribute(node: onnx.NodeProto, name: str) -> int:
    return next((int(attribute.i) for attribute in node.attribute if attribute.name == name), 1)


def _calibration(images: NDArray[np.uint8], model: onnx.ModelProto, path: Path) -> NDArray[np.float32]:
    """(N, C, H, W) float32 of what was given, thinned to `CALIBRATION_IMAGES`."""
    shape = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim][1:]
    chosen = np.linspace(0, len(images) - 1, min(len(images), CALIBRATION_IMAGES)).round().astype(int)
    try:
        if len(images):
            return as_batch(images[chosen], shape)
    except ModelError:
        pass
    msg = (
        f"{path} is calibrated on images of shape {shape}, but there are {images.shape[0]} of shape "
        f"{list(images.shape[1:])}; give training images of that size"
    )
    raise ModelError(msg)


class _Batches:
    """Calibration data reader of `quantize_static`."""

    def __init__(self, images: NDArray[np.float32]) -> None:
        self._images = images
        self._iterator: Iterator[dict[str, NDArray[np.float32]]] = iter(())
        self.rewind()

    def rewind(self) -> None:
        """Begin again."""
        starts = range(0, len(self._images), _BATCH)
        self._iterator = iter([{INPUT_NAME: self._images[start : start + _BATCH]} for start in starts])

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """The next batch; None at the end."""
        return next(self._iterator, None)
