"""Near-duplicates: images of the same shot, found by the correlation of their thumbnails."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

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
    thumbnails = _unit_thumbnails(images)
    rows: list[Ints] = []
    columns: list[Ints] = []
    for start in range(0, len(images), _BLOCK):
        row, column = np.nonzero(thumbnails[start : start + _BLOCK] @ thumbnails.T > threshold)
        rows.append(row.astype(np.int64) + start)
        columns.append(column.astype(np.int64))
    row, column = np.concatenate([*rows, np.zeros(0, np.int64)]), np.concatenate([*columns, np.zeros(0, np.int64)])
    graph = coo_matrix((np.ones(len(row), np.int8), (row, column)), shape=(len(images), len(images)))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def _unit_thumbnails(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, 145) float32 of length 1, so that a product is the correlation; the last number is 1 without contrast."""
    small = np.array(
        [cv2.resize(image, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA).ravel() for image in images],
        dtype=np.float32,
    ).reshape(-1, THUMBNAIL * THUMBNAIL)
    small -= small.mean(axis=1, keepdims=True)
    length = np.linalg.norm(small, axis=1, keepdims=True)
    flat = length < 1e-3
    return np.hstack([np.where(flat, 0, small / np.maximum(length, 1e-3)), flat]).astype(np.float32)


def near_duplicates_of(
    images: NDArray[np.uint8], others: NDArray[np.uint8], *, threshold: float = NEAR_DUPLICATE
) -> NDArray[np.bool_]:
    """Images that show the same shot as one of the others.

    Args:
        images: (N, H, W) uint8.
        others: (M, H, W) uint8.
        threshold: of the correlation of two thumbnails of 12x12 pixels.

    Returns:
        (N,) bool.
    """
    mine, theirs = _unit_thumbnails(images), _unit_thumbnails(others)
    found = np.zeros(len(images), dtype=np.bool_)
    for start in range(0, len(images) if len(others) else 0, _BLOCK):
        found[start : start + _BLOCK] = (mine[start : start + _BLOCK] @ theirs.T).max(axis=1) > threshold
    return found
