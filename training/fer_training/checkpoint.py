"""Checkpoints as safetensors: weights, and as text the arguments to build the network again. No pickle."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from fer_perception.errors import ModelError
from fer_perception.system.files import write_atomically

#: Name of the tensor that holds the hashes of the trained images; no layer is called so.
_TRAINED = "fer.trained_images"
FORMAT = "fer_training/1"
_FIX = "expected a file that `fer-train fit` wrote; train again or take another checkpoint"


class CheckpointError(ModelError):
    """A checkpoint that is missing, damaged or of another kind than asked for."""


@dataclass(frozen=True)
class Checkpoint:
    """A network's weights and everything needed to use them.

    Attributes:
        architecture: name in the registry, e.g. "arch1".
        arguments: keyword arguments of `architectures.create` beside the name: in_channels, input_size, num_classes.
        labels: class names in output order.
        state: the network's state dict (batch-norm statistics included).
        normalization: "per_image_standardisation" (see `deployed_network.py`).
        temperature: softmax temperature fitted on validation data, 1.0 where none was.
        recipe: resolved recipe as YAML text.
        metrics: measured figures.
        source_commit: git commit of the code that trained it.
        biases: K numbers added to logits / temperature before the softmax (calibration, a class prior); () = none.
        class_prior: K class frequencies, sum 1, under which the probabilities (temperature and biases included) are
            posteriors; () where unknown.
        trained_images: (N,) uint64, ascending: `data.samples.short_hashes` of the images it was trained on; None where
            the file does not say.
        trained_before: it began with weights that were trained on other images too, nobody knows which.
    """

    architecture: str
    arguments: dict[str, Any]
    labels: tuple[str, ...]
    state: dict[str, torch.Tensor]
    normalization: str = "per_image_standardisation"
    temperature: float = 1.0
    recipe: str = ""
    metrics: dict[str, Any] = field(default_factory=dict)
    source_commit: str = ""
    biases: tuple[float, ...] = ()
    class_prior: tuple[float, ...] = ()
    trained_images: NDArray[np.uint64] | None = None
    trained_before: bool = False


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint so that a crash or a full disk leaves the previous file whole.

    Raises:
        CheckpointError: the file could not be written; an earlier file of that name is untouched.
    """
    info = {
        "format": FORMAT,
        "architecture": checkpoint.architecture,
        "arguments": json.dumps(checkpoint.arguments, sort_keys=True),
        "labels": json.dumps(list(checkpoint.labels)),
        "normalisation": checkpoint.normalization,
        "temperature": repr(float(checkpoint.temperature)),
        "recipe": checkpoint.recipe,
        "metrics": json.dumps(checkpoint.metrics, sort_keys=True),
        "source_commit": checkpoint.source_commit,
        "trained_before": json.dumps(checkpoint.trained_before),
    }
    for name, values in (("biases", checkpoint.biases), ("class_prior", checkpoint.class_prior)):
        if values:
            info[name] = json.dumps([float(value) for value in values])
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in checkpoint.state.items()}
    if checkpoint.trained_images is not None:
        raw = np.sort(checkpoint.trained_images).astype(">u8").view(np.uint8).reshape(-1, 8)
        tensors[_TRAINED] = torch.from_numpy(raw.copy())
    # Not `save_file`, whose files nobody but their owner may read.
    write_atomically(path, save(tensors, metadata=info), error=CheckpointError)


