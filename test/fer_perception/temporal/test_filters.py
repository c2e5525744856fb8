"""The temporal filters: what they remember, at any frame rate."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm

from fer_perception.benchmark.temporal.frame_outputs import FER2013_COUNTS
from fer_perception.labels import LABELS
from fer_perception.settings.pipeline_settings import PipelineSettings
from fer_perception.temporal.filters import EmaFilter, NoFilter, TemporalFilter
from fer_perception.temporal.hidden_markov import HmmFilter, HmmParameters
from fer_perception.temporal.smoother import FILTERS, create_filter

PRIOR = FER2013_COUNTS / FER2013_COUNTS.sum()
HAPPY, NEUTRAL = LABELS.index("happy"), LABELS.index("neutral")


def peaked(label: int, p: float = 0.7) -> np.ndarray:
    out = np.full(len(LABELS), (1 - p) / (len(LABELS) - 1))
    out[label] = p
    return out


def hmm(dwell: float = 1.75, correlation: float = 0.3) -> HmmFilter:
    return HmmFilter(HmmParameters(PRIOR, dwell, correlation))


def independent(rng: np.random.Generator, label: int, count: int) -> np.ndarray:
    """Frames of one expression that err independently: noisy log-probabilities that favor `label` a little."""
    logits = np.log(PRIOR) + rng.normal(0.0, 1.2, (count, len(LABELS)))
    logits[:, label] += 1.0
    exp = np.exp(logits)
    return np.asarray(exp / exp.sum(axis=1, keepdims=True))


@pytest.fixture(params=FILTERS)
def make(request: pytest.FixtureRequest) -> Callable[[], TemporalFilter]:
    """Makes a new filter of one kind."""
    return lambda: create_filter(PRIOR, PipelineSettings(filter=request.param, hmm_correlation_time=0.3))


class TestEveryFilter:
    def test_the_first_frame_passes_unchanged(self, make: Callable[[], TemporalFilter]) -> None:
        np.testing.assert_allclose(make().observe(peaked(2, 0.6), 0.0), peaked(2, 0.6), atol=1e-12)

    def test_nothing_is_known_before_the_first_frame(self, make: Callable[[], TemporalFilter]) -> None:
        assert make().wait(0.1) is None

    def test_no_time_between_two_equal_frames_changes_nothing(self, make: Callable[[], TemporalFilter]) -> None:
        f = make()
        f.observe(peaked(HAPPY), 0.0)
        before = f.observe(peaked(HAPPY), 0.1)
        np.testing.assert_allclose(f.observe(peaked(HAPPY), 0.0), before, atol=1e-9)

    def test_many_faces_at_once_are_the_same_as_one_by_one(self, make: Callable[[], TemporalFilter]) -> None:
        rng = np.random.default_rng(3)
        frames = rng.dirichlet(np.ones(7), (40, 5))
        steps = rng.uniform(0.0, 0.2, 40)
        together = make()
        alone = [make() for _ in range(5)]
        for p, dt in zip(frames, steps, strict=True):
            many = together.observe(p, dt)
            np.testing.assert_allclose(many, [f.observe(p[i], dt) for i, f in enumerate(alone)], atol=1e-12)
        many = together.wait(0.3)
        assert many is not None
        np.testing.assert_allclose(many, [f.wait(0.3) for f in alone], atol=1e-12)

    def test_unseen_time_counts_once(self, make: Callable[[], TemporalFilter]) -> None:
        waited, seen = make(), make()
        for f in (waited, seen):
            f.observe(peaked(NEUTRAL), 0.0)
        waited.wait(0.3)
        for label, after_a_gap, without in [(HAPPY, 0.1, 0.4), (2, 0.1, 0.1), (NEUTRAL, 0.1, 0.1)]:
            back = waited.observe(peaked(label), after_a_gap)
            np.testing.assert_allclose(back, seen.observe(peaked(label), without), atol=1e-12)


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_scores_stay_a_distribution_whatever_comes(data: st.DataObject) -> None:
    for f in (NoFilter(), EmaFilter(0.3), hmm(correlation=0.0), hmm()):
        for _ in range(data.draw(st.integers(1, 8))):
            dt = data.draw(st.floats(0.0, 1e4))
            if data.draw(st.booleans()):
                weights = np.array(data.draw(st.lists(st.sampled_from([0.0, 1e-30, 0.2, 1.0]), min_size=7, max_size=7)))
                weights[0] += 1e-3
                out = f.observe(weights / weights.sum(), dt)
            else:
                waited = f.wait(dt)
                if waited is None:
                    continue
                out = waited
            assert out.sum() == pytest.approx(1.0, abs=1e-9)
            assert np.all(out >= 0.0)


class TestNoFilter:
    def test_holds_the_last_frame(self) -> None:
        f = NoFilter()
        f.observe(peaked(1), 0.0)
        f.observe(peaked(HAPPY), 0.1)
        np.testing.assert_array_equal(f.wait(5.0), peaked(HAPPY))


class TestEmaFilter:
    def test_a_step_is_followed_with_the_time_constant(self) -> None:
        f = EmaFilter(0.5)
        f.observe(peaked(NEUTRAL), 0.0)
        out = f.observe(peaked(HAPPY), 0.5)
        share = 1 - np.exp(-1.0)  # of the way between the log-odds
        odds = np.log(out[HAPPY] / out[NEUTRAL])
        far = np.log(0.7 / 0.05)
        assert odds == pytest.approx(-far + 2 * share * far)

    def test_the_frame_rate_does_not_matter(self) -> None:
        outs = []
        for rate in (5, 15, 60):
            f = EmaFilter(0.4)
            f.observe(peaked(NEUTRAL), 0.0)
            for _ in range(rate):
                out = f.observe(peaked(HAPPY), 1 / rate)
            outs.append(out[HAPPY])
        assert outs == pytest.approx([outs[0]] * 3)

    def test_unseen_time_counts_when_the_face_is_back(self) -> None:
        waited, seen = EmaFilter(0.4), EmaFilter(0.4)
        for f in (waited, seen):
            f.observe(peaked(NEUTRAL), 0.0)
        np.testing.assert_allclose(waited.wait(0.3), peaked(NEUTRAL))
        np.testing.assert_allclose(waited.observe(peaked(HAPPY), 0.1), seen.observe(peaked(HAPPY), 0.4))


class TestHmmFilter:
    def test_independent_frames_add_up(self) -> None:
        rng = np.random.default_rng(0)
        f = hmm()
        frames = independent(rng, NEUTRAL, 300)
        assert (frames.argmax(axis=1) == NEUTRAL).mean() < 0.5
        scores = np.array([f.observe(p, 1 / 30) for p in frames])
        assert (scores[20:].argmax(axis=1) == NEUTRAL).mean() > 0.9

    def test_a_frame_that_repeats_itself_brings_no_new_evidence(self) -> None:
        f = hmm()
        for _ in range(90):
            out = f.observe(peaked(HAPPY, 0.6), 1 / 30)
        assert out[HAPPY] == pytest.approx(0.6, abs=0.12)

    def test_a_frame_unlike_the_others_is_outweighed(self) -> None:
        rng = np.random.default_rng(1)
        f = hmm()
        for p in independent(rng, NEUTRAL, 60):
            f.observe(p, 1 / 30)
        assert f.observe(peaked(HAPPY, 0.8), 1 / 30).argmax() == NEUTRAL

    @pytest.mark.parametrize("rate", [5, 15, 30, 60])
    def test_a_clear_change_is_seen_within_300_ms(self, rate: int) -> None:
        f = hmm()
        for _ in range(2 * rate):
            f.observe(peaked(NEUTRAL, 0.8), 1 / rate)
        frames = 0
        while f.observe(peaked(HAPPY, 0.9), 1 / rate).argmax() != HAPPY:
            frames += 1
        assert frames / rate <= 0.3

    def test_a_slow_change_is_seen_although_every_frame_is_like_the_one_before(self) -> None:
        f = hmm()
        start, end = np.log(peaked(NEUTRAL, 0.8)), np.log(peaked(HAPPY, 0.9))
        for i in range(240):
            share = np.clip((i / 60 - 1.0) / 2.0, 0.0, 1.0)
            exp = np.exp((1 - share) * start + share * end)
            out = f.observe(exp / exp.sum(), 1 / 60)
        assert out.argmax() == HAPPY

    def test_the_frame_rate_does_not_matter(self) -> None:
        """The same views, each 0.2 s long, seen at different rates."""
        rng = np.random.default_rng(2)
        views = np.concatenate([independent(rng, NEUTRAL, 20), independent(rng, HAPPY, 20)])
        ends = []
        for rate in (10, 20, 60):
            f = hmm()
            seen = []
            for view in views:
                for _ in range(rate // 5):
                    out = f.observe(view, 1 / rate)
                seen.append(out)
            ends.append(np.array(seen))
        assert np.abs(ends[0] - ends[1]).mean() < 0.02
        assert np.abs(ends[0] - ends[2]).mean() < 0.03

    def test_one_long_wait_is_many_short_ones(self) -> None:
        first, second = hmm(), hmm()
        for f in (first, second):
            f.observe(peaked(HAPPY, 0.95), 0.0)
        for _ in range(10):
            short = first.wait(0.1)
        np.testing.assert_allclose(short, second.wait(1.0), atol=1e-12)
        np.testing.assert_allclose(first.observe(peaked(2), 0.1), second.observe(peaked(2), 0.1), atol=1e-12)

    def test_an_unseen_face_drifts_to_the_prior(self) -> None:
        f = hmm(dwell=1.0)
        f.observe(peaked(HAPPY, 0.95), 0.0)
        after = [f.wait(0.2)[HAPPY] for _ in range(5)]  # type: ignore[index]
        assert all(b < a for a, b in zip([0.95, *after], after, strict=False))
        np.testing.assert_allclose(f.wait(100.0), 0.9 * PRIOR + 0.1 / 7, atol=1e-6)

    @given(
        wait=st.floats(0.0, 100.0), dwell=st.floats(0.1, 60.0), peak=st.integers(0, 6), certainty=st.floats(0.2, 1.0)
    )
    @settings(max_examples=50, deadline=None)
    def test_unseen_it_follows_the_chain_of_the_documentation(
        self, wait: float, dwell: float, peak: int, certainty: float
    ) -> None:
        """Young k to mature k, mature k to young j with probability prior[j]; each with the rate 2 / D'."""
        classes = len(LABELS)
        prior = 0.9 * PRIOR + 0.1 / classes
        rate = 2.0 / (dwell * (1.0 - np.sum(prior**2)))
        generator = np.zeros((2 * classes, 2 * classes))
        generator[:classes, classes:] = rate * np.eye(classes)
        generator[classes:, :classes] = rate * prior
        generator -= np.diag(generator.sum(axis=1))
        f = hmm(dwell)
        p = peaked(peak, certainty)
        f.observe(p, 0.0)
        expected = np.concatenate([p, p]) / 2 @ expm(generator * wait)
        np.testing.assert_allclose(f.wait(wait), expected[:classes] + expected[classes:], atol=1e-8)

    def test_half_of_the_expressions_last_about_as_long_as_they_should(self) -> None:
        """An expression of the Erlang chain survives its mean dwell time with probability 3 / e^2 = 0.41."""
        f = hmm(dwell=2.0)
        certain = np.zeros(7)
        certain[1] = 1.0  # the rarest class: it hardly ever comes back by itself
        f.observe(certain, 0.0)
        f._mature = np.zeros(7)
        f._young = certain
        assumed = 0.9 * PRIOR + 0.1 / 7
        survived = f.wait(2.0 * (1 - float(np.sum(assumed**2))))
        assert survived is not None
        assert survived[1] == pytest.approx(3 * np.exp(-2), abs=0.03)
