"""Training targets: hard labels, FER+ vote distributions and teacher probabilities, one row a picture."""

from __future__ import annotations

import numpy as np
from fer_perception.labels import LABELS_WITH_CONTEMPT
from numpy.typing import NDArray

#: Columns of the FER+ vote table (Barsoum et al. 2016) that hold a class, in the order of `LABELS_WITH_CONTEMPT`:
#: anger, disgust, fear, happiness, sadness, surprise, neutral, contempt. The last two columns, "unknown" and "no face",
#: are no classes.
VOTE_COLUMNS: tuple[int, ...] = (4, 5, 6, 1, 3, 2, 0, 7)


def vote_distribution(votes: NDArray[np.integer], classes: int) -> NDArray[np.float32]:
    """FER+ votes as distributions over our classes.

    Args:
        votes: (N, 10) counts in FER+ column order.
        classes: 7, or 8 with contempt.

    Returns:
        (N, classes) float32; rows sum to 1, or to 0 where no vote fell on any of the classes.
    """
    counts = votes[:, VOTE_COLUMNS[:classes]].astype(np.float32)
    total = counts.sum(axis=1, keepdims=True)
    return np.divide(counts, total, out=np.zeros_like(counts), where=total > 0)


def vote_majority(votes: NDArray[np.integer]) -> NDArray[np.int64]:
    """The FER+ majority class, as in Barsoum et al. 2016.

    Args:
        votes: (N, 10) counts in FER+ column order.

    Returns:
        (N,) index into `LABELS_WITH_CONTEMPT`; -1 where "unknown" or "no face" won, or two classes tie.
    """
    every = np.concatenate([votes[:, VOTE_COLUMNS], votes[:, 8:10]], axis=1).astype(np.int64)
    best = every.argmax(axis=1)
    tie = (every == every.max(axis=1, keepdims=True)).sum(axis=1) > 1
    best[tie | (best >= len(LABELS_WITH_CONTEMPT))] = -1
    return best
