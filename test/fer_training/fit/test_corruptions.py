"""Corruptions: each does what it is called, images stay images, and a seed decides everything."""

from __future__ import annotations

import pytest
import torch

from fer_training.fit.augmentation import Augment
from fer_training.fit.corruptions import Corrupt
from fer_training.recipe import Augmentation, RecipeError, load_recipe

NONE = {"flip": 0.0, "rotation": 0.0, "zoom": 0.0, "shift": 0.0, "blur": 0.0, "erasing": 0.0}


def gradient(count: int, channels: int = 1) -> torch.Tensor:
    """Images in [0, 1] that get brighter to the right, with fine stripes."""
    ramp = torch.linspace(0.1, 0.9, 48).expand(48, 48)
    stripes = 0.05 * (torch.arange(48) % 2)
    return (ramp + stripes[:, None]).expand(count, channels, 48, 48).clone()


def test_probability_0_changes_nothing_and_1_changes_every_image() -> None:
    images = gradient(16)
    assert torch.equal(Corrupt(0.0)(images), images)
    changed = Corrupt(1.0)(images)
    assert (changed - images).abs().amax(dim=(1, 2, 3)).min() > 0.02


def test_the_input_is_not_written_to() -> None:
    images = gradient(8)
    Corrupt(1.0)(images)
    assert torch.equal(images, gradient(8))


@pytest.mark.parametrize("channels", [1, 3])
def test_the_result_is_an_image_of_the_same_shape(channels: int) -> None:
    torch.manual_seed(3)
    out = Corrupt(0.7)(gradient(64, channels))
    assert out.shape == (64, channels, 48, 48)
    assert out.isfinite().all()
    assert out.min() >= 0
    assert out.max() <= 1


def test_fewer_pixels_lose_the_fine_stripes_and_keep_the_ramp() -> None:
    torch.manual_seed(0)
    images = gradient(200)
    out = Corrupt(1.0)(images)
    rows = out.mean(dim=3)
    stripes = (rows[:, 0, ::2] - rows[:, 0, 1::2]).abs().mean()
    assert stripes < 0.2 * 0.05
    left, right = out[:, 0, :, :12].mean(dim=(1, 2)), out[:, 0, :, -12:].mean(dim=(1, 2))
    assert (right > left).float().mean() > 0.95


def test_darkness_lowers_the_mean_and_adds_noise() -> None:
    torch.manual_seed(1)
    flat = torch.full((300, 1, 48, 48), 0.6)
    out = Corrupt(1.0)(flat)
    assert out.mean() < 0.45
    assert out.std(dim=(1, 2, 3)).median() > 0.5 / 255


def test_the_seed_decides() -> None:
    augment = Augment(Augmentation(**{**NONE, "corruption": 0.5}))  # type: ignore[arg-type]
    images = gradient(16) * 255
    assert torch.equal(augment(images, 5), augment(images, 5))
    assert not torch.equal(augment(images, 5), augment(images, 6))


def test_a_probability_above_1_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"augmentation\.corruption is 1\.5; expected a number from 0 to 1"):
        load_recipe("arch1_fer2013", ["augmentation.corruption=1.5"])
