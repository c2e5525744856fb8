"""Figures against the votes: on answers whose figures are known by construction, and on what ships."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from fer_perception.labels import LABELS
from fer_training.evaluation.bootstrap import cluster_weights
from fer_training.evaluation.model_specs import Networks, parse_model_spec
from fer_training.evaluation.real_faces import load_posed_faces, load_voted_faces, posed_figures
from fer_training.evaluation.vote_figures import majority_figures, share_figures

#: FER+'s column of each of our classes.
COLUMN = (4, 5, 6, 1, 3, 2, 0)
SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"


def votes_for(*rows: dict[str, int]) -> np.ndarray:
    votes = np.zeros((len(rows), 10), np.uint8)
    columns = {**dict(zip(LABELS, COLUMN, strict=True)), "contempt": 7, "unknown": 8}
    for vote, row in zip(votes, rows, strict=True):
        for name, count in row.items():
            vote[columns[name]] = count
    return votes


def sure(*names: str) -> np.ndarray:
    return np.eye(7)[[LABELS.index(name) for name in names]] * 0.93 + 0.01


def drawn(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and ten votes drawn from them."""
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.full(7, 0.4), count)
    votes = np.zeros((count, 10), np.uint8)
    votes[:, COLUMN] = [random.multinomial(10, row / row.sum()) for row in probabilities]
    return probabilities, votes


def test_only_images_with_more_than_five_votes_for_one_of_the_seven_are_judged() -> None:
    votes = votes_for(
        {"happy": 10}, {"sad": 6, "neutral": 4}, {"angry": 5, "sad": 5}, {"contempt": 9, "happy": 1}, {"unknown": 10}
    )
    figures = majority_figures(sure("happy", "neutral", "angry", "happy", "happy"), votes, np.ones((4, 5)))
    assert figures["n"] == 2
    assert figures["accuracy"] == 0.5
    assert figures["vote_weighted_accuracy"] == 10 / 16
    assert figures["balanced_accuracy"] == 0.5
    assert figures["recall"]["happy"] == {
        "recall": 1.0,
        "count": 1,
        "standard_error": pytest.approx(math.sqrt(0.6 * 0.4 / 5)),
    }
    assert figures["recall"]["scared"] == {"recall": None, "count": 0, "standard_error": None}
    assert figures["operating_curve"]["negative"] == 1


def test_balanced_accuracy_of_resampled_sets_counts_the_classes_they_have() -> None:
    votes = votes_for({"happy": 10}, {"disgusted": 10}, {"happy": 10})
    weights = np.array([[1.0, 0.0, 2.0], [1.0, 1.0, 1.0]])
    figures = majority_figures(sure("happy", "sad", "happy"), votes, weights)
    assert figures["balanced_accuracy_interval"] == pytest.approx((0.5125, 0.9875))


def test_shares_that_are_met_exactly_have_no_error() -> None:
    votes = votes_for({"happy": 7, "neutral": 3}, {"sad": 2, "angry": 2, "contempt": 6}, {"unknown": 9, "contempt": 1})
    probabilities = np.full((3, 7), 1e-9)
    probabilities[0, [3, 6]] = 0.7, 0.3
    probabilities[1, [0, 4]] = 0.5, 0.5
    figures = share_figures(probabilities, votes, np.ones((3, 3)))
    assert figures["n"] == 2
    assert figures["nll"] == pytest.approx(figures["nll_of_the_shares"], abs=1e-6)
    assert figures["ece"] == pytest.approx(0, abs=1e-6)
    assert figures["agreement"] == pytest.approx(0.6)


def test_a_calibrated_model_is_seen_to_be_one_and_an_overconfident_one_not() -> None:
    probabilities, votes = drawn(4000)
    weights = cluster_weights(np.arange(4000), draws=200)
    good = share_figures(probabilities, votes, weights)
    assert good["calibration_slope"] == pytest.approx(1, abs=0.03)
    assert good["ece"] < 2 * good["ece_perfect"]
    sharp = probabilities**2
    bad = share_figures(sharp / sharp.sum(axis=1, keepdims=True), votes, weights)
    assert bad["calibration_slope"] == pytest.approx(0.5, abs=0.03)
    assert bad["ece"] > 10 * bad["ece_perfect"]
    assert bad["ece_interval"][0] < bad["ece"] < bad["ece_interval"][1]
    assert bad["nll"] > good["nll"]


@pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared/data here")
def test_the_figures_of_what_ships() -> None:
    """Accuracy, balanced accuracy and neutral called negative on validation; CK+48 seven-way and six-way, in %."""
    voted, posed = (
        load_voted_faces(SHARED / "fer2013_trainval.npz", draws=20),
        load_posed_faces(SHARED / "CK+48", draws=20),
    )
    networks = Networks(voted.frequencies)
    expected = {
        "arch1_fer2013": (79.1, 80.3, 35.8, 79.4, 82.1),
        "arch1_ferplus": (90.3, 76.0, 3.5, 63.9, 76.3),
        "arch1_ferplus@votes": (89.5, 86.9, 9.9, 74.5, 83.0),
        "mix:arch1_fer2013+arch1_ferplus@mean^0.6": (88.4, 87.2, 14.5, 78.6, 86.3),
    }
    measured = {}
    for text in expected:
        spec = parse_model_spec(text)
        majority = majority_figures(networks.probabilities(spec, voted.images, "v"), voted.votes, voted.weights)
        assert majority["n"] == 2854
        ck = posed_figures(networks.probabilities(spec, posed.images, "p"), posed.truth, posed.weights)
        shipped = majority["operating_curve"]["as_shipped"]["neutral_called_negative"]
        values = (majority["accuracy"], majority["balanced_accuracy"], shipped, ck["seven_way"], ck["six_way"])
        measured[text] = tuple(round(100 * value, 1) for value in values)
    for text, values in expected.items():
        assert measured[text] == pytest.approx(values, abs=0.15), text
