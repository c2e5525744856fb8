"""Metrics of a classifier from its probabilities: accuracy and its relatives, likelihood, calibration. NumPy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Equal-width bins of the confidence in the expected calibration error (Guo et al. 2017).
ECE_BINS = 15
#: Probabilities below this count as this in the log-likelihood, so that one zero does not make it infinite.
SMALLEST_PROBABILITY = 1e-12

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def confusion_matrix(labels: Ints, predicted: Ints, classes: int) -> Ints:
    """Counts of (true class, predicted class).

    Args:
        labels: (N,) true classes in [0, classes).
        predicted: (N,) predicted classes in [0, classes).
        classes: K.

    Returns:
        (K, K) int64; rows are true classes, columns predicted ones.
    """
    return np.bincount(labels * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def per_class_figures(confusion: Ints, names: Sequence[str]) -> dict[str, dict[str, float | int | None]]:
    """Precision, recall, F1 and support of every class.

    Args:
        confusion: (K, K), rows true.
        names: K class names.

    Returns:
        {name: {"precision", "recall", "f1", "support"}}; precision is None where the class was never predicted, recall
        where it never occurs, F1 where both is the case.
    """
    hits = np.diag(confusion)
    support = confusion.sum(axis=1)
    predicted = confusion.sum(axis=0)
    figures: dict[str, dict[str, float | int | None]] = {}
    for i, name in enumerate(names):
        figures[name] = {
            "precision": float(hits[i] / predicted[i]) if predicted[i] else None,
            "recall": float(hits[i] / support[i]) if support[i] else None,
            "f1": float(2 * hits[i] / (support[i] + predicted[i])) if support[i] + predicted[i] else None,
            "support": int(support[i]),
        }
    return figures


def balanced_accuracy(confusion: Ints) -> float:
    """Mean recall of the classes that occur, [0, 1]."""
    support = confusion.sum(axis=1)
    present = support > 0
    return float(np.mean(np.diag(confusion)[present] / support[present]))


def macro_f1(confusion: Ints) -> float:
    """Mean F1 of the classes that occur or were predicted, [0, 1]."""
    both = confusion.sum(axis=1) + confusion.sum(axis=0)
    present = both > 0
    return float(np.mean(2 * np.diag(confusion)[present] / both[present]))


def negative_log_likelihood(probabilities: Floats, labels: Ints) -> float:
    """Mean negative log-probability of the true class in nats.

    Args:
        probabilities: (N, K), rows sum to 1.
        labels: (N,) in [0, K).
    """
    true = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(true, SMALLEST_PROBABILITY)).mean())


def brier_score(probabilities: Floats, labels: Ints) -> float:
    """Mean squared distance from the one-hot label, summed over classes: 0 is perfect, 2 the worst (Brier 1950)."""
    one_hot = np.eye(probabilities.shape[1])[labels]
    return float(((probabilities - one_hot) ** 2).sum(axis=1).mean())


@dataclass(frozen=True)
class Reliability:
    """The reliability diagram, one entry a confidence bin.

    Attributes:
        confidence: mean confidence in the bin, NaN where it is empty.
        accuracy: share of right answers in the bin, NaN where it is empty.
        count: images in the bin.
    """

    confidence: Floats
    accuracy: Floats
    count: Ints

    @property
    def ece(self) -> float:
        """Expected calibration error: |accuracy - confidence| averaged over the images."""
        gaps = np.abs(self.accuracy - self.confidence)
        return float(np.nansum(gaps * self.count) / self.count.sum())


def confidence_bins(confidence: Floats, *, bins: int = ECE_BINS) -> Ints:
    """Bin of each confidence in [0, 1]; bins are open below and closed above, as in Guo et al. 2017."""
    return np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)


def reliability(probabilities: Floats, labels: Ints, *, bins: int = ECE_BINS) -> Reliability:
    """Mean confidence and accuracy of the winning class in equal-width confidence bins.

    Args:
        probabilities: (N, K).
        labels: (N,) in [0, K).
        bins: how many bins.
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    index = confidence_bins(confidence, bins=bins)
    count = np.bincount(index, minlength=bins)
    with np.errstate(invalid="ignore"):
        return Reliability(
            confidence=np.bincount(index, confidence, bins) / count,
            accuracy=np.bincount(index, right, bins) / count,
            count=count,
        )


def expected_calibration_error(probabilities: Floats, labels: Ints, *, bins: int = ECE_BINS) -> float:
    """Expected calibration error of the winning class, [0, 1]."""
    return reliability(probabilities, labels, bins=bins).ece


def perfect_calibration_error(probabilities: Floats, *, bins: int = ECE_BINS, draws: int = 500, seed: int = 0) -> float:
    """The error that a perfectly calibrated model with the same confidences would show on as many images.

    ECE of a finite sample is above zero even then; this is its expectation, over labels drawn from the probabilities
    themselves. Only whether the winning class is right matters, which happens with the confidence as its probability.

    Args:
        probabilities: (N, K).
        bins: confidence bins.
        draws: label sets drawn.
        seed: of the random generator.
    """
    confidence = probabilities.max(axis=1)
    index = confidence_bins(confidence, bins=bins)
    expected = np.bincount(index, confidence, bins)
    rng = np.random.default_rng(seed)
    total = 0.0
    for _ in range(draws):
        right = rng.random(len(confidence)) < confidence
        total += float(np.abs(np.bincount(index, right, bins) - expected).sum())
    return total / (draws * len(confidence))


def calibration_error_interval(
    probabilities: Floats, labels: Ints, *, bins: int = ECE_BINS, draws: int = 1000, seed: int = 0, level: float = 0.95
) -> tuple[float, float]:
    """Percentile bootstrap interval of the ECE over the images.

    Resampling adds noise of its own, so the interval lies a little high: compare it with `perfect_calibration_error`.

    Args:
        probabilities: (N, K).
        labels: (N,).
        bins: confidence bins.
        draws: resampled sets.
        seed: of the random generator.
        level: share of the resampled errors inside the interval.
    """
    confidence = probabilities.max(axis=1)
    gap = (probabilities.argmax(axis=1) == labels) - confidence
    index = confidence_bins(confidence, bins=bins)
    rng = np.random.default_rng(seed)
    n = len(labels)
    errors = np.empty(draws)
    for i in range(draws):
        weight = np.bincount(rng.integers(0, n, n), minlength=n)
        errors[i] = np.abs(np.bincount(index, gap * weight, bins)).sum() / n
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(errors, [tail, 1.0 - tail])
    return float(low), float(high)
