"""Writes the measured table and the plot of docs/smoothing.md.

Run as `python benchmarks/temporal_report.py` in the source tree.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from fer_perception.benchmark.temporal.compare import (
    CORRELATIONS,
    REPORT_SEED,
    Row,
    compare,
    conditions,
    network_outputs,
)
from fer_perception.benchmark.temporal.contestants import contestants, mean_per_frame, mode_of_own_window, ours_with
from fer_perception.benchmark.temporal.frame_outputs import FrameOutputs
from fer_perception.benchmark.temporal.label_measures import LabelMeasures, measure
from fer_perception.settings.pipeline_settings import PipelineSettings

#: The table in the document lies between these lines.
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
#: Frame rate of the plot, Hz.
PLOT_RATE = 30
#: How the contestants are called in the table and in the plot.
NAMES = {
    "raw": "raw frames",
    "mode10_shared": "mode of 10, one window for all faces",
    "mode10": "mode of 10 per face",
    "ema_frame": "mean, 0.3 a frame",
    "none": "none + label decision",
    "ema": "ema",
    "hmm": "**hmm**",
}

Progress = Callable[[str], None]


def table(rows: list[Row]) -> str:
    """Markdown: one line for each contestant and condition."""
    lines = [
        "| error correlation | Hz | filter | accuracy | excess flips / min | delay ms, median (p95) | ECE |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        m = row.measures
        lines.append(
            f"| {row.correlation:g} | {row.rate} | {NAMES.get(row.name, row.name)} | {100 * m.accuracy:.1f} % "
            f"| {m.excess_flips_per_min:.0f} | {m.delay_ms:.0f} ({m.delay_p95_ms:.0f}) | {m.ece:.3f} |"
        )
    return "\n".join(lines)


def summary(rows: list[Row]) -> str:
    """Markdown: what the default filter gains over raw frames at `PLOT_RATE`, one line for each error correlation."""
    at = {(row.name, row.correlation): row.measures for row in rows if row.rate == PLOT_RATE}
    lines = [f"At {PLOT_RATE} Hz hmm, against raw frames:", ""]
    for correlation in CORRELATIONS:
        before, after = at["raw", correlation], at["hmm", correlation]
        fewer = 1.0 - after.excess_flips_per_min / before.excess_flips_per_min
        lines.append(
            f"- error correlation {correlation:g}: {100 * (after.accuracy - before.accuracy):+.1f} points of accuracy "
            f"({100 * after.accuracy:.1f} %), {100 * fewer:.0f} % fewer excess flips, "
            f"median delay {after.delay_ms:.0f} ms"
        )
    return "\n".join(lines)


def replace_table(document: Path, text: str) -> None:
    """Put `text` between the marks of the document.

    Raises:
        ValueError: the document has no marks.
    """
    old = document.read_text(encoding="utf-8")
    if BEGIN not in old or END not in old:
        msg = f"{document} has no lines {BEGIN!r} and {END!r}; put them where the table belongs"
        raise ValueError(msg)
    before, rest = old.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    document.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def plot(outputs: FrameOutputs, path: Path, *, progress: Progress) -> None:
    """Accuracy against delay, one panel for each error correlation; each curve is one filter, weak to strong.

    Raises:
        ImportError: matplotlib is not installed.
    """
    from matplotlib.figure import Figure

    settings = PipelineSettings()
    figure: Any = Figure(figsize=(13, 4.4), layout="constrained")
    panels = figure.subplots(1, len(CORRELATIONS))
    for panel, correlation in zip(panels, CORRELATIONS, strict=True):
        sequences = next(
            item
            for rate, item in conditions(outputs, correlation, faces=18, seconds=90.0, seed=REPORT_SEED)
            if rate == PLOT_RATE
        )

        def points(runs: list[Callable[[Any], Any]], item: Any = sequences) -> list[LabelMeasures]:
            return [measure(item, *run(item)) for run in runs]

        curves = {
            "hmm": points(
                [ours_with(replace(settings, filter="hmm", hmm_dwell_time=d)) for d in (0.5, 0.8, 1.2, 1.7, 2.5, 4, 8)]
            ),
            "ema": points(
                [ours_with(replace(settings, filter="ema", ema_time_constant=c)) for c in (0.03, 0.1, 0.2, 0.4, 0.8)]
            ),
            "ema_frame": points([partial(mean_per_frame, weight=w) for w in (0.8, 0.5, 0.3, 0.15, 0.08, 0.04)]),
            "mode10": points([partial(mode_of_own_window, length=n) for n in (3, 5, 10, 20, 40)]),
        }
        # Told apart by their marks too, not by their colors alone.
        for (name, curve), mark in zip(curves.items(), "os^D", strict=True):
            label = {"mode10": "mode of n per face", "ema_frame": "mean, fixed weight a frame"}.get(name, name)
            accuracies = [100 * m.accuracy for m in curve]
            panel.plot([m.delay_ms for m in curve], accuracies, marker=mark, markersize=4, label=label)
        for name, marker in (("raw", "x"), ("hmm", "*")):
            m = measure(sequences, *contestants(settings)[name](sequences))
            label = "raw frames" if name == "raw" else "hmm, default settings"
            panel.plot(m.delay_ms, 100 * m.accuracy, marker, color="black", markersize=10, label=label)
        panel.set(title=f"error correlation {correlation:g} per 33 ms", xlabel="median delay, ms", ylabel="accuracy, %")
        panel.grid(alpha=0.3)
        progress(f"plot: error correlation {correlation:g} done")
    panels[0].legend(fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)


def main() -> None:
    """Measure and write docs/smoothing.md and docs/images/accuracy_vs_delay.png of this source tree."""

    def progress(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    docs = Path(__file__).parents[1] / "docs"
    (_, outputs), _ = network_outputs(views=8, progress=progress)
    rows = []
    for correlation in CORRELATIONS:
        for rate, sequences in conditions(outputs, correlation, faces=24, seconds=120.0, seed=REPORT_SEED):
            rows += compare(sequences, rate, correlation, PipelineSettings())
            progress(f"table: {rate} Hz, error correlation {correlation:g} done")
    used = f"Network outputs: {outputs.source}, of which the {len(outputs.labels)} that fitted no setting."
    replace_table(docs / "smoothing.md", f"{used}\n\n{summary(rows)}\n\n{table(rows)}")
    plot(outputs, docs / "images" / "accuracy_vs_delay.png", progress=progress)


if __name__ == "__main__":
    main()
