"""Fine-tuning to other classes: everything but the head is taken over, even where the number of classes is the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fer_training.architectures.registry import create
from fer_training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from fer_training.fit.fit import fit

LABELS = ("angry", "disgusted", "scared", "happy", "sad", "surprised", "neutral")


def write_initial(path: Path, labels: tuple[str, ...]) -> dict[str, torch.Tensor]:
    torch.manual_seed(5)
    state = create("lenet").state_dict()
    save_checkpoint(path, Checkpoint("lenet", {"in_channels": 1, "input_size": 48, "num_classes": 7}, labels, state))
    return state


@pytest.mark.parametrize("same_classes", [True, False])
def test_head_stays_new_for_other_classes(tiny_npz: Path, tmp_path: Path, same_classes: bool) -> None:
    labels = LABELS if same_classes else (*LABELS[:-1], "contempt")
    initial = write_initial(tmp_path / "initial.safetensors", labels)
    recipe = {
        "architecture": "lenet",
        "initial": str(tmp_path / "initial.safetensors"),
        "epochs": 1,
        "batch_size": 64,
        # So small that the weights stay where they started.
        "optimizer": {"name": "sgd", "lr": 1e-9, "weight_decay": 0.0},
        "precision": "32-true",
        "ema": 0.0,
    }
    fit(recipe, out=tmp_path / "run", data=tiny_npz, progress=False)
    state = load_checkpoint(tmp_path / "run" / "weights.safetensors").state
    body, head = "layers.0.weight", "layers.11.weight"
    np.testing.assert_allclose(state[body].numpy(), initial[body].numpy(), atol=1e-5)
    assert np.allclose(state[head].numpy(), initial[head].numpy(), atol=1e-5) == same_classes
