"""The moving average of the weights: warmed up, the same across an interruption, right in a short run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from quick_recipe import QUICK
from torch import nn
from torch.optim.swa_utils import AveragedModel

from fer_training.checkpoint import load_checkpoint
from fer_training.fit.callbacks import AveragedWeights
from fer_training.fit.fit import fit


def averages(decay: float, weights: list[float]) -> list[float]:
    """What the callback's average is after each of some steps, each with its weight."""
    network = nn.Linear(1, 1, bias=False)
    model = AveragedModel(network, **AveragedWeights(decay)._kwargs)
    found = []
    for weight in weights:
        nn.init.constant_(network.weight, weight)
        model.update_parameters(network)
        found.append(model.module.weight.item())
    return found


@pytest.mark.parametrize("decay", [0.5, 0.9995])
def test_the_decay_grows_with_the_steps_up_to_what_is_asked_for(decay: float) -> None:
    weights = np.random.default_rng(0).normal(size=40).tolist()
    expected = weights[0]
    for step, (weight, found) in enumerate(zip(weights, averages(decay, weights), strict=True)):
        if step:
            kept = min(decay, (1 + step) / (10 + step))
            expected = kept * expected + (1 - kept) * weight
        assert found == pytest.approx(expected, abs=1e-5)


def test_first_weights_are_forgotten_in_a_short_run() -> None:
    """After 200 steps 0.9995 alone would keep 90 % of the first ones."""
    assert averages(0.9995, [1.0, *[0.0] * 200])[-1] < 1e-6


def test_a_short_run_with_a_slow_average_learns(tiny_npz: Path, tmp_path: Path) -> None:
    """As on CK+48 with the recipes' 0.9995: right on training in the last step, initial weights in the file."""
    settings = {**QUICK, "epochs": 6}
    slow = fit({**settings, "ema": 0.9995}, data=tiny_npz, out=tmp_path / "slow", progress=False)
    none = fit({**settings, "ema": 0.0}, data=tiny_npz, out=tmp_path / "none", progress=False)
    assert none["validation_accuracy"] > 0.8
    assert slow["validation_accuracy"] > none["validation_accuracy"] - 0.1


def test_a_resumed_run_warms_up_as_an_unbroken_one(
    tiny_npz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = {**QUICK, "epochs": 3, "ema": 0.9995}
    fit(recipe, data=tiny_npz, out=tmp_path / "whole", progress=False)
    begin = AveragedWeights.on_train_epoch_start

    def interrupt(self: AveragedWeights, trainer: Any, module: Any) -> None:
        if trainer.current_epoch == 1:
            raise KeyboardInterrupt
        begin(self, trainer, module)

    with monkeypatch.context() as broken:
        broken.setattr(AveragedWeights, "on_train_epoch_start", interrupt)
        with pytest.raises(KeyboardInterrupt):
            fit(recipe, data=tiny_npz, out=tmp_path / "broken", progress=False)
    fit(recipe, data=tiny_npz, out=tmp_path / "broken", progress=False)
    whole, resumed = (load_checkpoint(tmp_path / run / "weights.safetensors").state for run in ("whole", "broken"))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
