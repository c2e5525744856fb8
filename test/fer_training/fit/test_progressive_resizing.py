"""Progressive resizing: the side of the training images over the epochs, and that training and export stand it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fer_training.fit.fit import fit
from fer_training.fit.module import reduced
from fer_training.recipe import RecipeError, load_recipe


def test_the_side_grows_in_steps_of_eight_and_ends_at_the_input_size() -> None:
    recipe = load_recipe("arch1_fer2013", ["epochs=20", "schedule.smallest_side=32", "schedule.growth=0.6"])
    sides = [recipe.training_side(epoch) for epoch in range(20)]
    assert sides == [32] * 6 + [40] * 6 + [48] * 8


def test_without_it_every_epoch_has_the_input_size() -> None:
    recipe = load_recipe("arch1_fer2013", ["epochs=5"])
    assert {recipe.training_side(epoch) for epoch in range(5)} == {48}


@pytest.mark.parametrize("side", [16, 31, 49])
def test_a_side_no_network_takes_is_refused(side: int) -> None:
    with pytest.raises(RecipeError, match=rf"schedule\.smallest_side is {side}; expected 0 .* or 32 to 48 pixels"):
        load_recipe("arch1_fer2013", [f"schedule.smallest_side={side}"])


def test_reducing_keeps_the_mean_and_leaves_the_full_size_alone() -> None:
    images = torch.rand(3, 1, 48, 48, generator=torch.Generator().manual_seed(0)) * 255
    assert reduced(images, 48) is images
    small = reduced(images, 32)
    assert small.shape == (3, 1, 32, 32)
    assert torch.allclose(small.mean(dim=(1, 2, 3)), images.mean(dim=(1, 2, 3)), atol=0.5)


def test_a_run_goes_through_all_sides(tiny_npz: Path, tmp_path: Path) -> None:
    recipe = {"architecture": "ires_separable", "epochs": 2, "batch_size": 20, "schedule": {"smallest_side": 40}}
    metrics = fit({**recipe, "precision": "32-true"}, out=tmp_path / "run", data=tiny_npz, progress=False)
    assert metrics["epochs"] == 2


def test_a_network_of_one_size_is_refused_before_the_data_is_read(tmp_path: Path) -> None:
    recipe = {"architecture": "lenet", "schedule": {"smallest_side": 40}}
    with pytest.raises(RecipeError, match=r"schedule\.smallest_side is 40, but lenet takes images of 48 pixels only"):
        fit(recipe, out=tmp_path / "run", data=tmp_path / "missing.npz", progress=False)
