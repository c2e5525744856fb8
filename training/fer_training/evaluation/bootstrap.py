"""Bootstrap over clusters: all images of a subject, or all near-duplicates of an image, are drawn together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def cluster_weights(clusters: NDArray[np.generic], *, draws: int = 1000, seed: int = 0) -> Floats:
    """Weights of the images in resampled sets: how often the cluster of each image was drawn.

    Args:
        clusters: (N,) name or number of the cluster of each image.
        draws: how many sets; each draws as many clusters as there are, with replacement.
        seed: of the random generator.

    Returns:
        (draws, N) float64.
    """
    _, index = np.unique(clusters, return_inverse=True)
    index = index.reshape(-1)
    count = int(index.max()) + 1 if len(index) else 0
    random = np.random.default_rng(seed)
    drawn = np.array([np.bincount(random.integers(0, count, count), minlength=count) for _ in range(draws)])
    return drawn.reshape(draws, count)[:, index].astype(np.float64)


def interval(values: Floats, *, level: float = 0.95) -> tuple[float, float] | None:
    """Percentile interval of a figure's resampled values, NaN left out; None where all are NaN."""
    known = values[np.isfinite(values)]
    if not len(known):
        return None
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(known, [tail, 1.0 - tail])
    return float(low), float(high)


def standard_error(hits: int, count: int) -> float | None:
    """Standard error of a share `hits / count`, with two hits and two misses added (Agresti & Coull 1998).

    The plain formula gives 0 where all of three images are right; None where there are none.
    """
    if not count:
        return None
    share = (hits + 2) / (count + 4)
    return float(np.sqrt(share * (1 - share) / (count + 4)))
