"""Onset, apex and offset of intensities with known courses."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest

from fer_perception.pipeline_types import Phase
from fer_perception.temporal.phases import PhaseEstimator


def course(knots: list[float], values: list[float], rate: float, noise: float = 0.0) -> list[tuple[float, Phase]]:
    estimator = PhaseEstimator()
    stamps = np.arange(0.0, knots[-1], 1 / rate)
    intensity = np.interp(stamps, knots, values) + np.random.default_rng(0).normal(0.0, noise, len(stamps))
    return [(t, estimator.update(float(np.clip(x, 0, 1)), t)) for t, x in zip(stamps, intensity, strict=True)]


def order(phases: list[tuple[float, Phase]]) -> list[str]:
    return [phase.value for phase, _ in groupby(p for _, p in phases)]


@pytest.mark.parametrize("rate", [5, 15, 30, 60])
@pytest.mark.parametrize("rise", [0.1, 0.5, 1.0])
def test_a_smile_goes_through_all_phases_in_order(rate: float, rise: float) -> None:
    phases = course([0, 2, 2 + rise, 4, 4 + rise, 7], [0.1, 0.1, 0.95, 0.95, 0.1, 0.1], rate)
    assert order(phases) == ["unknown", "neutral", "onset", "apex", "offset", "neutral"]
    onset = next(t for t, p in phases if p is Phase.ONSET)
    offset = next(t for t, p in phases if p is Phase.OFFSET)
    assert 2.0 <= onset <= 2.0 + 0.5 * rise + 0.2 + 1 / rate
    assert 4.0 <= offset <= 4.0 + 0.5 * rise + 0.2 + 1 / rate


def test_a_slow_rise_has_an_onset_too() -> None:
    assert order(course([0, 1, 6, 7], [0.1, 0.1, 0.9, 0.9], 30))[:3] == ["unknown", "neutral", "onset"]
    assert order(course([0, 1, 6, 7], [0.1, 0.1, 0.9, 0.9], 30))[-1] == "apex"


def test_a_face_first_seen_smiling_is_at_its_apex() -> None:
    assert order(course([0, 2], [0.9, 0.9], 30)) == ["unknown", "apex"]


def test_noise_near_the_middle_does_not_flicker() -> None:
    phases = course([0, 10], [0.5, 0.5], 30, noise=0.05)
    assert len(order(phases)) <= 2


def test_unknown_lasts_as_long_at_any_frame_rate() -> None:
    known = [next(t for t, p in course([0, 2], [0.1, 0.1], rate) if p is not Phase.UNKNOWN) for rate in (10, 20, 100)]
    assert known == pytest.approx([0.2] * 3, abs=0.011)


@pytest.mark.parametrize("origin_ms", [0, 3045, 8117, 1_763_000_009_058])
def test_unknown_lasts_as_long_at_any_date(origin_ms: int) -> None:
    estimator = PhaseEstimator()
    phases = [estimator.update(0.1, (origin_ms + 100 * i) * 1_000_000 * 1e-9) for i in range(3)]
    assert phases == [Phase.UNKNOWN, Phase.UNKNOWN, Phase.NEUTRAL]


def test_no_time_passed_changes_nothing() -> None:
    estimator = PhaseEstimator()
    for i in range(30):
        estimator.update(0.1, i / 30)
    assert {estimator.update(1.0, 29 / 30) for _ in range(50)} == {Phase.NEUTRAL}
