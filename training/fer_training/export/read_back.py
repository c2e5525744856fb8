"""ONNX -> checkpoint: the weights of our own exported files, to go on training them or to export them otherwise.

An export folds batch norms into the convolutions before them. Read back, each convolution has its folded weights, and
its batch norm is the identity plus the folded bias: in evaluation mode the network answers as the file does.
`settle_batch_norms` makes it fit for training.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from fer_perception.errors import ModelError
from fer_perception.model_files.metadata import ModelMetadata
from fer_perception.system.files import parse_yaml
from fer_training import architectures
from fer_training.checkpoint import Checkpoint, load_checkpoint
from fer_training.deployed_network import DeployedNetwork, deploy, run_torch
from fer_training.export.export import TOLERANCE, build_graph, probe_images
from fer_training.onnx_file import get_metadata, load_onnx, onnx_sha256, run_onnx

_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
#: Initializer that `DeployedNetwork` gives the biases of the classes.
_BIASES = "biases"


def load_weights(path: Path, *, architecture: str | None = None) -> Checkpoint:
    """A checkpoint from a .safetensors file, or from an .onnx file that `fer-train export` wrote.

    Args:
        path: the file.
        architecture: refuse any other architecture than this.

    Raises:
        CheckpointError: see `load_checkpoint`.
        ModelError: see `checkpoint_from_onnx`; or an ONNX file of another architecture.
    """
    if path.suffix.lower() != ".onnx":
        return load_checkpoint(path, architecture=architecture)
    checkpoint = checkpoint_from_onnx(path)
    if architecture is not None and checkpoint.architecture != architecture:
        msg = f"{path} holds a network of architecture {checkpoint.architecture!r}, expected {architecture!r}"
        raise ModelError(msg)
    return checkpoint


def checkpoint_from_onnx(path: Path) -> Checkpoint:
    """The weights of an exported file, with all that it says of itself.

    Args:
        path: an FP32 file written by `fer-train export`.

    Returns:
        A checkpoint that answers as the file does, within 1e-5 in a probability.

    Raises:
        ModelError: not such a file, a FP16 or INT8 version, or its graph is not the one that its recipe makes.
    """
    graph, data = load_onnx(path)
    metadata = ModelMetadata.from_props(get_metadata(graph), path=str(path), sha256=onnx_sha256(data))
    if metadata.precision:
        msg = f"{path} holds {metadata.precision} weights; expected the FP32 file it was made from"
        raise ModelError(msg)
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.graph.initializer}
    biases = tuple(stored[_BIASES].astype(float).ravel().tolist()) if _BIASES in stored else ()
    architecture, arguments = _architecture(metadata, path)
    template = _Template(architecture, arguments, metadata.input_shape)
    values = _weights(graph)
    if [value.shape for value in values] != [value.shape for value in template.values]:
        msg = (
            f"the graph of {path} is not the one that {architecture} with {arguments} makes ({len(values)} weights, "
            f"expected {len(template.values)}, or of other shapes); it was exported by another version or changed since"
        )
        raise ModelError(msg)
    checkpoint = Checkpoint(
        architecture=architecture,
        arguments=arguments,
        labels=metadata.labels,
        state=template.fill(values),
        normalization=metadata.normalization,
        temperature=metadata.temperature,
        recipe=metadata.recipe,
        metrics=metadata.metrics,
        source_commit=metadata.source_commit,
        biases=biases,
        class_prior=metadata.class_prior,
    )
    images = probe_images(metadata.input_shape)
    difference = float(np.abs(run_torch(deploy(checkpoint), images) - run_onnx(data, images, name=str(path))).max())
    if not difference <= TOLERANCE:
        msg = (
            f"the weights read from {path} answer differently (by {difference:.2e} in a probability, expected at most "
            f"{TOLERANCE:.0e}); it was exported by another version or changed since"
        )
        raise ModelError(msg)
    return checkpoint


def settle_batch_norms(network: nn.Module, images: Tensor) -> None:
    """Give identity batch norms the statistics of real images, in place, without a change of the network's answers.

    In training a batch norm divides by the spread of the batch. One that came from a file is the identity in evaluation
    mode only; afterwards it is nearly the identity in training mode too, as one is that was trained.

    Args:
        network: in evaluation mode, its batch norms identities up to a bias (`checkpoint_from_onnx`).
        images: (B, C, H, W) standardized images, some hundreds.
    """
    seen: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        axes = [axis for axis in range(inputs[0].ndim) if axis != 1]
        seen[module] = (inputs[0].mean(axes), inputs[0].var(axes, unbiased=False))

    norms = [module for module in network.modules() if isinstance(module, _BATCH_NORMS)]
    hooks = [module.register_forward_pre_hook(note) for module in norms]
    try:
        with torch.no_grad():
            network(images)
            for module in norms:
                if module not in seen or module.running_mean is None or module.running_var is None:
                    continue
                mean, variance = seen[module]
                # The map y -> scale * y + shift that it is now, written with the statistics of y.
                scale = module.weight / torch.sqrt(module.running_var + module.eps)
                shift = module.bias - scale * module.running_mean
                module.running_mean.copy_(mean)
                module.running_var.copy_(variance)
                module.weight.copy_(scale * torch.sqrt(variance + module.eps))
                module.bias.copy_(shift + scale * mean)
    finally:
        for hook in hooks:
            hook.remove()


def _architecture(metadata: ModelMetadata, path: Path) -> tuple[str, dict[str, Any]]:
    """Name and arguments of the network, from the recipe in the file."""
    try:
        recipe = parse_yaml(metadata.recipe)
    except ValueError:
        recipe = None
    if not isinstance(recipe, dict) or recipe.get("architecture") not in architectures.names():
        msg = (
            f"{path} does not say of which architecture it is (its recipe names none of "
            f"{', '.join(architectures.names())}); expected a file that `fer-train export` made of a trained checkpoint"
        )
        raise ModelError(msg)
    own = recipe.get("arguments")
    return recipe["architecture"], {
        **(own if isinstance(own, dict) else {}),
        "in_channels": metadata.input_shape[0],
        "input_size": metadata.input_shape[1],
        "num_classes": len(metadata.labels),
    }


def _weights(model: onnx.ModelProto) -> list[NDArray[np.float32]]:
    """All initializers but single numbers and the biases of the classes, in the order in which the graph reads them."""
    stored = {tensor.name: tensor for tensor in model.graph.initializer if tensor.name != _BIASES}
    floats = onnx.TensorProto.FLOAT
    return [
        numpy_helper.to_array(stored[name])
        for node in model.graph.node
        for name in node.input
        if name in stored and stored[name].data_type == floats and np.prod(stored[name].dims) > 1
    ]


@dataclass(frozen=True)
class _Place:
    """Place of a number array of the graph: a tensor of the state dict, and whether it lies there transposed."""

    name: str
    transposed: bool = False


class _Template:
    """A network whose weights tell themselves apart, and its graph: which array of a graph is which tensor.

    Args:
        architecture: name in the registry.
        arguments: of `architectures.create`.
        shape: (C, H, W).
    """

    def __init__(self, architecture: str, arguments: dict[str, Any], shape: tuple[int, int, int]) -> None:
        self._network = architectures.create(architecture, **arguments).float().eval()
        generator = torch.Generator().manual_seed(0)
        modules = dict(self._network.named_modules())
        self._norms = {name: module for name, module in modules.items() if isinstance(module, _BATCH_NORMS)}
        with torch.no_grad():
            for name, parameter in self._network.named_parameters():
                if name.rpartition(".")[0] in self._norms and name.endswith(".weight"):
                    parameter.fill_(1.0)
                else:
                    parameter.normal_(0.0, 0.05, generator=generator)
            for norm in self._norms.values():
                _make_identity(norm)
        self.values = _weights(build_graph(DeployedNetwork(self._network, 1.0).eval(), shape))

    def fill(self, values: list[NDArray[np.float32]]) -> dict[str, Tensor]:
        """The state dict of a network whose graph has these arrays.

        Raises:
            ModelError: an array of the graph is none of the network's tensors, or a tensor is in none of them.
        """
        state = {name: value.clone() for name, value in self._network.state_dict().items()}
        parameters = {name: value.detach().numpy() for name, value in self._network.named_parameters()}
        left = set(parameters) - {f"{name}.weight" for name in self._norms}
        # A convolution's bias and the shift of the batch norm behind it are one array: the latter takes all.
        convolutions = {name for name in left if name.endswith(".bias") and name[: -len(".bias")] not in self._norms}
        for mine, value in zip(self.values, values, strict=True):
            place = _find(mine, {name: parameters[name] for name in left})
            if place is not None:
                new = torch.from_numpy(value.T.copy() if place.transposed else value.copy())
                state[place.name] = new.reshape(state[place.name].shape)
                left.discard(place.name)
                continue
            pair = _find_sum(mine, parameters, convolutions & left, {f"{name}.bias" for name in self._norms} & left)
            if pair is not None:
                state[pair[0]] = torch.zeros_like(state[pair[0]])
                state[pair[1]] = torch.from_numpy(value.copy()).reshape(-1)
                left -= set(pair)
            elif np.allclose(mine, 1.0, atol=1e-5):
                # The scale of a batch norm that follows no convolution; its shift comes next.
                self._scale_next(state, mine, value, left, parameters)
            else:
                msg = f"an array of shape {list(value.shape)} belongs to none of the network's weights"
                raise ModelError(msg)
        if left:
            msg = f"the graph has no weights for {', '.join(sorted(left)[:5])}"
            raise ModelError(msg)
        return state

    def _scale_next(
        self,
        state: dict[str, Tensor],
        mine: NDArray[np.float32],
        value: NDArray[np.float32],
        left: set[str],
        parameters: dict[str, NDArray[np.float32]],
    ) -> None:
        index = next(i for i, array in enumerate(self.values) if array is mine)
        shifts = {f"{name}.bias": parameters[f"{name}.bias"] for name in self._norms if f"{name}.bias" in left}
        place = _find(self.values[index + 1], shifts) if index + 1 < len(self.values) else None
        if place is None:
            msg = f"a scale of shape {list(value.shape)} belongs to no batch norm"
            raise ModelError(msg)
        weight = f"{place.name[: -len('.bias')]}.weight"
        state[weight] = torch.from_numpy(value.copy()).reshape(-1) * state[weight]


def _make_identity(norm: nn.Module) -> None:
    """Scale 1 up to rounding: a variance of 1 in place of the one folded away."""
    if isinstance(norm, _BATCH_NORMS) and norm.running_mean is not None and norm.running_var is not None:
        norm.running_mean.zero_()
        norm.running_var.fill_(1.0)
        norm.weight.fill_(float(np.sqrt(1.0 + norm.eps)))


def _find(array: NDArray[np.float32], among: dict[str, NDArray[np.float32]]) -> _Place | None:
    """The tensor that an array is, up to its shape's ones and transposition."""
    for name, tensor in among.items():
        if tensor.size != array.size:
            continue
        if np.allclose(array.ravel(), tensor.ravel(), atol=1e-5):
            return _Place(name)
        if array.ndim == 2 == tensor.ndim and np.allclose(array.T, tensor, atol=1e-5):
            return _Place(name, transposed=True)
    return None


def _find_sum(
    array: NDArray[np.float32], parameters: dict[str, NDArray[np.float32]], first: set[str], second: set[str]
) -> tuple[str, str] | None:
    """The bias of a convolution and that of a batch norm whose sum an array is."""
    for one in sorted(first):
        for other in sorted(second):
            if parameters[one].shape == parameters[other].shape == array.shape and np.allclose(
                parameters[one] + parameters[other], array, atol=1e-5
            ):
                return one, other
    return None
