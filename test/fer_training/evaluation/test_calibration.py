"""Temperature scaling on logits whose right temperature is known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from fer_training.evaluation import metrics
from fer_training.evaluation.calibration import (
    CalibrationError,
    cross_fit,
    fit_scaling,
    fit_temperature,
    image_hashes,
    softmax,
    two_folds,
)


def synthetic(temperature: float, *, n: int = 6000) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Logits that are `temperature` times too large for the labels drawn from them."""
    rng = np.random.default_rng(5)
    logits = rng.normal(0.0, 1.5, (n, 7))
    cumulative = softmax(logits).cumsum(axis=1)
    labels = (rng.random(n)[:, None] > cumulative).sum(axis=1).clip(max=6)
    return logits * temperature, labels


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.7, 4.0])
def test_a_known_temperature_is_found(temperature: float) -> None:
    logits, labels = synthetic(temperature)
    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.05)


def test_no_other_temperature_is_likelier() -> None:
    logits, labels = synthetic(2.3, n=800)
    best = fit_temperature(logits, labels)
    loss = metrics.negative_log_likelihood(softmax(logits, best), labels)
    for factor in (0.98, 1.02):
        assert metrics.negative_log_likelihood(softmax(logits, best * factor), labels) > loss


def test_log_probabilities_give_the_same_temperature_as_logits() -> None:
    logits, labels = synthetic(1.6, n=1000)
    assert fit_temperature(np.log(softmax(logits)), labels) == pytest.approx(fit_temperature(logits, labels), rel=1e-4)


def test_softmax_is_stable_and_flatter_when_hotter() -> None:
    logits = np.array([[1000.0, 999.0, 0.0]])
    assert softmax(logits)[0] == pytest.approx([1 / (1 + np.exp(-1)), 1 / (1 + np.exp(1)), 0.0])
    assert softmax(logits, 10.0)[0, 0] < softmax(logits)[0, 0]


@pytest.mark.parametrize(
    ("logits", "labels"),
    [
        (np.eye(3) * 4.0, [0, 1, 2]),  # all right
        (np.eye(3) * 4.0, [1, 2, 0]),  # all wrong
        (np.zeros((3, 3)), [0, 1, 2]),  # all alike
    ],
)
def test_that_there_is_no_best_temperature_is_said(
    caplog: pytest.LogCaptureFixture, logits: np.ndarray, labels: list[int]
) -> None:
    fit_temperature(logits, np.array(labels))
    assert "no temperature is the best for these 3 images" in caplog.text
    caplog.clear()
    fit_temperature(np.array([[2.0, 0.0], [2.0, 0.0], [2.0, 0.0]]), np.array([0, 0, 1]))
    assert not caplog.text


def test_labels_out_of_range_are_refused() -> None:
    with pytest.raises(CalibrationError, match="from -1 to 1"):
        fit_temperature(np.zeros((2, 3)), np.array([-1, 1]))


def test_broken_logits_are_refused() -> None:
    with pytest.raises(CalibrationError, match="NaN"):
        fit_temperature(np.array([[np.nan, 0.0]]), np.array([0]))


def made_images(n: int) -> NDArray[np.uint8]:
    return np.random.default_rng(2).integers(0, 256, (n, 8, 8), dtype=np.uint8)


def test_folds_are_stratified_and_do_not_depend_on_the_order() -> None:
    images, labels = made_images(90), np.repeat([0, 1, 2], [50, 30, 10])
    folds = two_folds(image_hashes(images), labels)
    for label, half in ((0, 25), (1, 15), (2, 5)):
        assert (folds[labels == label] == 0).sum() == half
    order = np.random.default_rng(0).permutation(90)
    assert np.array_equal(two_folds(image_hashes(images[order]), labels[order]), folds[order])


