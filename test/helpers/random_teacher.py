"""Teachers with random weights, and `fer-train distill` run in this process."""

from __future__ import annotations

from pathlib import Path

import torch
from typer.testing import CliRunner

from fer_perception.labels import LABELS
from fer_training import architectures
from fer_training.checkpoint import Checkpoint, save_checkpoint
from fer_training.cli.app import build_app


def random_teacher(
    path: Path, seed: int, *, labels: tuple[str, ...] = LABELS, recipe: str = "", size: int = 48
) -> Path:
    """A network of which no two say the same, with the recipe it claims to have been trained with."""
    torch.manual_seed(seed)
    arguments = {"in_channels": 1, "input_size": size, "num_classes": len(labels)}
    state = architectures.create("lenet", **arguments).state_dict()
    checkpoint = Checkpoint(architecture="lenet", arguments=arguments, labels=labels, state=state, recipe=recipe)
    save_checkpoint(path, checkpoint)
    return path


def distill(*arguments: object) -> str:
    """What the command prints; its errors are raised."""
    result = CliRunner().invoke(build_app(), ["distill", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout
