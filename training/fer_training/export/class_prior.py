"""Changes to a checkpoint's outputs, made before it is exported: fewer classes, another class prior."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fer_perception.system.files import parse_yaml
from fer_training import architectures
from fer_training.checkpoint import Checkpoint
from fer_training.export.export import ExportError


def keep_classes(checkpoint: Checkpoint, labels: Sequence[str]) -> Checkpoint:
    """A checkpoint without the outputs of some classes: the others' probabilities are renormalized.

    Args:
        checkpoint: the network with all classes.
        labels: the classes that stay, in the new order; at least two, each once.

    Returns:
        The checkpoint with a smaller last layer; its recorded figures, which were of all classes, are left out.

    Raises:
        ExportError: a class that the network does not have, one named twice, or fewer than two.
    """
    if len(labels) < 2 or len(set(labels)) < len(labels) or not set(labels) <= set(checkpoint.labels):
        msg = (
            f"cannot keep the classes {', '.join(labels)}; expected at least two of {', '.join(checkpoint.labels)}, "
            "each once"
        )
        raise ExportError(msg)
    if tuple(labels) == checkpoint.labels:
        return checkpoint
    index = [checkpoint.labels.index(label) for label in labels]
    arguments = {**checkpoint.arguments, "num_classes": len(checkpoint.labels)}
    head = architectures.head_tensors(checkpoint.architecture, **arguments)
    rows = torch.tensor(index)
    prior = [checkpoint.class_prior[i] for i in index] if checkpoint.class_prior else []
    return replace(
        checkpoint,
        arguments={**checkpoint.arguments, "num_classes": len(labels)},
        labels=tuple(labels),
        state={name: value[rows] if name in head else value for name, value in checkpoint.state.items()},
        biases=tuple(checkpoint.biases[i] for i in index) if checkpoint.biases else (),
        class_prior=tuple(value / sum(prior) for value in prior),
        metrics={name: value for name, value in checkpoint.metrics.items() if not isinstance(value, Mapping)},
    )


def with_prior(checkpoint: Checkpoint, prior: Sequence[float]) -> Checkpoint:
    """A checkpoint whose probabilities are posteriors under another class prior: the shift goes into the biases.

    Args:
        checkpoint: one that knows the class prior of its probabilities.
        prior: (K,) the new one, above 0, sum 1.

    Raises:
        ExportError: the checkpoint does not know its class prior.
    """
    if not checkpoint.class_prior:
        msg = (
            "the checkpoint does not say under which class prior its probabilities are posteriors, so they cannot be "
            "moved to another; train it with this version, or state its prior with --trained-prior"
        )
        raise ExportError(msg)
    before = np.array(checkpoint.biases or [0.0] * len(checkpoint.labels))
    biases = before + np.log(np.array(prior)) - np.log(np.array(checkpoint.class_prior))
    # A constant in all of them changes nothing.
    biases -= biases.mean()
    metrics = {name: value for name, value in checkpoint.metrics.items() if not isinstance(value, Mapping)}
    return replace(checkpoint, biases=tuple(biases.tolist()), class_prior=tuple(prior), metrics=metrics)


def read_prior(text: str, labels: Sequence[str]) -> tuple[float, ...]:
    """A class prior as people give it.

    Args:
        text: "uniform"; K numbers with commas between them, in the order of the labels; or a JSON or YAML file with a
            list of K numbers, or with a number for each class name.
        labels: K class names.

    Returns:
        K numbers above 0, divided by their sum: counts serve as well.

    Raises:
        ExportError: none of these.
    """
    if text == "uniform":
        return (1.0 / len(labels),) * len(labels)
    path = Path(text)
    try:
        given = parse_yaml(path.read_text(encoding="utf-8") if path.is_file() else f"[{text}]")
        values = _shares(given, labels)
    except (OSError, ValueError, TypeError) as err:
        msg = (
            f"the class prior {text!r} cannot be used ({err}); expected uniform, {len(labels)} numbers above 0 for "
            f"{', '.join(labels)} (with commas, no spaces), or a JSON or YAML file with these"
        )
        raise ExportError(msg) from None
    return tuple(value / sum(values) for value in values)


def _shares(given: Any, labels: Sequence[str]) -> list[float]:
    """One number a class from a list or a mapping of names to numbers."""
    if isinstance(given, Mapping):
        if set(given) != set(labels):
            msg = f"it names {', '.join(map(str, given))}"
            raise ValueError(msg)
        given = [given[label] for label in labels]
    values = [float(value) for value in given]
    if len(values) != len(labels) or not all(value > 0 and math.isfinite(value) for value in values):
        msg = f"it has the numbers {', '.join(map(str, values))}"
        raise ValueError(msg)
    return values
