"""Next-vote targets: they denoise shares, listen to the label, and go with the images."""

from __future__ import annotations

import numpy as np
import pytest

from fer_training.data.samples import FERPLUS_COLUMNS
from fer_training.distillation.next_vote import next_vote, seven_class_targets

NEUTRAL, SADNESS, UNKNOWN_VOTE = (FERPLUS_COLUMNS.index(name) for name in ("neutral", "sadness", "unknown"))


def drawn_votes(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Votes, labels and true shares of images that are neutral or sad to a degree of their own."""
    rng = np.random.default_rng(seed)
    sad = rng.choice([0.1, 0.8], count)
    shares = np.zeros((count, 10))
    shares[:, NEUTRAL], shares[:, SADNESS] = 1 - sad, sad
    votes = np.array([rng.multinomial(10, row) for row in shares], dtype=np.uint8)
    labels = np.where(rng.random(count) < np.where(sad > 0.5, 0.9, 0.1), 4, 6)
    return votes, labels.astype(np.int64), shares


def test_it_is_nearer_to_the_truth_than_the_shares_are() -> None:
    votes, labels, truth = drawn_votes(3000)
    answer = next_vote(votes, labels, classes=7)
    assert answer.shape == (3000, 10)
    assert np.allclose(answer.sum(axis=1), 1, atol=1e-5)
    error = np.abs(answer - truth).mean()
    assert error < 0.5 * np.abs(votes / 10 - truth).mean()


def test_the_label_is_one_more_annotator() -> None:
    votes, labels, _ = drawn_votes(3000)
    answer = next_vote(votes, labels, classes=7)
    undecided = (votes[:, SADNESS] >= 4) & (votes[:, SADNESS] <= 5)
    sad, neutral = undecided & (labels == 4), undecided & (labels == 6)
    assert answer[sad, SADNESS].mean() > answer[neutral, SADNESS].mean() + 0.05


def test_the_same_seed_gives_the_same_targets() -> None:
    votes, labels, _ = drawn_votes(200)
    assert np.array_equal(next_vote(votes, labels, classes=7), next_vote(votes, labels, classes=7))


def test_unknown_votes_are_spread_and_contempt_is_left_out() -> None:
    rows = np.zeros((2, 10), dtype=np.float32)
    rows[0, [NEUTRAL, UNKNOWN_VOTE]] = 0.3, 0.7
    rows[1, [SADNESS, FERPLUS_COLUMNS.index("contempt")]] = 0.5, 0.5
    targets = seven_class_targets(rows, np.array(["a", "b"]))
    assert targets[0] == pytest.approx([0.1] * 6 + [0.4], abs=1e-6)
    assert targets[1] == pytest.approx([0, 0, 0, 0, 1, 0, 0], abs=1e-6)


def test_repeats_of_an_image_share_their_votes() -> None:
    rows = np.zeros((3, 10), dtype=np.float32)
    rows[0, NEUTRAL] = rows[1, SADNESS] = rows[2, SADNESS] = 1
    targets = seven_class_targets(rows, np.array(["x", "x", "y"]))
    assert targets[0] == pytest.approx(targets[1])
    assert targets[0, [4, 6]] == pytest.approx([0.5, 0.5])
    assert targets[2, 4] == pytest.approx(1)


def test_without_votes_it_says_so() -> None:
    with pytest.raises(ValueError, match="no vote"):
        next_vote(np.zeros((4, 10), dtype=np.uint8), np.zeros(4, dtype=np.int64), classes=7)
