"""Face crops as in training: upright, gray, 48x48, landmarks on the template.

The geometry was measured by `benchmarks/landmark_template.py` on all 28,558 FER2013 training images, enlarged to
256x256 pixels with a black border, and on their mirror images; YuNet finds a face in 98.5 % of them. The template is
the median of each landmark (spread 2 to 3 pixels), made symmetric about x = 23.5: a mirrored face is as likely, and
the asymmetry that was left out is 0.15 pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Side of a crop in pixels.
CROP_SIZE = 48

#: (5, 2) float32 x, y of right eye, left eye, nose, right and left mouth corner in the 48x48 frame (pixel centers at
#: whole numbers).
LANDMARK_TEMPLATE: NDArray[np.float32] = np.array(
    [(14.7, 17.9), (32.3, 17.9), (23.5, 28.0), (16.3, 35.9), (30.7, 35.9)], np.float32
)
LANDMARK_TEMPLATE.flags.writeable = False

#: x, y, width, height of the detector's box in the same frame.
BOX_TEMPLATE: tuple[float, float, float, float] = (3.8, 0.3, 39.4, 48.7)

# Energy of the Laplacian at which a crop counts as half sharp, and what rounding alone gives: 20 (the sum of the
# squared coefficients of the kernel) times 1/12 (the variance of the rounding error).
_HALF_SHARP_ENERGY = 0.04
_ROUNDING_ENERGY = 20 / 12

# The nose tip stands out of the plane of the others and moves most when the head turns.
_WEIGHTS = np.array([1.0, 1.0, 0.5, 1.0, 1.0])


def landmark_template(size: int) -> NDArray[np.float32]:
    """The landmark template for crops of another size.

    Args:
        size: side of the crop in pixels.

    Returns:
        (5, 2) float32 x, y; pixel centers lie at whole numbers, so both frames share their corner at (-0.5, -0.5).
    """
    scale = size / CROP_SIZE
    return ((LANDMARK_TEMPLATE + 0.5) * scale - 0.5).astype(np.float32)


def align_similarity(
    landmarks: ArrayLike, template: ArrayLike = LANDMARK_TEMPLATE, weights: ArrayLike = _WEIGHTS
) -> NDArray[np.float64]:
    """Similarity transforms (rotation, scale, shift) that bring landmarks nearest to a template.

    The weighted least-squares solution in closed form (Umeyama, IEEE TPAMI 13(4), 1991; in two dimensions it is one
    complex factor, and never a reflection).

    Args:
        landmarks: (N, 5, 2) x, y in pixels of the image.
        template: (5, 2) x, y in pixels of the crop.
        weights: (5,) of the points.

    Returns:
        (N, 2, 3) float64: maps pixels of the image to pixels of the crop. Rows of NaN where all points are the same.
    """
    source = np.asarray(landmarks, np.float64)
    target = np.asarray(template, np.float64)
    weight = np.asarray(weights, np.float64) / np.sum(weights)
    z = source[..., 0] + 1j * source[..., 1]
    w = target[:, 0] + 1j * target[:, 1]
    z_mean = z @ weight
    w_mean = w @ weight
    z_centered = z - z_mean[:, None]
    spread = (np.abs(z_centered) ** 2) @ weight
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = (np.conj(z_centered) * (w - w_mean)) @ weight / spread
    return _matrices(factor, w_mean - factor * z_mean)


def box_similarity(
    boxes: ArrayLike, box_template: tuple[float, float, float, float] = BOX_TEMPLATE
) -> NDArray[np.float64]:
    """Upright transforms that bring boxes to where the detector's box lies in the crop, for faces without landmarks.

    Center goes to center; the scale is that of the areas, since the two sides of a detected box err independently.

    Args:
        boxes: (N, 4) x, y, w, h in pixels of the image.
        box_template: the box in pixels of the crop.

    Returns:
        (N, 2, 3) float64: maps pixels of the image to pixels of the crop.
    """
    x, y, w, h = np.asarray(boxes, np.float64).reshape(-1, 4).T
    tx, ty, tw, th = box_template
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.sqrt(tw * th / (w * h))
        shift = (tx + tw / 2) + 1j * (ty + th / 2) - factor * ((x + w / 2) + 1j * (y + h / 2))
    return _matrices(factor.astype(np.complex128), shift)


def crop_faces(
    image: NDArray[np.uint8],
    boxes: NDArray[np.float32],
    landmarks: Sequence[NDArray[np.float32] | None],
    *,
    template: ArrayLike | None = None,
    size: int = CROP_SIZE,
) -> NDArray[np.float32]:
    """Cut faces out of an image, aligned like the training images.

    Args:
        image: (H, W, 3) uint8 BGR or (H, W) uint8 gray.
        boxes: (N, 4) x, y, w, h in pixels.
        landmarks: N times (5, 2) x, y in pixels, or None: then the box decides.
        template: (5, 2) where the landmarks go, in pixels of the crop: that of the model;
            None = `landmark_template(size)`.
        size: side of the crops in pixels.

    Returns:
        (N, 1, size, size) float32 gray values in [0, 255]; what lies outside the image repeats its border. A face
        without extent comes out black.
    """
    crops = np.empty((len(landmarks), 1, size, size), np.uint8)
    transforms = crop_transforms(boxes, landmarks, template=template, size=size)
    for transform, crop in zip(transforms, crops, strict=True):
        warp_face(image, transform, crop[0])
    return crops.astype(np.float32)


def crop_transforms(
    boxes: NDArray[np.float32],
    landmarks: Sequence[NDArray[np.float32] | None],
    *,
    template: ArrayLike | None = None,
    size: int = CROP_SIZE,
) -> NDArray[np.float64]:
    """The (N, 2, 3) transforms from pixels of the image to pixels of the crops that `crop_faces` uses."""
    scale = size / CROP_SIZE
    x, y, w, h = BOX_TEMPLATE
    transforms = box_similarity(boxes, ((x + 0.5) * scale - 0.5, (y + 0.5) * scale - 0.5, w * scale, h * scale))
    aligned = [index for index, points in enumerate(landmarks) if points is not None]
    if aligned:
        points = np.stack([np.asarray(landmarks[index]) for index in aligned])
        found = align_similarity(points, landmark_template(size) if template is None else template)
        usable = np.isfinite(found).all(axis=(1, 2))
        transforms[np.asarray(aligned)[usable]] = found[usable]
    return transforms


def _matrices(factor: NDArray[np.complex128], shift: NDArray[np.complex128]) -> NDArray[np.float64]:
    """(N, 2, 3) real matrices of z -> factor * z + shift."""
    a, b = factor.real, factor.imag
    rows = ((a, -b, shift.real), (b, a, shift.imag))
    return np.moveaxis(np.array(rows), 2, 0)


def warp_face(
    image: NDArray[np.uint8],
    transform: NDArray[np.float64],
    crop: NDArray[np.uint8],
    *,
    border: int = cv2.BORDER_REPLICATE,
) -> None:
    """Fill one crop with the part of an image it shows, shrunk by averaging and then turned.

    `cv2.warpAffine` alone samples: it takes INTER_AREA for INTER_LINEAR, and what is finer than a pixel of the crop
    turns into patterns that are not there.

    Args:
        image: (H, W, 3) uint8 BGR or (H, W) uint8 gray.
        transform: (2, 3), maps pixels of the image to pixels of the crop.
        crop: (S, S) uint8, filled with gray values, or (S, S, 3), with the image's colors.
        border: what lies outside the image: `cv2.BORDER_REPLICATE` or `cv2.BORDER_CONSTANT` (black).
    """
    height, width = image.shape[:2]
    size = crop.shape[0]
    scale = float(np.hypot(transform[0, 0], transform[1, 0]))
    if not np.isfinite(transform).all() or scale <= 0:
        crop[:] = 0
        return
    inverse = cv2.invertAffineTransform(transform)
    corners = np.array([(-1, -1, 1), (size, -1, 1), (-1, size, 1), (size, size, 1)], np.float64) @ inverse.T
    shrink = 1 / scale
    low = np.floor(corners.min(axis=0) - shrink)
    high = np.ceil(corners.max(axis=0) + shrink) + 1
    x0, y0 = np.clip(low, 0, (width - 1, height - 1)).astype(int)
    x1, y1 = np.clip(high, (x0 + 1, y0 + 1), (width, height)).astype(int)
    part: NDArray[Any] = image[y0:y1, x0:x1]
    if part.ndim == 3 and crop.ndim == 2:
        part = cv2.cvtColor(part, cv2.COLOR_BGR2GRAY)
    part_scale = np.ones(2)
    if shrink > 1:
        reduced = (max(1, round((x1 - x0) / shrink)), max(1, round((y1 - y0) / shrink)))
        part_scale = np.array([reduced[0] / (x1 - x0), reduced[1] / (y1 - y0)])
        part = cv2.resize(part, reduced, interpolation=cv2.INTER_AREA)
    # Pixels of `part` to pixels of the image: x = x0 + (u + 0.5) / part_scale - 0.5.
    back = np.diag((*(1 / part_scale), 1.0))
    back[:2, 2] = np.array([x0, y0]) + 0.5 / part_scale - 0.5
    cv2.warpAffine(part, transform @ back, (size, size), dst=crop, flags=cv2.INTER_CUBIC, borderMode=border)


def face_quality(
    image: NDArray[np.uint8],
    box: NDArray[np.float32],
    landmarks: NDArray[np.float32] | None,
    crop: NDArray[np.float32],
) -> float:
    """Quality of a crop: the product of four factors in [0, 1].

    - size: shorter side of the box over 48 pixels, at most 1 (smaller faces are enlarged, not seen);
    - sharpness: e / (e + 0.04), e = mean squared Laplacian over variance of the crop: free of scale and contrast. A
      sharp face has about 0.2, one blurred by a 20th of its width 0.02 (rounding to whole gray levels is taken off);
    - pose: 1 - |t|, t = distance of the nose from the midpoint between the eyes along the line of the eyes, over half
      the
      distance of the eyes, at most 1 (0 facing the camera, 1 from the side); 1 without landmarks;
    - border: part of the box inside the image.

    Args:
        image: (H, W[, 3]) the image.
        box: (4,) x, y, w, h in pixels.
        landmarks: (5, 2) in pixels or None.
        crop: (1, S, S) or (S, S) gray values.

    Returns:
        [0, 1].
    """
    height, width = image.shape[:2]
    x, y, w, h = (float(value) for value in box)
    if not np.isfinite((x, y, w, h)).all() or w <= 0 or h <= 0:
        return 0.0
    size = min(1.0, min(w, h) / CROP_SIZE)
    inside = max(0.0, min(x + w, width) - max(x, 0.0)) * max(0.0, min(y + h, height) - max(y, 0.0))
    return float(size * _sharpness(crop) * _frontality(landmarks) * min(1.0, inside / (w * h)))


def _sharpness(crop: NDArray[np.float32]) -> float:
    gray = np.ascontiguousarray(crop.reshape(crop.shape[-2:]), np.float32)
    variance = float(gray.var())
    if variance < 1.0:  # less than one gray level: there is nothing to see
        return 0.0
    energy = max(0.0, float(np.mean(cv2.Laplacian(gray, cv2.CV_32F) ** 2)) - _ROUNDING_ENERGY) / variance
    return energy / (energy + _HALF_SHARP_ENERGY)


def _frontality(landmarks: NDArray[np.float32] | None) -> float:
    if landmarks is None:
        return 1.0
    points = np.asarray(landmarks, np.float64)
    eyes = points[1] - points[0]
    distance = float(np.hypot(*eyes))
    if not distance > 0:
        return 0.0
    offset = points[2] - (points[0] + points[1]) / 2
    turned = float(offset @ eyes) / (distance * distance / 2)
    return 1.0 - min(1.0, abs(turned))
