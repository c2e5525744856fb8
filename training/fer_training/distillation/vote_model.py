"""Vote model: the posterior of a data set's own label given the ten FER+ votes, a target with far less noise.

A FER2013 label is one hasty opinion; the votes are ten. A small network fitted on the training part predicts the
distribution of the label from the votes alone, which also undoes the votes' other habits (they call twice as many faces
neutral). Where a teacher's answers are at hand too, votes and answers together foresee the label better than either.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fer_training.distillation.cross_fitting import part_of_images
from fer_training.recipe import RecipeError

#: Enough for the loss to stop falling; a few seconds.
_STEPS = 400
_HIDDEN = 32
#: Of the model that also hears a teacher: passes over the images, not steps, because it has more to learn by heart.
_TEACHER_PASSES = 110
_TEACHER_BATCH = 2048
_TEACHER_HIDDEN = 48
#: Answers below this are taken for it: a logarithm must stay finite.
_SMALLEST = 1e-6


def label_given_votes(
    votes: NDArray[np.uint8], labels: NDArray[np.int64], classes: int, *, seed: int = 0
) -> NDArray[np.float32]:
    """Fit and apply the model.

    Args:
        votes: (N, 10) FER+ counts of the training images.
        labels: (N,) their labels.
        classes: K.
        seed: of the initial weights.

    Returns:
        (N, K) float32 probabilities of the label given the votes; rows sum to 1. An image without votes gets a row of
        zeros.
    """
    features, known = _vote_features(votes)
    target = torch.from_numpy(labels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(features.shape[1], _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, classes))
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-2, weight_decay=1e-5)
    _descend(optimizer, _STEPS, lambda: nn.functional.cross_entropy(model(features[known]), target[known]))
    with torch.no_grad():
        probabilities = torch.softmax(model(features), dim=1) * known[:, None]
    result: NDArray[np.float32] = probabilities.numpy()
    return result


def label_given_votes_and_teacher(
    votes: NDArray[np.uint8],
    teacher: NDArray[np.floating],
    labels: NDArray[np.int64],
    hashes: NDArray[np.str_],
    *,
    fitted_on: NDArray[np.bool_] | None = None,
    folds: int = 4,
) -> NDArray[np.float32]:
    """Fit and apply the model that hears votes and teacher, cross-fitted: no image's own label decides its answer.

    The model adds a correction to the logarithm of the teacher's answer; an image without votes keeps the teacher's
    answer, recalibrated.

    Args:
        votes: (N, 10) FER+ counts.
        teacher: (N, K) probabilities, rows sum to 1; of teachers that have not seen the images, or the model would
            trust them too much.
        labels: (N,) in [0, K).
        hashes: N SHA-256 of the raw pixels, hexadecimal: they deal the images out to the folds.
        fitted_on: (N,) bool, images whose label may be used; None = all.
        folds: the model is fitted so many times.

    Returns:
        (N, K) float32, rows sum to 1.

    Raises:
        RecipeError: there are too few images to hold some out and fit the model on the others.
    """
    features, _ = _vote_features(votes)
    start = torch.from_numpy(np.log(np.maximum(teacher, _SMALLEST)).astype(np.float32)).log_softmax(dim=1)
    inputs, target = torch.cat([features, start], dim=1), torch.from_numpy(labels)
    # Other digits than those that decided which teacher answers, so that each fold hears all of the teachers.
    fold_of = part_of_images([h[8:] for h in hashes], folds)
    usable = np.ones(len(labels), dtype=np.bool_) if fitted_on is None else fitted_on
    result = np.zeros(teacher.shape, dtype=np.float32)
    for fold in range(folds):
        others, own = np.flatnonzero(usable & (fold_of != fold)), np.flatnonzero(fold_of == fold)
        if not len(own):
            continue
        if not len(others):
            msg = (
                f"there are too few images ({int(usable.sum())} whose labels may be used) to learn from some of them "
                "what votes and teachers say of the others; take the whole data set, or leave the votes away"
            )
            raise RecipeError(msg)
        model = _fit_correction(inputs, start, target, torch.from_numpy(others), seed=fold)
        with torch.no_grad():
            result[own] = torch.softmax(start[own] + model(inputs[own]), dim=1).numpy()
    return result


def _fit_correction(inputs: Tensor, start: Tensor, target: Tensor, chosen: Tensor, *, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        last = nn.Linear(_TEACHER_HIDDEN, start.shape[1])
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        model = nn.Sequential(nn.Linear(inputs.shape[1], _TEACHER_HIDDEN), nn.ReLU(), nn.Dropout(0.2), last)
        optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=0.05)
        size = min(len(chosen), _TEACHER_BATCH)

        def loss() -> Tensor:
            batch = chosen[torch.randint(len(chosen), (size,))]
            return nn.functional.cross_entropy(start[batch] + model(inputs[batch]), target[batch])

        _descend(optimizer, _TEACHER_PASSES * len(chosen) // size, loss)
    return model.eval()


def _descend(optimizer: torch.optim.Optimizer, steps: int, loss: Callable[[], Tensor]) -> None:
    """Take so many steps down the loss, at a rate that falls to zero along a cosine."""
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        loss().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()


def _vote_features(votes: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
    """(N, 30) float32 shares, roots of shares and logarithms of counts; (N,) bool: there are votes."""
    counts = votes.astype(np.float32)
    total = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, total, out=np.zeros_like(counts), where=total > 0)
    features = np.concatenate([share, np.sqrt(share), np.log1p(counts)], axis=1)
    return torch.from_numpy(features), torch.from_numpy(total[:, 0] > 0)
