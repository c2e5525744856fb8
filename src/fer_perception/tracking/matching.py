"""Assignment of detections to faces: overlap, landmark distance, Hungarian algorithm."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from fer_perception.pipeline_types import Detection
from fer_perception.tracking.motion import POSITION_NOISE, SIZE_NOISE, FaceMotion

#: A detection farther from the prediction than this many standard deviations is another face ...
GATE_SIGMAS = 4.0
#: ... but this far, in face sizes, is always within reach.
MIN_REACH = 0.35
#: However uncertain a prediction is, a face does not jump farther, in face sizes.
MAX_REACH = 2.0
#: Two detections are one face when their overlap (intersection over union) is larger ...
SAME_FACE_IOU = 0.5
#: ... or when so much of the smaller lies in the larger.
SAME_FACE_INSIDE = 0.75

_FORBIDDEN = 1e6


def overlaps(
    first: NDArray[np.floating], second: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Overlap of boxes, each with each.

    Args:
        first: (N, 4) x, y, width, height.
        second: (M, 4), likewise.

    Returns:
        (N, M) intersection over union and (N, M) intersection over the smaller area, both in [0, 1].
    """
    a = np.asarray(first, dtype=np.float64).reshape(-1, 1, 4)
    b = np.asarray(second, dtype=np.float64).reshape(1, -1, 4)
    low = np.maximum(a[..., :2], b[..., :2])
    high = np.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:])
    common = np.prod(np.maximum(high - low, 0.0), axis=-1)
    area_a, area_b = np.prod(a[..., 2:], axis=-1), np.prod(b[..., 2:], axis=-1)
    union = np.maximum(area_a + area_b - common, 1e-9)
    smaller = np.maximum(np.minimum(area_a, area_b), 1e-9)
    return common / union, common / smaller


def same_face(boxes: NDArray[np.floating], others: NDArray[np.floating]) -> NDArray[np.bool_]:
    """(N, M): whether two boxes are so alike that they must be one face found twice."""
    iou, inside = overlaps(boxes, others)
    result: NDArray[np.bool_] = (iou > SAME_FACE_IOU) | (inside > SAME_FACE_INSIDE)
    return result


def match(motions: Sequence[FaceMotion], detections: Sequence[Detection]) -> list[tuple[int, int]]:
    """Assign detections to predicted faces.

    The cost of a pair is 1 - IoU plus the mean distance of their landmarks in face sizes (of their centers where one
    has no landmarks). Pairs out of reach of the prediction's uncertainty are forbidden.

    Args:
        motions: N predicted faces.
        detections: M detections of the same time.

    Returns:
        Pairs (index of the face, index of the detection); each index at most once.
    """
    if not motions or not detections:
        return []
    predicted = np.stack([m.box for m in motions]).astype(np.float64)
    found = np.stack([d.box for d in detections]).astype(np.float64)
    iou, _ = overlaps(predicted, found)
    predicted_size = np.sqrt(np.maximum(predicted[:, 2] * predicted[:, 3], 1.0))[:, None]
    found_size = np.sqrt(np.maximum(found[:, 2] * found[:, 3], 1.0))[None, :]
    centers = predicted[:, None, :2] + 0.5 * predicted[:, None, 2:] - found[None, :, :2] - 0.5 * found[None, :, 2:]
    away = np.linalg.norm(centers, axis=-1) / predicted_size
    spread = np.sqrt(np.array([m.position_variance for m in motions]) + POSITION_NOISE**2)[:, None]
    size_spread = np.sqrt(np.array([m.size_variance for m in motions]) + SIZE_NOISE**2)[:, None]
    reach = np.clip(GATE_SIGMAS * spread, MIN_REACH, MAX_REACH)
    size_change = np.abs(np.log(found_size / predicted_size))
    forbidden = (away > reach) | (size_change > np.maximum(GATE_SIGMAS * size_spread, 0.5))
    cost = 1.0 - iou + _landmark_distance(motions, detections, away, predicted_size)
    cost[forbidden] = _FORBIDDEN
    rows, columns = linear_sum_assignment(cost)
    return [(int(r), int(c)) for r, c in zip(rows, columns, strict=True) if cost[r, c] < _FORBIDDEN]


def _landmark_distance(
    motions: Sequence[FaceMotion],
    detections: Sequence[Detection],
    away: NDArray[np.float64],
    size: NDArray[np.float64],
) -> NDArray[np.float64]:
    """(N, M) mean landmark distance in face sizes, `away` where one of the two has no landmarks."""
    rows = [i for i, m in enumerate(motions) if m.shape is not None]
    columns = [j for j, d in enumerate(detections) if d.landmarks is not None]
    distance = away.copy()
    if rows and columns:
        a = np.stack([motions[i].landmarks for i in rows]).astype(np.float64)  # type: ignore[misc]
        b = np.stack([detections[j].landmarks for j in columns]).astype(np.float64)  # type: ignore[misc]
        mean = np.linalg.norm(a[:, None] - b[None], axis=-1).mean(axis=-1)
        distance[np.ix_(rows, columns)] = mean / size[rows]
    return distance
