"""The class prior that a run trains its network under: the mean of its targets."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from fer_training.distillation.teacher_networks import TeacherNetworks
from fer_training.fit.batches import Arrays
from fer_training.recipe import Recipe

#: Images, evenly spread over the training set, that teacher networks are asked for their mean answer.
_ASKED = 2048
_BATCH = 128
#: No class has a smaller share: the logarithm of a prior must exist.
_SMALLEST = 1e-6


def training_prior(recipe: Recipe, arrays: Arrays, teachers: TeacherNetworks | None = None) -> tuple[float, ...]:
    """Mean target of the training images, as the loss uses them: labels, votes and teachers by their weights.

    Args:
        recipe: of the run.
        arrays: its training images.
        teachers: the networks it learns from, None where `arrays` hold their answers or there are none.

    Returns:
        K numbers above 0 with the sum 1.
    """
    loss = recipe.loss
    classes = arrays.expected.shape[1]
    targets = np.eye(classes)[arrays.labels]
    targets = (1 - loss.label_smoothing) * targets + loss.label_smoothing / classes
    if loss.votes_weight > 0:
        voted = arrays.expected.sum(axis=1, keepdims=True) > 0
        expected = np.where(voted, arrays.expected, targets)
        targets = (1 - loss.votes_weight) * targets + loss.votes_weight * expected
    mean = targets.mean(axis=0)
    if loss.teacher_weight > 0 and teachers is not None:
        mean = (1 - loss.teacher_weight) * mean + loss.teacher_weight * _mean_answer(teachers, arrays)
    elif loss.teacher_weight > 0:
        # An image that the teacher does not know has a row of zeros, and keeps its target in full.
        share = loss.teacher_weight * arrays.teacher.sum(axis=1, keepdims=True).round(4)
        mean = ((1 - share) * targets + loss.teacher_weight * arrays.teacher).mean(axis=0)
    mean = np.maximum(np.asarray(mean, dtype=np.float64), _SMALLEST)
    return tuple((mean / mean.sum()).tolist())


def _mean_answer(teachers: TeacherNetworks, arrays: Arrays) -> NDArray[np.float64]:
    chosen = np.unique(np.linspace(0, len(arrays) - 1, min(len(arrays), _ASKED)).round().astype(int))
    total = np.zeros(arrays.expected.shape[1])
    for start in range(0, len(chosen), _BATCH):
        images = torch.from_numpy(arrays.images[chosen[start : start + _BATCH]]).float()
        total += teachers(images, start).sum(dim=0).double().cpu().numpy()
    return total / len(chosen)
