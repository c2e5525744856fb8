"""The temporal benchmark as a whole: keys, goals and report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benchmarks.temporal_fit import Conditions, best_temperature, fit
from benchmarks.temporal_report import BEGIN, END, plot, replace_table, summary, table

from fer_perception.benchmark import load_part
from fer_perception.benchmark.temporal.compare import CORRELATIONS, RATES, Row, compare
from fer_perception.benchmark.temporal.contestants import contestants, mode_of_shared_window
from fer_perception.benchmark.temporal.expression_sequences import hold_scale, make_sequences
from fer_perception.benchmark.temporal.frame_outputs import FrameOutputs, halves, synthetic
from fer_perception.benchmark.temporal.label_measures import LabelMeasures, measure
from fer_perception.settings.pipeline_settings import PipelineSettings

OUTPUTS = halves(*synthetic(images=4000, views=6, seed=0))[1]


def rows(correlation: float, rate: float = 30.0) -> dict[str, LabelMeasures]:
    scale = hold_scale(OUTPUTS, correlation)
    item = make_sequences(OUTPUTS, faces=9, seconds=90.0, rate=rate, scale=scale, seed=11)
    return {row.name: row.measures for row in compare(item, int(rate), correlation, PipelineSettings())}


@pytest.mark.parametrize(
    ("correlation", "fewer_flips", "points"), [(0.0, 0.95, 0.12), (0.5, 0.9, 0.12), (0.9, 0.7, 0.05)]
)
def test_the_default_filter_meets_its_goals(correlation: float, fewer_flips: float, points: float) -> None:
    measured = rows(correlation)
    raw, ours = measured["raw"], measured["hmm"]
    assert ours.excess_flips_per_min <= (1 - fewer_flips) * raw.excess_flips_per_min
    assert ours.accuracy >= raw.accuracy + points
    assert ours.delay_ms < 300
    assert ours.ece < 0.06
    for rival in ("raw", "mode10_shared", "mode10", "ema_frame"):
        other = measured[rival]
        assert not (
            other.accuracy >= ours.accuracy
            and other.excess_flips_per_min <= ours.excess_flips_per_min
            and other.delay_ms <= ours.delay_ms
        ), rival


def test_every_figure_of_the_contract_is_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FER_DATA", str(tmp_path / "none.npz"))
    monkeypatch.setattr("fer_perception.benchmark.temporal.expression_sequences.DROPPED", 0.5)
    lines: list[str] = []
    figures = load_part("temporal")(quick=True, progress=lines.append)
    assert figures["temporal.images"] == 0.0
    assert any("synthetic" in line for line in lines)
    for name in contestants(PipelineSettings()):
        for rate in RATES:
            for r in (0, 50, 90):
                for figure in ("accuracy", "excess_flips_per_min", "delay_ms", "ece"):
                    assert np.isfinite(figures[f"temporal.{name}.{rate}.r{r}.{figure}"])
    assert figures["temporal.tracking.crowd.30.id_switches"] == 0.0
    assert all(isinstance(value, float) for value in figures.values())


def test_a_key_names_filter_rate_and_correlation() -> None:
    row = Row("hmm", 15, 0.9, LabelMeasures(0, 0, 0, 0, 0))
    assert row.key == "temporal.hmm.15.r90"
    assert CORRELATIONS == (0.0, 0.5, 0.9)


def test_the_shared_window_mixes_faces_of_one_image_only() -> None:
    item = make_sequences(OUTPUTS, faces=6, seconds=10.0, rate=10.0, scale=1.0, seed=0)
    labels, scores = mode_of_shared_window(item)
    single = item.probabilities.argmax(axis=-1)
    assert scores[0, 0, single[0, 0]] == 1.0
    assert scores[3, 0, single[3, 0]] == 1.0
    np.testing.assert_allclose(scores[2, 1], np.bincount(single[:3, :2].ravel(), minlength=7) / 6)
    assert labels.shape == single.shape


class TestFit:
    def test_finds_the_temperature_outputs_were_made_with(self) -> None:
        sharp = OUTPUTS.probabilities**1.3
        sharp /= sharp.sum(axis=-1, keepdims=True)
        before = best_temperature(OUTPUTS)
        assert before == pytest.approx(1.0, abs=0.08)
        assert best_temperature(replace(OUTPUTS, probabilities=sharp)) == pytest.approx(1.3 * before, abs=0.03)

    def test_takes_the_better_value(self) -> None:
        item = make_sequences(OUTPUTS, faces=6, seconds=40.0, rate=15.0, scale=0.0, seed=5)
        lines: list[str] = []
        fitted = fit(
            replace(PipelineSettings(), hmm_dwell_time=50.0),
            {"hmm_dwell_time": (50.0, 2.0), "undecided_threshold": (0.25, 0.99)},
            Conditions([item]),
            progress=lines.append,
            rounds=1,
        )
        assert (fitted.hmm_dwell_time, fitted.undecided_threshold) == (2.0, 0.25)
        assert len(lines) == 2


class TestReport:
    def test_the_table_has_a_line_for_each_row(self) -> None:
        text = table([Row("hmm", 30, 0.5, LabelMeasures(0.9123, 12.4, 101.2, 503.0, 0.0123))])
        assert "| 0.5 | 30 | **hmm** | 91.2 % | 12 | 101 (503) | 0.012 |" in text

    def test_the_summary_compares_with_raw_frames(self) -> None:
        rows = [
            Row(name, 30, r, LabelMeasures(accuracy, flips, delay, 0.0, 0.0))
            for r in CORRELATIONS
            for name, accuracy, flips, delay in (("raw", 0.6, 800.0, 900.0), ("hmm", 0.75, 40.0, 120.0))
        ]
        text = summary(rows)
        assert text.count("+15.0 points of accuracy (75.0 %), 95 % fewer excess flips, median delay 120 ms") == 3

    def test_only_what_is_between_the_marks_changes(self, tmp_path: Path) -> None:
        document = tmp_path / "a.md"
        document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
        replace_table(document, "new")
        assert document.read_text() == f"before\n{BEGIN}\nnew\n{END}\nafter\n"

    def test_a_document_without_marks_is_refused(self, tmp_path: Path) -> None:
        document = tmp_path / "a.md"
        document.write_text("text")
        with pytest.raises(ValueError, match="put them where the table belongs"):
            replace_table(document, "new")

    def test_the_plot_is_written(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("matplotlib")
        module = "benchmarks.temporal_report"

        def short(outputs: FrameOutputs, correlation: float, **options: object):
            yield 30, make_sequences(outputs, faces=3, seconds=8.0, rate=30.0, scale=0.0, seed=0)

        monkeypatch.setattr(f"{module}.conditions", short)
        lines: list[str] = []
        plot(OUTPUTS, tmp_path / "images" / "a.png", progress=lines.append)
        assert (tmp_path / "images" / "a.png").read_bytes().startswith(b"\x89PNG")
        assert len(lines) == 3


def test_measures_do_not_depend_on_the_order_of_faces() -> None:
    item = make_sequences(OUTPUTS, faces=2, seconds=20.0, rate=15.0, scale=1.0, seed=0)
    turned = replace(item, truth=item.truth[::-1], probabilities=item.probabilities[::-1], changes=item.changes[::-1])
    first, second = (measure(x, *contestants(PipelineSettings())["hmm"](x)) for x in (item, turned))
    assert vars(first) == pytest.approx(vars(second))
