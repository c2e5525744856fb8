"""Clusters of near-duplicates, and sets resampled by clusters."""

from __future__ import annotations

import numpy as np
import pytest

from fer_training.data.near_duplicates import near_duplicate_clusters
from fer_training.evaluation.bootstrap import cluster_weights, interval, standard_error


def shots(count: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 255, (count, 12, 12))
    return np.kron(coarse, np.ones((4, 4))).astype(np.uint8)


def test_another_brightness_or_coding_is_the_same_shot() -> None:
    images = shots(5)
    noise = np.random.default_rng(1).normal(0, 6, images[0].shape)
    darker = (images[0] * 0.6 + 20 + noise).clip(0, 255).astype(np.uint8)
    clusters = near_duplicate_clusters(np.concatenate([images, darker[None], images[3:4]]))
    assert clusters[5] == clusters[0]
    assert clusters[6] == clusters[3]
    assert len(set(clusters.tolist())) == 5


def test_near_duplicates_of_near_duplicates_are_one_cluster() -> None:
    first, other = shots(2)
    steps = [(first * (1 - t) + other * t).astype(np.uint8) for t in np.linspace(0, 1, 12)]
    pairs = near_duplicate_clusters(np.array([steps[0], steps[-1]]))
    assert len(set(pairs.tolist())) == 2
    assert len(set(near_duplicate_clusters(np.array(steps)).tolist())) == 1


def test_images_without_contrast_are_alike_and_like_nothing_else() -> None:
    images = np.concatenate([np.full((2, 48, 48), 90, np.uint8), np.zeros((1, 48, 48), np.uint8), shots(1)])
    clusters = near_duplicate_clusters(images)
    assert len(set(clusters[:3].tolist())) == 1
    assert clusters[3] not in clusters[:3]


def test_more_images_than_one_block() -> None:
    images = shots(1100)
    clusters = near_duplicate_clusters(np.concatenate([images, images[:1]]))
    assert len(set(clusters.tolist())) == 1100
    assert clusters[-1] == clusters[0]


def test_a_cluster_is_drawn_as_a_whole_and_equally_often_for_the_same_seed() -> None:
    clusters = np.array(["b", "a", "b", "c"])
    weights = cluster_weights(clusters, draws=50)
    assert weights.shape == (50, 4)
    np.testing.assert_array_equal(weights[:, 0], weights[:, 2])
    np.testing.assert_array_equal(weights[:, [0, 1, 3]].sum(axis=1), 3)
    np.testing.assert_array_equal(weights, cluster_weights(clusters, draws=50))


def test_intervals_of_clusters_are_wider_than_those_of_as_many_single_images() -> None:
    right = np.repeat(np.random.default_rng(0).random(100) < 0.7, 4).astype(float)

    def width(clusters: np.ndarray) -> float:
        weights = cluster_weights(clusters, draws=400)
        around = interval(weights @ right / weights.sum(axis=1))
        assert around is not None
        return around[1] - around[0]

    assert width(np.arange(400) // 4) == pytest.approx(2 * width(np.arange(400)), rel=0.2)


def test_no_images_have_no_weights_and_no_interval() -> None:
    assert cluster_weights(np.zeros(0), draws=3).shape == (3, 0)
    assert interval(np.full(4, np.nan)) is None
    assert near_duplicate_clusters(np.zeros((0, 48, 48), np.uint8)).shape == (0,)


def test_three_of_three_are_no_certainty() -> None:
    assert standard_error(3, 3) == pytest.approx(np.sqrt(5 / 7 * 2 / 7 / 7))
    assert standard_error(0, 0) is None
    assert standard_error(5000, 10000) == pytest.approx(0.005, rel=1e-3)
