"""The figures, against values worked out by hand or by brute force."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from fer_training.evaluation import metrics

# Five images, three classes; predictions are 0, 1, 1, 2, 0 and the truth is 0, 1, 0, 2, 2.
PROBABILITIES = np.array(
    [[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.6, 0.1], [0.0, 0.0, 1.0], [0.5, 0.25, 0.25]], dtype=np.float64
)
LABELS = np.array([0, 1, 0, 2, 2])
CONFUSION = np.array([[1, 1, 0], [0, 1, 0], [1, 0, 1]])


def test_confusion_matrix_has_true_classes_in_rows() -> None:
    assert np.array_equal(metrics.confusion_matrix(LABELS, PROBABILITIES.argmax(axis=1), 3), CONFUSION)


def test_balanced_accuracy_is_the_mean_recall() -> None:
    assert metrics.balanced_accuracy(CONFUSION) == pytest.approx((1 / 2 + 1 + 1 / 2) / 3)


def test_absent_classes_do_not_count_as_missed() -> None:
    confusion = np.array([[3, 1, 0], [0, 2, 0], [0, 0, 0]])
    assert metrics.balanced_accuracy(confusion) == pytest.approx((3 / 4 + 1) / 2)
    assert metrics.macro_f1(confusion) == pytest.approx((6 / 7 + 4 / 5) / 2)


def test_macro_f1() -> None:
    # F1 = 2 hits / (support + predicted): 2/4, 2/3, 2/3.
    assert metrics.macro_f1(CONFUSION) == pytest.approx((2 / 4 + 2 / 3 + 2 / 3) / 3)


def test_per_class_figures() -> None:
    figures = metrics.per_class_figures(CONFUSION, ["a", "b", "c"])
    assert figures["a"] == {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 2}
    assert figures["b"] == {"precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3), "support": 1}
    assert figures["c"] == {"precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3), "support": 2}


def test_a_class_without_images_has_no_recall() -> None:
    figures = metrics.per_class_figures(np.array([[1, 0], [0, 0]]), ["a", "b"])
    assert figures["b"] == {"precision": None, "recall": None, "f1": None, "support": 0}


def test_negative_log_likelihood() -> None:
    expected = -(math.log(0.7) + math.log(0.8) + math.log(0.3) + math.log(1.0) + math.log(0.25)) / 5
    assert metrics.negative_log_likelihood(PROBABILITIES, LABELS) == pytest.approx(expected)


def test_a_zero_probability_does_not_make_the_likelihood_infinite() -> None:
    value = metrics.negative_log_likelihood(np.array([[0.0, 1.0]]), np.array([0]))
    assert value == pytest.approx(-math.log(metrics.SMALLEST_PROBABILITY))


def test_brier_score() -> None:
    rows = [
        0.3**2 + 0.2**2 + 0.1**2,
        0.1**2 + 0.2**2 + 0.1**2,
        0.7**2 + 0.6**2 + 0.1**2,
        0.0,
        0.5**2 + 0.25**2 + 0.75**2,
    ]
    assert metrics.brier_score(PROBABILITIES, LABELS) == pytest.approx(sum(rows) / 5)


def test_bins_are_closed_above() -> None:
    edges = np.array([0.0, 1 / 15, 1 / 15 + 1e-9, 0.5, 1.0])
    assert metrics.confidence_bins(edges).tolist() == [0, 0, 1, 7, 14]


def test_calibration_error_by_hand() -> None:
    # With 2 bins: confidence 0.5 (wrong) alone below; 0.7, 0.8, 1.0 right and 0.6 wrong above.
    low = abs(0.0 - 0.5) * 1
    high = abs(3 / 4 - (0.7 + 0.8 + 0.6 + 1.0) / 4) * 4
    assert metrics.expected_calibration_error(PROBABILITIES, LABELS, bins=2) == pytest.approx((low + high) / 5)


def test_reliability_counts_every_image_once() -> None:
    diagram = metrics.reliability(PROBABILITIES, LABELS, bins=4)
    assert diagram.count.tolist() == [0, 1, 2, 2]
    assert np.isnan(diagram.accuracy[0])
    assert diagram.accuracy[1:].tolist() == [0.0, 0.5, 1.0]
    assert diagram.confidence[1:] == pytest.approx([0.5, 0.65, 0.9])


def test_perfect_calibration_error_against_all_outcomes() -> None:
    probabilities = PROBABILITIES[:4].copy()
    probabilities[3] = [0.45, 0.35, 0.2]
    confidence = probabilities.max(axis=1)
    # Every way in which the four answers may be right or wrong, weighted with its probability.
    expected = 0.0
    for right in itertools.product([0, 1], repeat=4):
        chance = math.prod(c if r else 1 - c for c, r in zip(confidence, right, strict=True))
        bins = np.minimum((confidence * 3).astype(int), 2)
        error = sum(abs(sum(right[i] - confidence[i] for i in range(4) if bins[i] == b)) for b in range(3)) / 4
        expected += chance * error
    measured = metrics.perfect_calibration_error(probabilities, bins=3, draws=20000, seed=3)
    assert measured == pytest.approx(expected, rel=0.02)


def test_perfect_calibration_error_is_repeatable() -> None:
    first, second = (metrics.perfect_calibration_error(PROBABILITIES, seed=7) for _ in range(2))
    assert first == second


def test_labels_drawn_from_the_probabilities_show_the_perfect_error() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet([0.6, 0.8, 1.0], size=1500)
    errors = []
    for _ in range(60):
        labels = (rng.random(len(probabilities))[:, None] > probabilities.cumsum(axis=1)).sum(axis=1).clip(max=2)
        errors.append(metrics.expected_calibration_error(probabilities, labels))
    assert metrics.perfect_calibration_error(probabilities) == pytest.approx(np.mean(errors), rel=0.08)


def test_the_interval_holds_the_error_and_narrows_with_more_images() -> None:
    rng = np.random.default_rng(1)
    probabilities = rng.dirichlet([0.6, 0.8, 1.0], size=4000)
    labels = np.zeros(4000, dtype=np.int64)
    error = metrics.expected_calibration_error(probabilities, labels)
    low, high = metrics.calibration_error_interval(probabilities, labels, draws=300)
    few_low, few_high = metrics.calibration_error_interval(probabilities[:200], labels[:200], draws=300)
    assert low < error < high
    assert few_high - few_low > 2 * (high - low)


@pytest.mark.parametrize("level", [0.95, 0.5])
def test_the_interval_is_that_of_the_errors_of_resampled_images(level: float) -> None:
    rng = np.random.default_rng(2)
    probabilities = rng.dirichlet([0.6, 0.8, 1.0], size=150)
    # The truth is often the second choice: too sure in some bins, not sure enough in others.
    labels = np.where(rng.random(150) < 0.6, probabilities.argmax(axis=1), probabilities.argsort(axis=1)[:, 1])
    draws = np.random.default_rng(7)
    errors = []
    for _ in range(300):
        chosen = draws.integers(0, 150, 150)
        errors.append(metrics.expected_calibration_error(probabilities[chosen], labels[chosen], bins=5))
    tail = (1 - level) / 2
    measured = metrics.calibration_error_interval(probabilities, labels, bins=5, draws=300, seed=7, level=level)
    assert measured == pytest.approx((np.quantile(errors, tail), np.quantile(errors, 1 - tail)))
    if level == 0.95:
        assert metrics.calibration_error_interval(probabilities, labels, bins=5, draws=300, seed=7) == measured
