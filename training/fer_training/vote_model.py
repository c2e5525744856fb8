"""What the ten FER+ votes say of the label the data set itself gives: a soft target with far less noise than the label.

A FER2013 label is one hasty opinion; the votes are ten. A small network fitted on the training part predicts the
distribution of the label from the votes alone, which also undoes the votes' other habits (they call twice as many faces
neutral).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

#: Enough for the loss to stop falling; a few seconds.
_STEPS = 400
_HIDDEN = 32


def label_given_votes(
    votes: NDArray[np.uint8], labels: NDArray[np.int64], classes: int, *, seed: int = 0
) -> NDArray[np.float32]:
    """Fit and apply the model.

    Args:
        votes: (N, 10) FER+ counts of the training pictures.
        labels: (N,) their labels.
        classes: K.
        seed: of the initial weights.

    Returns:
        (N, K) float32 probabilities of the label given the votes; rows sum to 1. A picture without votes gets a row of
        zeros.
    """
    counts = votes.astype(np.float32)
    total = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, total, out=np.zeros_like(counts), where=total > 0)
    features = torch.from_numpy(np.concatenate([share, np.sqrt(share), np.log1p(counts)], axis=1))
    known = torch.from_numpy(total[:, 0] > 0)
    target = torch.from_numpy(labels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(features.shape[1], _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, classes))
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-2, weight_decay=1e-5)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _STEPS)
    for _ in range(_STEPS):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(features[known]), target[known])
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        probabilities = torch.softmax(model(features), dim=1) * known[:, None]
    result: NDArray[np.float32] = probabilities.numpy()
    return result
