"""Export of a checkpoint as ONNX: raw gray values in, calibrated probabilities out, checked against PyTorch."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from fer_perception.errors import FerError, ModelError
from fer_perception.imaging.crops import landmark_template
from fer_perception.model_files.metadata import INPUT_NAME, OUTPUT_NAME, ModelMetadata
from fer_perception.system.files import write_atomically
from fer_training.checkpoint import Checkpoint
from fer_training.deployed_network import DeployedNetwork, as_batch, deploy, input_shape, run_torch
from fer_training.export.graph_passes import constants_to_initializers, fold_batch_norms, pool_before_last_convolution
from fer_training.onnx_file import onnx_bytes, run_onnx, set_metadata
from fer_training.output_files import scratch_folder

#: The newest opset and file format that TensorRT 8.6 (JetPack 6.0) reads.
OPSET = 17
IR_VERSION = 8
#: Largest difference in any probability between the exported graph and PyTorch.
TOLERANCE = 1e-5


class ExportError(FerError):
    """An exported graph that is not what it should be."""


def build_metadata(checkpoint: Checkpoint, *, name: str) -> ModelMetadata:
    """Metadata of the exported file.

    The landmark template is scaled to the checkpoint's input size.
    """
    shape = input_shape(checkpoint)
    template = tuple((round(float(x), 4), round(float(y), 4)) for x, y in landmark_template(shape[1]))
    return ModelMetadata(
        name=name,
        labels=tuple(checkpoint.labels),
        input_shape=shape,
        normalization=checkpoint.normalization,
        landmark_template=template,
        temperature=float(checkpoint.temperature),
        metrics=checkpoint.metrics,
        recipe=checkpoint.recipe,
        source_commit=checkpoint.source_commit,
        class_prior=checkpoint.class_prior,
    )


def probe_images(shape: tuple[int, int, int], *, count: int = 8, seed: int = 0) -> NDArray[np.float32]:
    """Images that exercise a graph: noise of several contrasts, a ramp, a flat one and the 0/255 checkerboard.

    Args:
        shape: (C, H, W).
        count: how many random ones.
        seed: of the random generator.

    Returns:
        (count + 3, C, H, W) float32 in [0, 255].
    """
    channels, height, width = shape
    rng = np.random.default_rng(seed)
    # Below a few gray levels the float32 rounding of the mean, which differs between programs, shows in the answer.
    contrast = np.linspace(8.0, 120.0, count).reshape(-1, 1, 1, 1)
    noise = np.clip(127.0 + contrast * rng.standard_normal((count, channels, height, width)), 0.0, 255.0)
    rows, columns = np.mgrid[0:height, 0:width]
    ramp = (rows + columns) * 255.0 / (height + width - 2)
    flat = np.full((height, width), 90.0)
    checkerboard = ((rows + columns) % 2) * 255.0
    special = np.stack([np.broadcast_to(p, shape) for p in (ramp, flat, checkerboard)])
    return np.concatenate([noise, special]).astype(np.float32)


def _trace(network: DeployedNetwork, shape: tuple[int, int, int]) -> onnx.ModelProto:
    """Let PyTorch write the graph.

    Its newer exporter cannot write opset 17; the TorchScript one can, and folds batch norms into convolutions.
    """
    example = torch.from_numpy(probe_images(shape, count=2))
    with warnings.catch_warnings(), scratch_folder() as directory:
        warnings.simplefilter("ignore")
        path = directory / "graph.onnx"
        torch.onnx.export(
            network,
            (example,),
            path,
            input_names=[INPUT_NAME],
            output_names=[OUTPUT_NAME],
            dynamic_axes={INPUT_NAME: {0: "N"}, OUTPUT_NAME: {0: "N"}},
            opset_version=OPSET,
            do_constant_folding=True,
            dynamo=False,
        )
        return onnx.load(path)


def build_graph(network: DeployedNetwork, shape: tuple[int, int, int]) -> onnx.ModelProto:
    """The graph of a network as it is shipped, without metadata.

    Args:
        network: in evaluation mode.
        shape: (C, H, W) of its input.
    """
    model = _trace(network, shape)
    constants_to_initializers(model.graph)
    fold_batch_norms(model)
    pool_before_last_convolution(model)
    # IR 8 came with opset 15 to 18: a newer number in the header would only keep older readers out.
    model.ir_version = IR_VERSION
    for value in model.graph.output:
        # The tracer cannot see through every network that the second dimension is constant.
        value.type.tensor_type.shape.dim[1].dim_value = _classes(network, shape)
    return model


def check_contract(model: onnx.ModelProto, *, labels: int, shape: tuple[int, int, int]) -> None:
    """Assert what every reader of our files relies on.

    Raises:
        ExportError: wrong opset or IR version, external data, an operator of another domain, a batch norm left over, or
            other inputs and outputs than "images" (N, C, H, W) and "probabilities" (N, K), both float32.
    """
    opsets = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    faults: list[str] = []
    if opsets != {"ai.onnx": OPSET}:
        faults.append(f"operator sets {opsets}, expected only ai.onnx {OPSET}")
    if model.ir_version != IR_VERSION:
        faults.append(f"IR version {model.ir_version}, expected {IR_VERSION}")
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in model.graph.initializer):
        faults.append("weights in external files, expected all inside")
    operators = {node.op_type for node in model.graph.node}
    if "BatchNormalization" in operators:
        faults.append("a BatchNormalization that is not folded")
    other = sorted({f"{n.domain}.{n.op_type}" for n in model.graph.node if n.domain not in {"", "ai.onnx"}})
    if other:
        faults.append(f"operators outside the standard: {', '.join(other)}")
    found = [_describe(value) for value in (*model.graph.input, *model.graph.output)]
    expected = [(INPUT_NAME, 1, ("N", *shape)), (OUTPUT_NAME, 1, ("N", labels))]
    if found != expected:
        faults.append(f"inputs and outputs {found}, expected {expected}")
    if faults:
        msg = (
            f"the exported graph is not usable: {'; '.join(faults)}; change the network or its labels and export again"
        )
        raise ExportError(msg)


def _describe(value: onnx.ValueInfoProto) -> tuple[str, int, tuple[str | int, ...]]:
    tensor = value.type.tensor_type
    return value.name, tensor.elem_type, tuple(d.dim_param or d.dim_value for d in tensor.shape.dim)


def export_checkpoint(
    checkpoint: Checkpoint, out: Path, *, name: str, images: NDArray[Any] | None = None
) -> ModelMetadata:
    """Write a checkpoint as ONNX (opset 17, IR version 8, one file) and check it against PyTorch.

    The graph takes "images", float32 (N, C, H, W) raw gray values, N dynamic, and gives "probabilities": normalization,
    temperature, biases and softmax are inside, batch norms are folded. Equal checkpoints give equal bytes.

    Args:
        checkpoint: weights, labels, temperature and provenance.
        out: the file to write; an earlier one stays whole unless the new one passes.
        name: model name in the metadata.
        images: real images, (M, H, W) or (M, C, H, W), gray values 0-255, compared beside the synthetic ones.

    Returns:
        The metadata in the file, `sha256` filled in.

    Raises:
        CheckpointError: the checkpoint is unusable.
        ExportError: the graph breaks the contract or differs from PyTorch by more than 1e-5 in a probability.
        ModelError: the file could not be written, or `images` have another shape than the network's input.
        SourceError: the folder for temporary files cannot be used.
    """
    shape = input_shape(checkpoint)
    network = deploy(checkpoint)
    model = build_graph(network, shape)
    metadata = build_metadata(checkpoint, name=name)
    set_metadata(model, metadata.to_props())
    onnx.checker.check_model(model, full_check=True)
    check_contract(model, labels=len(checkpoint.labels), shape=shape)
    data = onnx_bytes(model)
    batches = [probe_images(shape)]
    if images is not None and len(images):
        batches.append(as_batch(images, shape))
    worst = max(_difference_from_torch(data, network, batch) for batch in batches)
    if not worst <= TOLERANCE:
        msg = (
            f"the exported graph of {name} differs from PyTorch by {worst:.2e} in a probability, expected at most "
            f"{TOLERANCE:.0e}; {out} was not written, report the architecture {checkpoint.architecture!r}"
        )
        raise ExportError(msg)
    write_atomically(out, data, error=ModelError)
    return replace(metadata, sha256=hashlib.sha256(data).hexdigest())


def _classes(network: nn.Module, shape: tuple[int, int, int]) -> int:
    with torch.no_grad():
        return int(network(torch.zeros(1, *shape)).shape[1])


def _difference_from_torch(data: bytes, network: DeployedNetwork, images: NDArray[np.float32]) -> float:
    """Largest difference in any probability, over the whole batch and (another N) its first image alone."""
    expected = run_torch(network, images)
    together = np.abs(run_onnx(data, images) - expected).max()
    alone = np.abs(run_onnx(data, images[:1]) - expected[:1]).max()
    # numpy's maximum, unlike max(), keeps a NaN.
    return float(np.maximum(together, alone))
