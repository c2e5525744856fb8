"""Class priors: which is assumed, and posteriors moved from one to another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from fer_perception.labels import LABELS, LABELS_WITH_CONTEMPT, NEUTRAL
from fer_perception.settings.pipeline_settings import PipelineSettings
from fer_perception.temporal.class_prior import assumed_prior, takes_neutral_share, with_prior
from fer_perception.temporal.smoother import FILTERS, create_smoother

FREQUENT_HAPPY = (0.14, 0.02, 0.14, 0.25, 0.17, 0.11, 0.17)
EVEN = (1 / 7,) * 7


def test_without_a_share_the_prior_is_that_of_the_model() -> None:
    np.testing.assert_array_equal(assumed_prior(LABELS, FREQUENT_HAPPY, 0.0), FREQUENT_HAPPY)


@pytest.mark.parametrize("labels", [LABELS, LABELS_WITH_CONTEMPT, ("neutral", "happy")])
def test_the_share_is_of_neutral_and_the_rest_is_spread_evenly(labels: tuple[str, ...]) -> None:
    model_prior = np.arange(1.0, len(labels) + 1)
    prior = assumed_prior(labels, model_prior / model_prior.sum(), 0.7)
    assert prior[labels.index(NEUTRAL)] == pytest.approx(0.7)
    assert prior.sum() == pytest.approx(1.0)
    others = np.delete(prior, labels.index(NEUTRAL))
    np.testing.assert_allclose(others, 0.3 / len(others))


@pytest.mark.parametrize("labels", [("happy", "sad"), ("neutral",)])
def test_without_neutral_among_others_the_share_has_no_effect(labels: tuple[str, ...]) -> None:
    prior = np.full(len(labels), 1 / len(labels))
    assert not takes_neutral_share(labels)
    np.testing.assert_array_equal(assumed_prior(labels, prior, 0.7), prior)


def test_a_prior_of_other_classes_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(2,\); expected one share for each of angry"):
        assumed_prior(LABELS, (0.5, 0.5), 0.0)


def test_posteriors_follow_bayes() -> None:
    likelihood = np.array([[0.2, 0.4, 0.1], [0.9, 0.01, 0.3]])
    before, after = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.1, 0.8])
    posterior, expected = (
        likelihood * prior / (likelihood * prior).sum(axis=1, keepdims=True) for prior in (before, after)
    )
    np.testing.assert_allclose(with_prior(posterior, before, after), expected, atol=1e-15)
    assert with_prior(posterior, before, before.copy()) is posterior, "to the last bit"


def exports(seed: int, frames: int, priors: Sequence[Sequence[float]]) -> list[np.ndarray]:
    """What one network says of the same frames, exported under several declared priors, in float32 as models answer."""
    rng = np.random.default_rng(seed)
    likelihood = np.exp(rng.normal(0.0, 1.5, (frames, 7)) + np.repeat(rng.normal(0.0, 2.0, (frames // 15, 7)), 15, 0))
    posteriors = [likelihood * np.array(prior) for prior in priors]
    return [(p / p.sum(axis=1, keepdims=True)).astype(np.float32) for p in posteriors]


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("share", [0.05, 0.6, 0.95])
def test_the_declared_prior_of_an_export_does_not_show_in_the_scores(name: str, share: float) -> None:
    settings = PipelineSettings(filter=name, neutral_share=share)
    priors = (EVEN, FREQUENT_HAPPY)
    smoothers = [create_smoother(LABELS, settings, prior=prior) for prior in priors]
    for i, rows in enumerate(zip(*exports(3, 150, priors), strict=True)):
        first, second = (s.update(row, i / 30) for s, row in zip(smoothers, rows, strict=True))
        np.testing.assert_allclose(first.scores, second.scores, atol=1e-5)
        assert (first.emotion, first.phase) == (second.emotion, second.phase)
        if i % 40 == 39:
            first, second = (s.update(None, i / 30 + 0.01) for s in smoothers)
            np.testing.assert_allclose(first.scores, second.scores, atol=1e-5)


def answers(prior: Sequence[float], seed: int, **settings: float) -> str:
    """Label after 90 frames of a face that shows neutral a little more than disgusted."""
    mean = np.array([0.09, 0.22, 0.09, 0.09, 0.09, 0.09, 0.33])
    smoother = create_smoother(LABELS, PipelineSettings(**settings), prior=prior)
    rng = np.random.default_rng(seed)
    for i, row in enumerate(rng.dirichlet(40 * mean, 90)):
        out = smoother.update(row, i / 30)
    return out.emotion


def test_a_network_trained_on_balanced_data_is_not_corrected_for_fer2013() -> None:
    """A rare class must not be believed because it was rare in the training of another network."""
    assert [answers(EVEN, seed) for seed in range(30)].count("neutral") == 30
    assert [answers(FREQUENT_HAPPY, seed) for seed in range(30)].count("disgusted") > 25
