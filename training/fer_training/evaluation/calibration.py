"""Temperature scaling (Guo et al. 2017): one number that calibrates the confidences."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special
from scipy.optimize import minimize_scalar

from fer_perception.errors import FerError
from fer_training.data.samples import pixel_hash

LOG = logging.getLogger(__name__)

#: Temperatures are looked for between these; a network outside them is not miscalibrated but broken.
BOUNDS = (0.05, 20.0)


class CalibrationError(FerError):
    """Logits or labels from which no temperature can be fitted."""


def softmax(logits: NDArray[Any], temperature: float = 1.0) -> NDArray[np.float64]:
    """Probabilities of logits at a temperature.

    Args:
        logits: (N, K).
        temperature: above 0; larger is less confident.

    Returns:
        (N, K) float64, rows sum to 1.
    """
    return np.asarray(special.softmax(np.asarray(logits, dtype=np.float64) / temperature, axis=1), dtype=np.float64)


def fit_temperature(logits: NDArray[Any], labels: NDArray[np.integer]) -> float:
    """The temperature with the smallest negative log-likelihood.

    The likelihood is concave in 1 / temperature, so a bounded scalar search finds the one optimum. Where every
    image is answered right, or all alike, there is none: that is logged as a warning.

    Args:
        logits: (N, K) finite, N at least 1; log-probabilities serve as well.
        labels: (N,) in [0, K).

    Raises:
        CalibrationError: no images, labels out of range, or logits that are not finite.
    """
    logits = np.asarray(logits, dtype=np.float64)
    labels = np.asarray(labels, dtype=np.int64)
    if not len(labels) or logits.ndim != 2 or len(logits) != len(labels):
        msg = f"no temperature fits logits {logits.shape} and labels {labels.shape}; expected (N, K) and (N,), N > 0"
        raise CalibrationError(msg)
    if labels.min() < 0 or labels.max() >= logits.shape[1]:
        msg = f"labels from {labels.min()} to {labels.max()}, expected 0 to {logits.shape[1] - 1}; drop unknown ones"
        raise CalibrationError(msg)
    if not np.isfinite(logits).all():
        msg = "the logits hold NaN or infinite values; the checkpoint is broken, take an earlier one"
        raise CalibrationError(msg)
    true = logits[np.arange(len(labels)), labels]

    def loss(log_inverse: float) -> float:
        inverse = np.exp(log_inverse)
        scaled = logits * inverse
        top = scaled.max(axis=1)
        return float((top + np.log(np.exp(scaled - top[:, None]).sum(axis=1)) - true * inverse).mean())

    low, high = (-np.log(bound) for bound in reversed(BOUNDS))
    found = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-6})
    temperature = float(np.exp(-found.x))
    if (logits.argmax(axis=1) == labels).all() or not 1.01 * BOUNDS[0] < temperature < 0.99 * BOUNDS[1]:
        LOG.warning(
            "no temperature is the best for these %d images (all of them right, wrong or alike): %.3g is as good as "
            "any; calibrate on more images",
            len(labels),
            temperature,
        )
    return temperature


def image_hashes(images: NDArray[np.uint8]) -> list[str]:
    """SHA-256 of each image's pixels, hexadecimal; (N, H, W) uint8."""
    return [pixel_hash(image) for image in images]


def two_folds(hashes: list[str], labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """A fixed split into halves with equal shares of every class, whatever order the images come in.

    Within a class the distinct images, in the order of their hashes, go to the two folds in turn; copies of an image
    stay together.

    Args:
        hashes: N image hashes.
        labels: (N,) classes.

    Returns:
        (N,) fold of each image, 0 or 1.
    """
    fold_of: dict[str, int] = {}
    for label in np.unique(labels):
        members = sorted({hashes[i] for i in np.flatnonzero(labels == label)} - fold_of.keys())
        fold_of.update({digest: position % 2 for position, digest in enumerate(members)})
    return np.array([fold_of[digest] for digest in hashes], dtype=np.int64)


@dataclass(frozen=True)
class CrossFit:
    """Two-fold cross-fitted calibration.

    Attributes:
        probabilities: (N, K) float64; each image at the temperature fitted on the other fold.
        temperatures: fitted on fold 0 and on fold 1.
        shipped: the temperature fitted on all images.
    """

    probabilities: NDArray[np.float64]
    temperatures: tuple[float, float]
    shipped: float


def cross_fit(logits: NDArray[Any], labels: NDArray[np.integer], hashes: list[str]) -> CrossFit:
    """Calibrate each half of the images with the temperature of the other half.

    The pooled result is an honest figure for a temperature fitted on as much data as is then shipped.

    Args:
        logits: (N, K).
        labels: (N,) in [0, K).
        hashes: N image hashes (see `image_hashes`).

    Raises:
        CalibrationError: too few images for two folds, or as in `fit_temperature`.
    """
    folds = two_folds(hashes, labels)
    if len(set(folds.tolist())) < 2:
        msg = f"{len(folds)} images do not make two folds; cross-fitting needs at least two different ones of a class"
        raise CalibrationError(msg)
    temperatures = tuple(fit_temperature(logits[folds == fold], labels[folds == fold]) for fold in (0, 1))
    probabilities = np.empty(logits.shape, dtype=np.float64)
    for fold in (0, 1):
        probabilities[folds == fold] = softmax(logits[folds == fold], temperatures[1 - fold])
    return CrossFit(probabilities, (temperatures[0], temperatures[1]), fit_temperature(logits, labels))
