"""Spoiled images: the same at every run, in range, spoiled where they should be."""

from __future__ import annotations

import numpy as np
import pytest

from fer_training.evaluation.corruptions import CORRUPTIONS, Corruption

BY_NAME = {corruption.name: corruption for corruption in CORRUPTIONS}


def faces(count: int = 3) -> np.ndarray:
    """Gray ovals with dark eyes and mouth on a dark ground."""
    y, x = np.mgrid[:48, :48]
    face = np.where(np.hypot((x - 23.5) / 17, (y - 25) / 22) < 1, 150, 40)
    for at in ((14, 18), (32, 18), (23, 36)):
        face = np.where(np.hypot((x - at[0]) / 4, (y - at[1]) / 2) < 1, 60, face)
    return np.repeat(face[None].astype(np.uint8), count, axis=0)


@pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda corruption: corruption.name)
def test_it_changes_the_image_and_is_the_same_for_the_same_seed(corruption: Corruption) -> None:
    images = faces()
    before = images.copy()
    spoiled = corruption.corrupt(images)
    np.testing.assert_array_equal(images, before)
    assert spoiled.shape == images.shape
    assert spoiled.dtype == np.uint8
    assert (spoiled != images).mean() > 0.05
    np.testing.assert_array_equal(spoiled, corruption.corrupt(images))
    assert corruption.corrupt(images[:0]).shape == (0, 48, 48)


def test_what_is_drawn_is_another_for_another_seed() -> None:
    images = faces()
    for name in ("dark", "back-light", "banding", "motion blur", "hand", "mask"):
        assert not np.array_equal(BY_NAME[name].corrupt(images), BY_NAME[name].corrupt(images, seed=1)), name


@pytest.mark.parametrize(
    ("name", "kept"), [("hand", np.s_[:, :18]), ("mask", np.s_[:, :20]), ("glasses", np.s_[:, 28:])]
)
def test_what_covers_the_face_leaves_the_rest(name: str, kept: tuple[slice, ...]) -> None:
    images = faces(20)
    spoiled = BY_NAME[name].corrupt(images)
    np.testing.assert_array_equal(spoiled[kept], images[kept])
    assert (spoiled != images).mean() > 0.05


def test_a_mask_hides_the_mouth_and_sunglasses_the_eyes_of_half_of_the_people() -> None:
    images = faces(40)
    mouth = BY_NAME["mask"].corrupt(images)[:, 36, 22:26].astype(float)
    assert mouth.min() > 100
    eyes = BY_NAME["glasses"].corrupt(images)[:, 21:23, 12:17].mean(axis=(1, 2))
    assert 10 <= (eyes < 60).sum() <= 30


def test_light_from_behind_turns_the_order_of_face_and_ground() -> None:
    spoiled = BY_NAME["back-light"].corrupt(faces())
    assert spoiled[:, 1, 1].min() > 200
    assert spoiled[:, 28, 23].max() < 120


def test_which_may_be_trained_on() -> None:
    assert [c.name for c in CORRUPTIONS if c.trainable] == ["dark", "half resolution", "JPEG", "blur", "gamma"]
    assert len({c.name for c in CORRUPTIONS}) == len(CORRUPTIONS) == 11
