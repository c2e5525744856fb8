"""Decoding of YuNet's raw outputs: priors, boxes, landmarks and non-maximum suppression.

The network and its anchor-free decoding: Wu, Peng, Yu, "YuNet: A Tiny Millisecond-level Face Detector", Machine
Intelligence Research 20, 2023. Cells of three grids (strides 8, 16, 32 pixels) each propose one face:

    center = (cell + offset) * stride,  size = exp(log_size) * stride,  landmark = (cell + offset) * stride
    score  = sqrt(class * objectness), both clamped to [0, 1]
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

#: Pixels a cell of each grid covers; image sides are padded to a multiple of the largest.
STRIDES = (8, 16, 32)
#: The order in which `decode` takes the outputs.
OUTPUT_NAMES = tuple(f"{kind}_{stride}" for kind in ("cls", "obj", "bbox", "kps") for stride in STRIDES)
#: Of two boxes that overlap by more than this (intersection over union), the one with the lower score goes.
NMS_THRESHOLD = 0.3
#: Proposals that overlap the best one by more than this (intersection over union) vote on box and landmarks.
_VOTING_OVERLAP = 0.5
#: At most so many candidates enter the suppression.
TOP_K = 5000


def padded(side: int) -> int:
    """The next multiple of the largest stride."""
    return -(-side // STRIDES[-1]) * STRIDES[-1]


@lru_cache(maxsize=16)
def _cells(stride: int, width: int, height: int) -> NDArray[np.float32]:
    """(n, 2) float32 x, y of all cells of a grid, row by row."""
    x, y = np.meshgrid(np.arange(width // stride), np.arange(height // stride))
    return np.stack((x.ravel(), y.ravel()), axis=1).astype(np.float32)


def decode(outputs: Sequence[NDArray[np.float32]], width: int, height: int, threshold: float) -> NDArray[np.float32]:
    """Decode the outputs for one image.

    Args:
        outputs: twelve arrays in the order of `OUTPUT_NAMES`: (1, n, 1) class, objectness, (1, n, 4) boxes, (1, n, 10)
            landmarks for each stride.
        width: of the padded image, a multiple of 32 pixels.
        height: of the padded image.
        threshold: smallest score.

    Returns:
        (N, 15) float32: x, y, w, h, five landmarks x, y, score, in pixels of the padded image; best score first,
        after suppression.
    """
    return decode_batch(outputs, width, height, threshold)[0]


def decode_batch(
    outputs: Sequence[NDArray[np.float32]], width: int, height: int, threshold: float, *, vote: bool = False
) -> list[NDArray[np.float32]]:
    """Decode the outputs for a batch of B images of one size.

    Args:
        outputs: as those of `decode`, with B instead of 1.
        width: of each padded image, a multiple of 32 pixels.
        height: of each padded image.
        threshold: smallest score.
        vote: box and landmarks of a face are the mean of all cells that propose it, weighted by their scores, and not
            those of the best cell alone: under camera noise two cells of nearly the same score take turns.

    Returns:
        For each image what `decode` gives.
    """
    count = len(STRIDES)
    rows, owners = [], []
    for index, stride in enumerate(STRIDES):
        cls, obj, box, points = (outputs[index + count * kind] for kind in range(4))
        product = np.clip(cls[..., 0], 0, 1) * np.clip(obj[..., 0], 0, 1)
        image, chosen = np.nonzero(product >= threshold * threshold)
        if not chosen.size:
            continue
        cell = _cells(stride, width, height)[chosen]
        face = np.empty((chosen.size, 15), np.float32)
        face[:, 2:4] = np.exp(box[image, chosen, 2:4]) * stride
        face[:, 0:2] = (cell + box[image, chosen, 0:2]) * stride - face[:, 2:4] / 2
        face[:, 4:14] = (np.tile(cell, 5) + points[image, chosen]) * stride
        face[:, 14] = np.sqrt(product[image, chosen])
        rows.append(face)
        owners.append(image)
    images = len(outputs[0])
    if not rows:
        return [np.empty((0, 15), np.float32) for _ in range(images)]
    faces, owner = np.concatenate(rows), np.concatenate(owners)
    proposed = [faces[owner == image] for image in range(images)]
    kept = [_suppressed(each, threshold) for each in proposed]
    if vote:
        return [_voted(best, every, threshold) for best, every in zip(kept, proposed, strict=True)]
    return kept


def _voted(best: NDArray[np.float32], every: NDArray[np.float32], threshold: float) -> NDArray[np.float32]:
    """Each of the best proposals with box and landmarks averaged over all that overlap it."""
    if len(every) < 2:
        return best
    low = np.maximum(best[:, None, :2], every[None, :, :2])
    high = np.minimum(best[:, None, :2] + best[:, None, 2:4], every[None, :, :2] + every[None, :, 2:4])
    common = np.prod(np.maximum(high - low, 0), axis=-1)
    areas = (np.prod(each[:, 2:4], axis=1) for each in (best, every))
    overlap = common / (np.add.outer(*areas) - common)
    # A cell fades in at the threshold, so that one more or less is no jump.
    weight = np.where(overlap > _VOTING_OVERLAP, every[None, :, 14] - threshold + 1e-3, 0)
    voted = best.copy()
    voted[:, :14] = weight @ every[:, :14] / weight.sum(axis=1, keepdims=True)
    return voted


def _suppressed(faces: NDArray[np.float32], threshold: float) -> NDArray[np.float32]:
    if len(faces) < 2:
        return faces
    # The reference cuts the boxes to whole pixels for the suppression; so do we, to keep and drop the same ones.
    boxes = np.trunc(faces[:, :4]).tolist()
    kept = cv2.dnn.NMSBoxes(boxes, faces[:, 14].tolist(), threshold, NMS_THRESHOLD, eta=1.0, top_k=TOP_K)
    # Older OpenCV returns a column, and an empty tuple for nothing.
    return faces[np.asarray(kept, dtype=np.intp).reshape(-1)]
