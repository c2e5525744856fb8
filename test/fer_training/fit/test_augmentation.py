"""Every change of an image does what it is called, as often as it shall, and nothing else."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fer_training.fit.augmentation import Augment
from fer_training.recipe import Augmentation

NONE = {"flip": 0.0, "rotation": 0.0, "zoom": 0.0, "shift": 0.0, "blur": 0.0, "erasing": 0.0}


def augment(images: Tensor, seed: int = 0, **settings: float) -> Tensor:
    return Augment(Augmentation(**{**NONE, **settings}))(images, seed)  # type: ignore[arg-type]


def noise(count: int) -> Tensor:
    return torch.randint(0, 256, (count, 1, 48, 48), generator=torch.Generator().manual_seed(0)).float()


def squares(count: int) -> Tensor:
    """A white square of 16 pixels in the middle of black."""
    images = torch.zeros(count, 1, 48, 48)
    images[:, :, 16:32, 16:32] = 255.0
    return images


def centers(images: Tensor) -> tuple[Tensor, Tensor]:
    """Center of what is white, in pixels from the middle: to the right and down."""
    weight = images[:, 0] / images.sum(dim=(1, 2, 3))[:, None, None]
    place = torch.arange(48) - 23.5
    return (weight.sum(dim=1) * place).sum(dim=1), (weight.sum(dim=2) * place).sum(dim=1)


def test_nothing_asked_for_changes_nothing() -> None:
    images = noise(4)
    assert torch.allclose(augment(images), images, atol=1e-3)


def test_a_flip_is_a_mirror_image() -> None:
    images = noise(4)
    assert torch.allclose(augment(images, flip=1.0), images.flip(3), atol=1e-3)


@pytest.mark.parametrize("change", ["flip", "blur", "erasing"])
def test_a_probability_of_a_half_leaves_about_half_of_the_images_alone(change: str) -> None:
    images = noise(100)
    # The slightest blur is none.
    same = ((augment(images, **{change: 0.5}) - images).abs().amax(dim=(1, 2, 3)) < 1e-3).sum()
    assert 35 <= int(same) <= 70
    certain = ((augment(images, **{change: 1.0}) - images).abs().amax(dim=(1, 2, 3)) < 1e-3).sum()
    assert int(certain) < 35


def test_zoom_goes_in_and_out_by_as_much_as_asked_for() -> None:
    size = (augment(squares(200), zoom=0.3).sum(dim=(1, 2, 3)) / 255.0).sqrt() / 16
    assert 0.69 < float(size.min()) < 0.75
    assert 1.25 < float(size.max()) < 1.31


def test_shift_goes_everywhere_by_as_much_as_asked_for() -> None:
    for place in centers(augment(squares(200), shift=0.1)):
        assert -4.9 < float(place.min()) < -4.0
        assert 4.0 < float(place.max()) < 4.9


def test_rotation_goes_both_ways_around_the_middle() -> None:
    images = torch.zeros(200, 1, 48, 48)
    images[:, :, 22:26, 34:40] = 255.0  # to the right of the middle
    across, down = centers(augment(images, rotation=20.0))
    angle = torch.rad2deg(torch.atan2(down, across))
    assert -20.5 < float(angle.min()) < -17.0
    assert 17.0 < float(angle.max()) < 20.5
    assert torch.allclose(torch.hypot(across, down), torch.tensor(13.0), atol=0.3)


def test_what_comes_in_from_outside_is_the_border_and_grays_stay_what_they_are() -> None:
    """A face of one gray stays so: no black corners, no other scale of gray values."""
    images = torch.full((32, 1, 48, 48), 100.0)
    changed = augment(images, flip=0.5, rotation=30.0, zoom=0.3, shift=0.2, shear=10.0, blur=0.5)
    assert torch.allclose(changed, images, atol=0.1)


def test_erasing_blanks_a_rectangle_with_middle_gray() -> None:
    images = torch.full((100, 1, 48, 48), 10.0)
    blank = (augment(images, erasing=1.0) - 127.5).abs() < 1e-3
    area = blank.float().mean(dim=(1, 2, 3))
    assert float(area.min()) > 0.01
    assert float(area.max()) < 0.22
    assert float(area.max() - area.min()) > 0.1
    rows, columns = blank.any(dim=3).sum(dim=2), blank.any(dim=2).sum(dim=2)
    assert torch.equal(rows * columns, blank.sum(dim=(2, 3)))


def test_the_seed_alone_decides() -> None:
    images, settings = noise(8), {"flip": 0.5, "rotation": 15.0, "zoom": 0.12, "blur": 0.5, "erasing": 0.5}
    first = augment(images, 3, **settings)
    torch.rand(5)
    assert torch.equal(augment(images, 3, **settings), first)
    assert not torch.allclose(augment(images, 4, **settings), first)
