"""The smoother of one track: scores, label, valence, arousal and phase together."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from fer_perception.benchmark.temporal.contestants import contestants
from fer_perception.benchmark.temporal.expression_sequences import make_sequences
from fer_perception.benchmark.temporal.frame_outputs import FER2013_COUNTS, synthetic
from fer_perception.errors import ConfigError
from fer_perception.labels import LABELS, LABELS_WITH_CONTEMPT, circumplex_matrix
from fer_perception.pipeline import temporal
from fer_perception.pipeline_types import Phase
from fer_perception.settings.declaration import declaration_of
from fer_perception.settings.pipeline_settings import PipelineSettings
from fer_perception.temporal.smoother import FILTERS, Smoother, create_filter, create_smoother

#: Class frequencies of FER2013.
PRIOR = FER2013_COUNTS / FER2013_COUNTS.sum()


def new_smoother(labels: tuple[str, ...], settings: PipelineSettings) -> Smoother:
    """For a model trained on FER2013, on even classes where it has others."""
    prior = PRIOR if labels == LABELS else np.full(len(labels), 1 / len(labels))
    return create_smoother(labels, settings, prior=prior)


def peaked(label: str, p: float = 0.7, labels: tuple[str, ...] = LABELS) -> np.ndarray:
    out = np.full(len(labels), (1 - p) / (len(labels) - 1))
    out[labels.index(label)] = p
    return out


def test_filters_are_those_of_the_settings() -> None:
    assert set(FILTERS) == set(declaration_of(PipelineSettings, "filter").choices), "settings.py names others"


def test_an_unknown_filter_is_no_other_one() -> None:
    with pytest.raises(ConfigError, match=r"filter is .kalman.; expected one of: none, .*hmm"):
        create_filter(PRIOR, PipelineSettings(filter="kalman"))


@pytest.mark.parametrize("name", FILTERS)
def test_a_live_change_of_every_setting_reaches_the_tracks_there_are(name: str) -> None:
    asked: set[str] = set()

    class Watched(PipelineSettings):
        """Notes which settings a new smoother depends on."""

        def __getattribute__(self, key: str) -> Any:
            asked.add(key)
            return super().__getattribute__(key)

    new_smoother(LABELS, Watched(filter=name))
    depends = {item.name for item in fields(PipelineSettings)} & asked
    assert depends >= {"filter", "hysteresis"}
    missed = sorted(depends - set(temporal(PipelineSettings())))
    assert missed == [], "_TEMPORAL in pipeline.py does not name them: a live change would wait for a new face"


@pytest.mark.parametrize("name", FILTERS)
class TestEveryFilter:
    def test_the_first_frame_is_taken_as_it_is(self, name: str) -> None:
        out = new_smoother(LABELS, PipelineSettings(filter=name)).update(peaked("sad"), 12.0)
        np.testing.assert_allclose(out.scores, peaked("sad"), atol=1e-12)
        assert (out.emotion, out.phase) == ("sad", Phase.UNKNOWN)
        assert out.confidence == pytest.approx(0.7)

    def test_a_face_never_looked_at_is_undecided(self, name: str) -> None:
        out = new_smoother(LABELS, PipelineSettings(filter=name)).update(None, 12.0)
        assert (out.emotion, out.phase) == ("", Phase.UNKNOWN)
        np.testing.assert_allclose(out.scores, PRIOR)
        assert out.confidence == pytest.approx(out.scores.max())

    def test_an_unobserved_frame_keeps_the_label(self, name: str) -> None:
        smoother = new_smoother(LABELS, PipelineSettings(filter=name))
        for i in range(30):
            smoother.update(peaked("happy", 0.9), i / 30)
        assert [smoother.update(None, 1.0 + i / 30).emotion for i in range(6)] == ["happy"] * 6

    def test_a_stamp_that_goes_back_counts_as_no_time(self, name: str) -> None:
        falling, standing = (new_smoother(LABELS, PipelineSettings(filter=name)) for _ in range(2))
        shown = [("happy", 5.0, 5.0), ("happy", 5.1, 5.1), ("sad", 4.0, 5.1), ("neutral", 4.5, 5.1), ("sad", 5.2, 5.2)]
        for label, stamp, counts_as in shown:
            out = falling.update(peaked(label), stamp)
            expected = standing.update(peaked(label), counts_as)
            np.testing.assert_allclose(out.scores, expected.scores, atol=1e-9)
            assert out.emotion == expected.emotion

    def test_float32_probabilities_become_exact_distributions(self, name: str) -> None:
        smoother = new_smoother(LABELS, PipelineSettings(filter=name))
        rng = np.random.default_rng(0)
        for i in range(50):
            out = smoother.update(rng.dirichlet(np.ones(7)).astype(np.float32), i / 30)
            assert out.scores.dtype == np.float64
            assert out.scores.sum() == pytest.approx(1.0, abs=1e-12)

    def test_valence_and_arousal_are_expectations(self, name: str) -> None:
        smoother = new_smoother(LABELS, PipelineSettings(filter=name))
        out = smoother.update(np.array([0.1, 0.0, 0.0, 0.6, 0.2, 0.0, 0.1]), 0.0)
        # angry, happy and sad; neutral counts nothing.
        assert out.valence == pytest.approx(0.1 * -0.51 + 0.6 * 0.81 + 0.2 * -0.63)
        assert out.arousal == pytest.approx(0.1 * 0.59 + 0.6 * 0.51 + 0.2 * -0.27)
        for i in range(1, 20):
            out = smoother.update(peaked("happy", 0.9), i / 30)
        assert (out.valence, out.arousal) == tuple(pytest.approx(v) for v in out.scores @ circumplex_matrix(LABELS))

    def test_eight_classes(self, name: str) -> None:
        smoother = new_smoother(LABELS_WITH_CONTEMPT, PipelineSettings(filter=name))
        for i in range(30):
            out = smoother.update(peaked("contempt", 0.9, LABELS_WITH_CONTEMPT), i / 30)
        assert out.emotion == "contempt"
        assert out.valence < 0

    @pytest.mark.parametrize(
        "bad",
        [
            np.ones(7),
            np.full(6, 1 / 6),
            np.array([1.2, -0.2, 0, 0, 0, 0, 0]),
            np.full(7, np.nan),
            np.full((1, 7), 1 / 7),
        ],
        ids=["sum", "length", "negative", "nan", "shape"],
    )
    def test_what_is_no_distribution_is_refused(self, name: str, bad: np.ndarray) -> None:
        with pytest.raises(ValueError, match="not a distribution over the 7 classes angry"):
            new_smoother(LABELS, PipelineSettings(filter=name)).update(bad, 0.0)


def test_no_filter_passes_every_frame() -> None:
    smoother = new_smoother(LABELS, PipelineSettings(filter="none"))
    for i, label in enumerate(LABELS):
        np.testing.assert_allclose(smoother.update(peaked(label), 0.03 * i).scores, peaked(label))


def test_labels_without_neutral_have_no_phase() -> None:
    labels = ("happy", "sad")
    smoother = new_smoother(labels, PipelineSettings())
    phases = {smoother.update(np.array([0.9, 0.1]), i / 30).phase for i in range(60)}
    assert phases == {Phase.UNKNOWN}


def test_labels_without_coordinates_have_no_valence() -> None:
    out = new_smoother(("happy", "puzzled"), PipelineSettings()).update(np.array([0.5, 0.5]), 0.0)
    assert np.isnan(out.valence)
    assert np.isnan(out.arousal)


def test_a_smile_goes_through_the_phases() -> None:
    smoother = new_smoother(LABELS, PipelineSettings())
    shown = ["neutral"] * 60 + ["happy"] * 60 + ["neutral"] * 90
    phases = [smoother.update(peaked(label, 0.9), i / 30).phase for i, label in enumerate(shown)]
    changes = [p for i, p in enumerate(phases) if i == 0 or p is not phases[i - 1]]
    assert changes == [Phase.UNKNOWN, Phase.NEUTRAL, Phase.ONSET, Phase.APEX, Phase.OFFSET, Phase.NEUTRAL]


def test_the_default_filter_is_the_hidden_markov_one() -> None:
    assert PipelineSettings().filter == "hmm"


@pytest.mark.parametrize("name", FILTERS)
def test_the_benchmark_measures_this_very_code(name: str) -> None:
    outputs, _ = synthetic(images=500, views=3, seed=0)
    sequences = make_sequences(outputs, faces=3, seconds=8.0, rate=20.0, scale=0.5, seed=1)
    settings = replace(PipelineSettings(), filter=name)
    labels, scores = contestants(settings)[name](sequences)
    for face in range(3):
        smoother = new_smoother(LABELS, settings)
        for t, stamp in enumerate(sequences.stamps):
            out = smoother.update(sequences.probabilities[face, t], float(stamp))
            np.testing.assert_allclose(out.scores, scores[face, t], atol=1e-9)
            assert out.emotion == ("" if labels[face, t] < 0 else LABELS[labels[face, t]])


@pytest.mark.parametrize(
    ("setting", "quick", "slow"),
    [
        ({"filter": "ema"}, {"ema_time_constant": 0.01}, {"ema_time_constant": 10.0}),
        ({"filter": "hmm"}, {"hmm_dwell_time": 0.1}, {"hmm_dwell_time": 60.0}),
        ({"filter": "hmm"}, {"hmm_correlation_time": 5.0}, {"hmm_correlation_time": 0.0}),
        ({"filter": "none"}, {"hysteresis": 0.0}, {"hysteresis": 1.0}),
        ({"filter": "none"}, {"min_dwell": 0.0}, {"min_dwell": 5.0}),
    ],
)
def test_every_setting_decides_how_soon_another_label_comes(
    setting: dict[str, Any], quick: dict[str, Any], slow: dict[str, Any]
) -> None:
    for changes, expected in ((quick, "happy"), (slow, "neutral")):
        settings = PipelineSettings(undecided_threshold=0.0, **setting, **changes)
        smoother = new_smoother(LABELS, settings)
        for i in range(36):
            out = smoother.update(peaked("neutral" if i < 30 else "happy", 0.6), i / 30)
        assert out.emotion == expected, changes


@pytest.mark.parametrize(("threshold", "expected"), [(0.0, "happy"), (0.61, "")])
def test_below_the_undecided_threshold_there_is_no_label(threshold: float, expected: str) -> None:
    smoother = new_smoother(LABELS, PipelineSettings(undecided_threshold=threshold))
    assert smoother.update(peaked("happy", 0.6), 0.0).emotion == expected


def test_the_confidence_is_that_of_the_label_not_of_the_most_probable_class() -> None:
    smoother = new_smoother(LABELS, PipelineSettings(filter="none", hysteresis=0.5))
    smoother.update(peaked("neutral", 0.6), 0.0)
    scores = np.array([0.0, 0.0, 0.0, 0.6, 0.0, 0.0, 0.4])
    out = smoother.update(scores, 1.0)
    assert (out.emotion, out.confidence) == ("neutral", pytest.approx(0.4))
