"""The class prior of a run: the mean of its targets."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from fer_training.fit.batches import Arrays
from fer_training.fit.class_prior import training_prior
from fer_training.recipe import Recipe

#: Four images of three classes; votes for the first two, a teacher for the last.
ARRAYS = Arrays(
    images=np.zeros((4, 1, 48, 48), np.uint8),
    labels=np.array([0, 0, 1, 2]),
    votes=np.zeros((4, 8), np.float32),
    expected=np.array([[0.5, 0.5, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]], np.float32),
    teacher=np.array([[0.0] * 3, [0.0] * 3, [0.0] * 3, [0.2, 0.2, 0.6]], np.float32),
)


def recipe(**loss: float) -> Recipe:
    plain = Recipe()
    values = {"label_smoothing": 0.0, "votes_weight": 0.0, "teacher_weight": 0.0} | loss
    return dataclasses.replace(plain, loss=dataclasses.replace(plain.loss, **values))


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ({}, [2, 1, 1]),
        ({"label_smoothing": 0.3}, [0.7 * 2 + 0.4, 0.7 + 0.4, 0.7 + 0.4]),
        ({"votes_weight": 1.0}, [0.5, 2.5, 1]),
        ({"votes_weight": 0.5}, [1.25, 1.75, 1]),
        ({"teacher_weight": 0.5}, [2.1, 1.1, 0.8]),
    ],
    ids=["labels", "smoothed", "votes", "both", "teacher"],
)
def test_it_is_the_mean_of_the_targets(loss: dict[str, float], expected: list[float]) -> None:
    assert training_prior(recipe(**loss), ARRAYS) == pytest.approx(np.array(expected) / 4, abs=1e-6)


def test_networks_that_teach_are_asked() -> None:
    def teachers(images: torch.Tensor, _seed: int) -> torch.Tensor:
        return torch.tensor([[0.1, 0.1, 0.8]]).expand(len(images), 3)

    prior = training_prior(recipe(teacher_weight=0.5), ARRAYS, teachers)  # type: ignore[arg-type]
    assert prior == pytest.approx([0.3, 0.175, 0.525])


def test_every_class_has_a_share() -> None:
    arrays = dataclasses.replace(ARRAYS, labels=np.array([0, 0, 1, 1]))
    assert training_prior(recipe(), arrays) == pytest.approx([0.5, 0.5, 1e-6], abs=2e-6)
