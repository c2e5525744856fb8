"""Sharpness-aware minimization: the step is the gradient at the worst place nearby, from the weights as they were."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
from quick_recipe import QUICK
from torch import nn

from fer_training.checkpoint import load_checkpoint
from fer_training.fit.fit import fit
from fer_training.fit.sam import perturbed_weights
from fer_training.recipe import RecipeError, recipe_from_mapping


def test_weights_are_moved_by_the_radius_and_come_back_exactly() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3 * 36, 2))
    network(torch.randn(4, 1, 8, 8)).square().sum().backward()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    parameters = list(network.parameters())
    kept = [p.detach().clone() for p in parameters]
    with perturbed_weights(network, 0.05):
        steps = [p.detach() - k for p, k in zip(parameters, kept, strict=True)]
        assert float(torch.stack([s.norm() for s in steps]).norm()) == pytest.approx(0.05, rel=1e-4)
        for parameter, step in zip(parameters, steps, strict=True):
            assert parameter.grad is not None
            # Uphill, along the gradient; a bias before batch normalization has none.
            assert float((parameter.grad * step).sum()) >= 0
        network(torch.randn(4, 1, 8, 8))
    for name, value in network.state_dict().items():
        if "num_batches" not in name:
            assert torch.equal(value, before[name]), name
    assert network[1].momentum == 0.1


def test_the_gradient_is_that_of_the_worst_place_nearby() -> None:
    """Of w^2 at w = 1 it is 2 (1 + rho), not 2."""
    network = nn.Linear(1, 1, bias=False)
    nn.init.ones_(network.weight)
    network.weight.square().sum().backward()
    with perturbed_weights(network, 0.25):
        network.zero_grad()
        network.weight.square().sum().backward()
    assert network.weight.grad is not None
    assert float(network.weight.grad) == pytest.approx(2 * 1.25)
    assert network.weight.tolist() == [[1.0]]


def test_without_gradients_nothing_moves() -> None:
    network = nn.Linear(2, 2)
    kept = network.weight.detach().clone()
    with perturbed_weights(network, 1.0):
        assert torch.equal(network.weight, kept)


def test_a_run_differs_by_it_and_its_figures_are_of_the_first_pass(tiny_npz: Path, tmp_path: Path) -> None:
    figures = {}
    for radius in (0.0, 0.1):
        out = tmp_path / str(radius)
        # Too slow to matter: the loss of the first pass is that of the weights at the start.
        recipe = {**QUICK, "epochs": 1, "optimizer": {"lr": 1e-5, "momentum": 0.0, "sam_radius": radius}}
        fit(recipe, data=tiny_npz, out=out, progress=False)
        with (out / "epochs.csv").open(newline="") as file:
            figures[radius] = next(csv.DictReader(file))
    plain, sharp = (load_checkpoint(tmp_path / str(radius) / "weights.safetensors").state for radius in (0.0, 0.1))
    assert any(not torch.equal(plain[name], sharp[name]) for name in plain)
    assert float(figures[0.1]["train_loss"]) == pytest.approx(float(figures[0.0]["train_loss"]), rel=1e-3)


def test_a_negative_radius_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"optimizer\.sam_radius is -1\.0; expected 0"):
        recipe_from_mapping({"optimizer": {"sam_radius": -1.0}})
