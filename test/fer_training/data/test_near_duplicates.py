"""Near-duplicates of other images: another brightness, crop or coding is found, another image is not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fer_training.data.near_duplicates import near_duplicates_of
from fer_training.fit.data import load_fit_data
from fer_training.recipe import RecipeError, load_recipe


def smooth_images(count: int, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (count, 6, 6), dtype=np.uint8)
    return np.stack([cv2.resize(image, (48, 48), interpolation=cv2.INTER_CUBIC) for image in noise])


def test_darker_shifted_and_packed_copies_are_found_and_others_are_not() -> None:
    images = smooth_images(4, 0)
    darker = (images[0] * 0.6 + 10).astype(np.uint8)
    shifted = np.roll(images[1], 1, axis=1)
    packed = cv2.imdecode(cv2.imencode(".jpg", images[2], [cv2.IMWRITE_JPEG_QUALITY, 40])[1], cv2.IMREAD_GRAYSCALE)
    found = near_duplicates_of(np.stack([darker, shifted, packed, *smooth_images(3, 9)]), images, threshold=0.95)
    assert found.tolist() == [True, True, True, False, False, False]


def test_nothing_to_compare_with_finds_nothing() -> None:
    assert not near_duplicates_of(smooth_images(3, 0), np.zeros((0, 48, 48), np.uint8)).any()
    assert near_duplicates_of(np.zeros((0, 48, 48), np.uint8), smooth_images(3, 0)).shape == (0,)


def test_a_recipe_leaves_them_out_of_training_and_says_how_many(tmp_path) -> None:
    train, validation = smooth_images(28, 1), smooth_images(14, 2)
    train[:3] = (validation[:3] * 0.7).astype(np.uint8)
    labels = np.arange(42, dtype=np.uint8) % 7
    path = tmp_path / "faces.npz"
    np.savez(
        path,
        **{"train_images": train, "train_labels": labels[:28], "validation_images": validation},
        validation_labels=labels[:14],
    )
    plain = ["loss.teacher=''", "loss.teacher_weight=0", f"data={path}"]
    fit_data = load_fit_data(load_recipe("arch1_next_vote", plain))
    assert len(fit_data.train) == 25
    assert any(note.startswith("3 training images left out: near-duplicates") for note in fit_data.notes)
    assert len(load_fit_data(load_recipe("arch1_next_vote", [*plain, "near_duplicates=0"])).train) == 28


def test_a_threshold_above_1_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"near_duplicates is 2\.0; expected a number from 0 to 1"):
        load_recipe("arch1_next_vote", ["near_duplicates=2"])
