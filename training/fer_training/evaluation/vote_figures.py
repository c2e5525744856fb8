"""Figures of probabilities against the ten FER+ votes: on the majority, and as shares of the votes of all images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from fer_perception.labels import LABELS, NEUTRAL
from fer_training.data.readers.ferplus import class_votes, majority_of_ten, soft_labels
from fer_training.evaluation import metrics
from fer_training.evaluation.bootstrap import interval, standard_error
from fer_training.evaluation.operating_curve import NEGATIVE, OperatingCurve

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Shares of neutral faces called negative at which the curve is read.
READ_AT = (0.05, 0.08)
#: Shares at which points of the curve are given for drawing.
CURVE_AT = (0.01, 0.02, 0.03, 0.05, 0.08, 0.1, 0.15, 0.2, 0.3, 0.4)


def majority_figures(
    probabilities: Floats, votes: NDArray[np.uint8], weights: Floats, names: Sequence[str] = LABELS
) -> dict[str, Any]:
    """Figures on the images for which more than five of ten annotators named one of the seven classes.

    Args:
        probabilities: (N, K) of the classes `names`, the seven first and in order; a further one is always wrong.
        votes: (N, 10).
        weights: (D, N) of the images in resampled sets, for the intervals.
        names: K class names.

    Returns:
        "n", "accuracy", "balanced_accuracy", "vote_weighted_accuracy" (an image counts as often as it has votes for its
        majority), each with an "..._interval" of 95 %; "recall" (class -> recall, count, standard_error);
        "operating_curve" (see `curve_figures`).
    """
    truth = majority_of_ten(votes)
    known = truth >= 0
    truth, said, weights = truth[known], probabilities[known], weights[:, known]
    right = (said.argmax(axis=1) == truth).astype(np.float64)
    strength = class_votes(votes[known], len(LABELS)).max(axis=1).astype(np.float64)
    of_class = np.eye(len(LABELS))[truth]
    counts = of_class.sum(axis=0)
    hits = right @ of_class
    with np.errstate(invalid="ignore", divide="ignore"):
        recalls = hits / counts
        resampled = (weights * right) @ of_class / (weights @ of_class)
        accuracy = weights @ right / weights.sum(axis=1)
        weighted = weights @ (right * strength) / (weights @ strength)
    return {
        "n": len(truth),
        "accuracy": _mean(right),
        "accuracy_interval": interval(accuracy),
        "balanced_accuracy": _mean(recalls[counts > 0]),
        "balanced_accuracy_interval": interval(_row_means(resampled)),
        "vote_weighted_accuracy": float(right @ strength / strength.sum()) if len(truth) else None,
        "vote_weighted_accuracy_interval": interval(weighted),
        "recall": {
            name: {
                "recall": float(recalls[index]) if counts[index] else None,
                "count": int(counts[index]),
                "standard_error": standard_error(int(hits[index]), int(counts[index])),
            }
            for index, name in enumerate(LABELS)
        },
        "operating_curve": curve_figures(said, truth, weights, names),
    }


def curve_figures(probabilities: Floats, truth: Ints, weights: Floats, names: Sequence[str]) -> dict[str, Any]:
    """The operating curve as numbers for JSON.

    Args:
        probabilities: (N, K).
        truth: (N,) index into `names`.
        weights: (D, N) of the faces in resampled sets.
        names: K class names.

    Returns:
        "neutral" and "negative" (how many faces); "as_shipped" (neutral_called_negative, negatives_named_rightly, each
        with its interval); "read_at" (a list of: false_alarms, negatives_named_rightly, interval, neutral_factor);
        "points" (a list of [false alarms, named rightly]).
    """
    curve = OperatingCurve(probabilities, truth, names)
    shipped = curve.shipped()
    negative = [names.index(name) for name in NEGATIVE if name in names]
    said = probabilities.argmax(axis=1)
    alarm, calm = np.isin(said, negative), truth == names.index(NEUTRAL)
    right, upset = said == truth, np.isin(truth, negative)
    return {
        "neutral": curve.neutral_faces,
        "negative": curve.negative_faces,
        "as_shipped": {
            "neutral_called_negative": _number(shipped.false_alarms),
            "neutral_called_negative_interval": interval(_resampled_share(alarm, calm, weights)),
            "negatives_named_rightly": _number(shipped.named_rightly),
            "negatives_named_rightly_interval": interval(_resampled_share(right, upset, weights)),
        },
        "read_at": [
            {
                "false_alarms": share,
                "negatives_named_rightly": _number((reading := curve.read(share)).named_rightly),
                "interval": interval(curve.resampled(share, weights)),
                "neutral_factor": _number(reading.factor),
            }
            for share in READ_AT
        ],
        "points": [
            [_number((reading := curve.read(share)).false_alarms), _number(reading.named_rightly)] for share in CURVE_AT
        ],
    }


def share_figures(probabilities: Floats, votes: NDArray[np.uint8], weights: Floats) -> dict[str, Any]:
    """Agreement of probabilities with the shares of the votes: "0.7 means that 7 of 10 people would say so".

    Votes for anything else than the seven classes are left out; images without another one too.

    Args:
        probabilities: (N, K), the seven classes first and in order; others are left out and the rest renormalized.
        votes: (N, 10).
        weights: (D, N) of the images in resampled sets.

    Returns:
        "n"; "nll" (nats, mean over the images) and its interval, "nll_of_the_shares" (the least possible);
        "calibration_slope" (the exponent of the probabilities with the least NLL: 1 is calibrated, below it
        overconfident); "ece" (15 equal bins of the confidence: mean confidence against the mean share of the votes for
        that class), "ece_interval" and "ece_perfect" (what a perfectly calibrated model would show on as many images);
        "agreement" (mean share of the votes for the answer).
    """
    shares = soft_labels(votes, classes=len(LABELS)).astype(np.float64)
    known = shares.sum(axis=1) > 0
    shares, weights = shares[known], weights[:, known]
    said = probabilities[known, : len(LABELS)]
    said = np.maximum(said / said.sum(axis=1, keepdims=True), metrics.SMALLEST_PROBABILITY)
    logarithm = np.log(said)
    loss = -(shares * logarithm).sum(axis=1)
    entropy = -(shares * np.log(np.where(shares > 0, shares, 1.0))).sum(axis=1)
    answer = said.argmax(axis=1)
    confidence, got = said.max(axis=1), shares[np.arange(len(said)), answer]
    ece, around, perfect = _share_ece(confidence, got, weights)
    return {
        "n": len(said),
        "nll": _mean(loss),
        "nll_interval": interval(weights @ loss / weights.sum(axis=1)),
        "nll_of_the_shares": _mean(entropy),
        "calibration_slope": _slope(logarithm, shares),
        "ece": ece,
        "ece_interval": around,
        "ece_perfect": perfect,
        "agreement": _mean(got),
    }


def _share_ece(
    confidence: Floats, share: Floats, weights: Floats
) -> tuple[float | None, tuple[float, float] | None, float | None]:
    """ECE, its interval, and what a perfectly calibrated model would show: the same scatter about a gap of zero."""
    if not len(confidence):
        return None, None, None
    bins = np.eye(metrics.ECE_BINS)[metrics.confidence_bins(confidence)]
    gap = share - confidence
    total = weights.sum(axis=1)
    count = bins.sum(axis=0)
    centered = gap - bins @ (gap @ bins / np.maximum(count, 1))
    ece = np.abs(gap @ bins).sum() / len(gap)
    resampled = np.abs((weights * gap) @ bins).sum(axis=1) / total
    perfect = np.abs((weights * centered) @ bins).sum(axis=1) / total
    return float(ece), interval(resampled), float(perfect.mean())


def _slope(logarithm: Floats, shares: Floats) -> float | None:
    if not len(logarithm):
        return None

    def loss(slope: float) -> float:
        scaled = logarithm * slope
        top = scaled.max(axis=1)
        return float((top + np.log(np.exp(scaled - top[:, None]).sum(axis=1)) - (shares * scaled).sum(axis=1)).mean())

    return float(minimize_scalar(loss, bounds=(0.05, 20.0), method="bounded", options={"xatol": 1e-4}).x)


def _resampled_share(hit: NDArray[np.bool_], among: NDArray[np.bool_], weights: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(weights @ (hit & among) / (weights @ among), dtype=np.float64)


def _row_means(values: Floats) -> Floats:
    """Mean of each row without its NaN: the classes that a resampled set has."""
    known = np.isfinite(values)
    return np.asarray(np.where(known, values, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1), dtype=np.float64)


def _mean(values: Floats) -> float | None:
    return float(values.mean()) if len(values) else None


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
