"""The file an interrupted run goes on from, looked at before it is used: Lightning takes a whole one for granted."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fer_training.checkpoint import CheckpointError

#: Without these Lightning cannot go on, or would begin anew without a word.
_PARTS = {
    "callbacks",
    "epoch",
    "global_step",
    "loops",
    "lr_schedulers",
    "optimizer_states",
    "pytorch-lightning_version",
    "state_dict",
}


def check_resume_file(path: Path, state: Mapping[str, Tensor], *, kept: Path) -> None:
    """See that a run can go on from a file.

    Args:
        path: a Lightning checkpoint.
        state: the state dict of the module that will take it up.
        kept: the weights that the run has kept so far; those of its best epoch may never be written again.

    Raises:
        CheckpointError: damaged, more than tensors and plain values, or of another network; the kept weights are gone.
    """
    if not kept.is_file():
        raise _unusable(path, f"belongs to a run whose {kept.name} is gone")
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
        # A run directory may come from somebody else: nothing that could execute.
        found: Any = torch.load(path, map_location="cpu", weights_only=True) if broken is None else None
    except Exception as err:  # whatever the unpickler and the readers of archives meet
        first = (str(err).strip().splitlines() or [type(err).__name__])[0]
        raise _unusable(path, f"holds more than tensors and plain values, or is damaged ({first[:120]})") from err
    if broken is not None:
        raise _unusable(path, f"is damaged (in its part {broken})")
    if not isinstance(found, dict) or not found.keys() >= _PARTS:
        raise _unusable(path, "is no checkpoint of a run")
    saved = found["state_dict"]
    shapes = {name: value.shape for name, value in state.items()}
    if not isinstance(saved, dict) or {n: getattr(v, "shape", None) for n, v in saved.items()} != shapes:
        raise _unusable(path, "holds another network than the recipe asks for")


def _unusable(path: Path, what: str) -> CheckpointError:
    return CheckpointError(f"{path} {what}; start over with --fresh")
