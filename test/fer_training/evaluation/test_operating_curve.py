"""The operating curve against a search through all factors of neutral."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

from fer_perception.errors import ModelError
from fer_perception.labels import LABELS
from fer_training.evaluation import operating_curve
from fer_training.evaluation.bootstrap import cluster_weights
from fer_training.evaluation.operating_curve import NEGATIVE, OperatingCurve

NEUTRAL = LABELS.index("neutral")
BAD = [LABELS.index(name) for name in NEGATIVE]


def some_answers(count: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = random.integers(0, 7, count)
    logits = random.normal(0, 1.5, (count, 7))
    logits[np.arange(count), truth] += 1.5
    probabilities = np.exp(logits)
    return probabilities / probabilities.sum(axis=1, keepdims=True), truth


def by_hand(
    probabilities: np.ndarray, truth: np.ndarray, factor: float, weights: np.ndarray | None = None
) -> tuple[float, float]:
    moved = probabilities.copy()
    moved[:, NEUTRAL] *= factor
    said = moved.argmax(axis=1)
    weights = np.ones(len(truth)) if weights is None else weights
    calm, upset = truth == NEUTRAL, np.isin(truth, BAD)
    return (
        float(np.average(np.isin(said, BAD)[calm], weights=weights[calm])),
        float(np.average((said == truth)[upset], weights=weights[upset])),
    )


def test_the_example_of_the_class() -> None:
    assert doctest.testmod(operating_curve).failed == 0


@pytest.mark.parametrize("factor", [0.0, 0.2, 1.0, 3.7, 50.0])
def test_a_point_is_what_the_moved_probabilities_say(factor: float) -> None:
    probabilities, truth = some_answers()
    point = OperatingCurve(probabilities, truth, LABELS).at(factor)
    assert (point.false_alarms, point.named_rightly) == pytest.approx(by_hand(probabilities, truth, factor))


@pytest.mark.parametrize("share", [0.0, 0.05, 0.08, 0.3])
def test_it_is_read_at_the_smallest_factor_that_keeps_to_the_false_alarms(share: float) -> None:
    probabilities, truth = some_answers()
    reading = OperatingCurve(probabilities, truth, LABELS).read(share)
    assert reading.false_alarms <= share
    grid = np.geomspace(1e-3, 1e4, 4000)
    allowed = [named for alarms, named in (by_hand(probabilities, truth, f) for f in grid) if alarms <= share]
    assert reading.named_rightly == pytest.approx(max(allowed), abs=1e-12)
    assert by_hand(probabilities, truth, reading.factor * 0.999)[0] > share


def test_a_network_that_never_errs_is_read_where_it_never_says_neutral() -> None:
    probabilities = np.full((2, 7), 0.01)
    probabilities[0, LABELS.index("happy")] = 0.4
    probabilities[0, NEUTRAL] = 0.5
    probabilities[1, 0] = 0.9
    reading = OperatingCurve(probabilities, np.array([NEUTRAL, 0]), LABELS).read(0.05)
    assert (reading.false_alarms, reading.named_rightly, reading.factor) == (0.0, 1.0, 0.0)


def test_resampled_sets_are_read_each_at_its_own_factor() -> None:
    probabilities, truth = some_answers(120)
    curve = OperatingCurve(probabilities, truth, LABELS)
    weights = cluster_weights(np.arange(120) // 3, draws=20)
    resampled = curve.resampled(0.08, weights)
    for weight, named in zip(weights, resampled, strict=True):
        copies = np.repeat(np.arange(120), weight.astype(int))
        assert named == pytest.approx(
            OperatingCurve(probabilities[copies], truth[copies], LABELS).read(0.08).named_rightly
        )
    assert curve.resampled(0.08, np.ones((1, 120)))[0] == curve.read(0.08).named_rightly


def test_sets_without_a_neutral_or_a_negative_face_have_no_figure() -> None:
    probabilities, truth = some_answers(50)
    curve = OperatingCurve(probabilities, truth, LABELS)
    weights = np.ones((2, 50))
    weights[0, truth == NEUTRAL] = 0
    weights[1, np.isin(truth, BAD)] = 0
    assert np.isnan(curve.resampled(0.05, weights)).all()


def test_classes_without_neutral_have_no_curve() -> None:
    with pytest.raises(ModelError, match="neutral"):
        OperatingCurve(np.ones((1, 2)) / 2, np.zeros(1, np.int64), ("happy", "sad"))