def load_checkpoint(path: Path, *, architecture: str | None = None) -> Checkpoint:
    """Read a checkpoint.

    Args:
        path: a .safetensors file written by `save_checkpoint`.
        architecture: refuse any other architecture than this.

    Raises:
        CheckpointError: missing, damaged, of another kind, or of another architecture.
    """
    if not path.is_file():
        inside = path / "weights.safetensors"
        hint = f"; did you mean {inside}?" if inside.is_file() else ""
        msg = f"there is no checkpoint {path}; expected a .safetensors file written by `fer-train fit`{hint}"
        raise CheckpointError(msg)
    try:
        with safe_open(path, framework="pt") as file:
            info = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dict)
    except (SafetensorError, OSError) as err:
        if path.suffix.lower() == ".onnx":
            msg = f"{path} is an exported model; expected the checkpoint (.safetensors) that `fer-train fit` wrote"
            raise CheckpointError(msg) from err
        msg = f"{path} is damaged or not a safetensors file ({err}); train again or take another checkpoint"
        raise CheckpointError(msg) from err
    if info.get("format") != FORMAT:
        msg = f"{path} was not written by fer_training (format {info.get('format')!r}, expected {FORMAT!r})"
        raise CheckpointError(msg)
    if architecture is not None and info.get("architecture", architecture) != architecture:
        msg = f"{path} holds a network of architecture {info['architecture']!r}, expected {architecture!r}"
        raise CheckpointError(msg)
    try:
        labels = _labels(info["labels"])
        return Checkpoint(
            architecture=info["architecture"],
            arguments=_arguments(info["arguments"]),
            labels=labels,
            state=state,
            normalization=info["normalisation"],
            temperature=float(info["temperature"]),
            recipe=info["recipe"],
            metrics=_mapping(info["metrics"]),
            source_commit=info["source_commit"],
            biases=_numbers(info, "biases", len(labels)),
            class_prior=_numbers(info, "class_prior", len(labels), positive=True),
            trained_images=_trained_images(state.pop(_TRAINED, None)),
            # Files of before have neither.
            trained_before=bool(json.loads(info.get("trained_before", "false"))),
        )
    except KeyError as err:
        msg = f"{path} lacks the entry {err.args[0]!r}; {_FIX}"
        raise CheckpointError(msg) from None
    except (ValueError, TypeError, OverflowError, RecursionError) as err:
        msg = f"{path} has an entry that does not parse ({err}); {_FIX}"
        raise CheckpointError(msg) from None


def _trained_images(raw: torch.Tensor | None) -> NDArray[np.uint64] | None:
    if raw is None:
        return None
    if raw.dtype != torch.uint8 or raw.ndim != 2 or raw.shape[1] != 8:
        msg = f"the hashes of the trained images are {raw.dtype} {tuple(raw.shape)}, expected uint8 (N, 8)"
        raise ValueError(msg)
    return np.asarray(np.ascontiguousarray(raw.numpy()).view(">u8")[:, 0], dtype=np.uint64)


def _mapping(text: str) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        msg = f"{text[:60]!r}, expected an object"
        raise ValueError(msg)  # noqa: TRY004  (of what a file says, not of an argument)
    return value


def _numbers(info: Mapping[str, str], name: str, classes: int, *, positive: bool = False) -> tuple[float, ...]:
    """One finite number a class, () where there is no such entry."""
    if name not in info:
        return ()
    values = tuple(float(value) for value in json.loads(info[name]))
    if len(values) != classes or not all(math.isfinite(value) and (value > 0 or not positive) for value in values):
        msg = f"{name} {info[name][:60]!r}, expected {classes} numbers{' above 0' if positive else ''}"
        raise ValueError(msg)
    return values


def _arguments(text: str) -> dict[str, Any]:
    arguments = _mapping(text)
    if "name" in arguments:
        msg = "the network's arguments name another network"
        raise ValueError(msg)
    for name in ("in_channels", "input_size", "num_classes"):
        if not isinstance(arguments.get(name, 1), int):
            msg = f"{name} is {arguments[name]!r}, expected a whole number"
            raise ValueError(msg)  # noqa: TRY004
    return arguments


def _labels(text: str) -> tuple[str, ...]:
    labels = json.loads(text)
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        msg = f"labels {text[:60]!r}, expected a list of names"
        raise ValueError(msg)
    return tuple(labels)