def test_copies_of_a_image_stay_in_one_fold_even_with_different_labels() -> None:
    """The first label deals them out, the other labels only the images that are left: all shares stay equal."""
    images, labels = np.concatenate([made_images(20), made_images(40)]), np.repeat([0, 1], [20, 40])
    folds = two_folds(image_hashes(images), labels)
    assert np.array_equal(folds[:20], folds[20:40])
    assert np.bincount(folds[:20]).tolist() == [10, 10]
    assert np.bincount(folds[40:]).tolist() == [10, 10]


def test_copies_with_one_label_count_once() -> None:
    hashes = ["a", "a", "a", "b", "c", "c", "d"]
    assert two_folds(hashes, np.zeros(7, dtype=np.int64)).tolist() == [0, 0, 0, 1, 0, 0, 1]


def test_cross_fitting_uses_the_other_folds_temperature() -> None:
    logits, labels = synthetic(2.0, n=400)
    hashes = image_hashes(made_images(400))
    fitted = cross_fit(logits, labels, hashes)
    folds = two_folds(hashes, labels)
    other = fit_temperature(logits[folds == 1], labels[folds == 1])
    assert fitted.temperatures[1] == pytest.approx(other)
    assert fitted.probabilities[folds == 0] == pytest.approx(softmax(logits[folds == 0], other))
    assert fitted.shipped == pytest.approx(fit_temperature(logits, labels))


def test_cross_fitting_repairs_calibration() -> None:
    logits, labels = synthetic(3.0)
    fitted = cross_fit(logits, labels, image_hashes(made_images(len(labels))))
    before = metrics.expected_calibration_error(softmax(logits), labels)
    after = metrics.expected_calibration_error(fitted.probabilities, labels)
    assert before > 0.1
    assert after < metrics.perfect_calibration_error(fitted.probabilities) + 0.01


def test_a_single_image_makes_no_folds() -> None:
    with pytest.raises(CalibrationError, match="two folds"):
        cross_fit(np.zeros((1, 2)), np.array([0]), ["a"])


class TestBiases:
    def test_finds_the_temperature_and_the_biases_that_outputs_were_made_with(self) -> None:
        rng = np.random.default_rng(3)
        biases = np.array([0.8, -0.5, -0.3])
        logits = rng.normal(0.0, 3.0, (4000, 3))
        targets = softmax(logits / 1.7 + biases)
        fitted = fit_scaling(logits, targets)
        assert fitted.temperature == pytest.approx(1.7, abs=1e-3)
        np.testing.assert_allclose(fitted.biases, biases, atol=1e-3)
        np.testing.assert_allclose(fitted.apply(logits), targets, atol=1e-3)

    def test_probabilities_come_out_with_the_class_frequencies_of_the_targets(self) -> None:
        logits, labels = synthetic(2.0, n=3000)
        targets = np.eye(logits.shape[1])[labels]
        skewed = targets * np.where(labels == 0, 1.0, 0.3)[:, None] + 0.7 * np.eye(logits.shape[1])[0] * (
            labels != 0
        ).reshape(-1, 1)
        fitted = fit_scaling(logits, skewed)
        np.testing.assert_allclose(fitted.apply(logits).mean(axis=0), skewed.mean(axis=0), atol=1e-4)

    def test_a_class_nobody_shows_has_no_bias(self) -> None:
        logits, labels = synthetic(1.0, n=200)
        targets = np.eye(logits.shape[1])[np.where(labels == 1, 0, labels)]
        with pytest.raises(CalibrationError, match=r"no image shows the classes number \[1\]"):
            fit_scaling(logits, targets)

    def test_bad_shapes_and_values_are_refused(self) -> None:
        with pytest.raises(CalibrationError, match=r"expected \(N, K\) twice"):
            fit_scaling(np.zeros((2, 3)), np.zeros((2, 2)))
        with pytest.raises(CalibrationError, match="NaN or infinite"):
            fit_scaling(np.full((2, 2), np.nan), np.full((2, 2), 0.5))
