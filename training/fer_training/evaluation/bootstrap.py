"""Bootstrap over clusters: all images of a subject, or all near-duplicates of an image, are drawn together."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Two images whose thumbnails correlate above this show the same shot: another crop, another coding.
NEAR_DUPLICATE = 0.97
#: Side of the thumbnails, pixels.
THUMBNAIL = 12
#: Rows of the matrix of correlations that are held at once.
_BLOCK = 1024


def near_duplicate_clusters(images: NDArray[np.uint8], *, threshold: float = NEAR_DUPLICATE) -> Ints:
    """Clusters of images that are (nearly) the same shot: connected components of pairs that correlate.

    Args:
        images: (N, H, W) uint8.
        threshold: of the correlation of two thumbnails of 12x12 pixels; images without any contrast are alike.

    Returns:
        (N,) number of the cluster of each image, from 0.
    """
    thumbnails = _standardized(images)
    rows: list[Ints] = []
    columns: list[Ints] = []
    for start in range(0, len(images), _BLOCK):
        row, column = np.nonzero(thumbnails[start : start + _BLOCK] @ thumbnails.T > threshold)
        rows.append(row.astype(np.int64) + start)
        columns.append(column.astype(np.int64))
    row, column = np.concatenate([*rows, np.zeros(0, np.int64)]), np.concatenate([*columns, np.zeros(0, np.int64)])
    graph = coo_matrix((np.ones(len(row), np.int8), (row, column)), shape=(len(images), len(images)))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def _standardized(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, 145) float32 of length 1, so that a product is the correlation; the last number is 1 without contrast."""
    small = np.array(
        [cv2.resize(image, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA).ravel() for image in images],
        dtype=np.float32,
    ).reshape(-1, THUMBNAIL * THUMBNAIL)
    small -= small.mean(axis=1, keepdims=True)
    length = np.linalg.norm(small, axis=1, keepdims=True)
    flat = length < 1e-3
    return np.hstack([np.where(flat, 0, small / np.maximum(length, 1e-3)), flat]).astype(np.float32)


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
