"""Temperature scaling (Guo et al. 2017) and one bias a class: confidences that mean what they say."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special
from scipy.optimize import minimize, minimize_scalar
from scipy.special import logsumexp

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


@dataclass(frozen=True)
class Scaling:
    """Temperature and biases: probabilities are softmax(logits / temperature + biases).

    Attributes:
        temperature: above 0.
        biases: (K,) float64 with the mean 0.
    """

    temperature: float
    biases: NDArray[np.float64]

    def apply(self, logits: NDArray[Any]) -> NDArray[np.float64]:
        """Probabilities (N, K) of logits (N, K)."""
        return softmax(np.asarray(logits, dtype=np.float64) / self.temperature + self.biases)


def fit_scaling(logits: NDArray[Any], targets: NDArray[Any]) -> Scaling:
    """The temperature and the biases with the smallest cross-entropy to target distributions.

    The loss is convex in 1 / temperature and the biases. At its minimum the mean probability of each class is its mean
    target: the probabilities are posteriors under the class frequencies of `targets`.

    Args:
        logits: (N, K) finite, N at least 1.
        targets: (N, K) distributions (vote shares, or ones at the labels), rows sum to 1; every class has a share.

    Raises:
        CalibrationError: no images, a class without any share, or logits that are not finite.
    """
    logits, targets = np.asarray(logits, dtype=np.float64), np.asarray(targets, dtype=np.float64)
    if not len(logits) or logits.shape != targets.shape:
        msg = f"no biases fit logits {logits.shape} and targets {targets.shape}; expected (N, K) twice, N > 0"
        raise CalibrationError(msg)
    if not np.isfinite(logits).all():
        msg = "the logits hold NaN or infinite values; the checkpoint is broken, take an earlier one"
        raise CalibrationError(msg)
    if not targets.mean(axis=0).min() > 0:
        bare = np.flatnonzero(~(targets.mean(axis=0) > 0)).tolist()
        msg = f"no image shows the classes number {bare} (from 0), so their bias has no best value; add images of them"
        raise CalibrationError(msg)

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        scaled = parameters[0] * logits + parameters[1:]
        log_norm = logsumexp(scaled, axis=1, keepdims=True)
        rest = np.exp(scaled - log_norm) - targets
        value = float((log_norm[:, 0] - (targets * scaled).sum(axis=1)).mean())
        return value, np.concatenate([[(rest * logits).sum(axis=1).mean()], rest.mean(axis=0)])

    start = np.concatenate([[1.0], np.zeros(logits.shape[1])])
    limits = [(1.0 / BOUNDS[1], 1.0 / BOUNDS[0]), *[(-20.0, 20.0)] * logits.shape[1]]
    found = minimize(loss, start, jac=True, bounds=limits, method="L-BFGS-B", options={"ftol": 1e-14, "gtol": 1e-9})
    biases = found.x[1:] - found.x[1:].mean()
    return Scaling(float(1.0 / found.x[0]), biases)


def cross_fit_scaling(
    logits: NDArray[Any], targets: NDArray[Any], hashes: list[str]
) -> tuple[NDArray[np.float64], Scaling, tuple[float, float]]:
    """Calibrate each half of the images with the temperature and biases of the other half; see `cross_fit`.

    Args:
        logits: (N, K).
        targets: (N, K), see `fit_scaling`.
        hashes: N image hashes (see `image_hashes`).

    Returns:
        Probabilities (N, K), the scaling fitted on all images, and the temperatures fitted on fold 0 and on fold 1.

    Raises:
        CalibrationError: as in `fit_scaling`, also where a class has no share in a fold.
    """
    folds = two_folds(hashes, targets.argmax(axis=1))
    fitted = [fit_scaling(logits[folds == fold], targets[folds == fold]) for fold in (0, 1)]
    probabilities = np.empty(logits.shape, dtype=np.float64)
    for fold in (0, 1):
        probabilities[folds == fold] = fitted[1 - fold].apply(logits[folds == fold])
    return probabilities, fit_scaling(logits, targets), (fitted[0].temperature, fitted[1].temperature)


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
