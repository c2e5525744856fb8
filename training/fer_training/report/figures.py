"""Figures of results: training curves, confusion matrix, reliability diagram, per-class bars."""

from __future__ import annotations

import csv
import io
import logging
import textwrap
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from fer_perception.errors import SourceError
from fer_perception.system.files import write_atomically

LOG = logging.getLogger(__name__)

#: PNG metadata without the date and version matplotlib would write, so that equal figures give equal files.
_PNG_METADATA: dict[str, Any] = {"Software": None}
#: Up to so many epochs each is a dot of its own: of one epoch there is no line.
_DOTTED_EPOCHS = 20
#: Letters of a title, 10 points high, in an inch; of a class name in its share of an image.
_LETTERS_PER_INCH, _LETTERS_PER_CLASS = 10, 12


def training_curves(csv_file: Path, png: Path) -> None:
    """Draw loss and accuracy over epochs from the CSV log of a run.

    Every column whose name ends in "loss" goes into the left panel, in "accuracy" into the right one, over the column
    "epoch"; empty cells are left out.

    Args:
        csv_file: `metrics.csv` of the CSV logger.
        png: the file to write.

    Raises:
        SourceError: the log is missing or has no epoch column, or no such figures.
    """
    try:
        with csv_file.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except OSError as err:
        msg = f"cannot read the log {csv_file} ({err}); name the metrics.csv of a run directory"
        raise SourceError(msg) from err
    columns = [key for key in (rows[0] if rows else {}) if key and key.endswith(("loss", "accuracy"))]
    if not columns or "epoch" not in rows[0]:
        msg = f"{csv_file} has no columns to draw; expected epoch and some that end in loss or accuracy"
        raise SourceError(msg)
    figure = Figure(figsize=(10, 4), layout="constrained")
    for axes, ending in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for column in (name for name in columns if name.endswith(ending)):
            # Several steps of one epoch are averaged: the logger also writes within an epoch.
            by_epoch: dict[float, list[float]] = {}
            for row in rows:
                if row[column]:
                    by_epoch.setdefault(float(row["epoch"]), []).append(float(row[column]))
            epochs = sorted(by_epoch)
            dot = "o" if len(epochs) <= _DOTTED_EPOCHS else ""
            axes.plot(epochs, [float(np.mean(by_epoch[epoch])) for epoch in epochs], marker=dot, label=column)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
        axes.set_xlabel("epoch")
        axes.set_ylabel(ending)
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(fontsize="small")
    _save(figure, png)


def confusion_png(confusion: Sequence[Sequence[int]], labels: Sequence[str], png: Path, *, title: str = "") -> None:
    """Draw a confusion matrix.

    Args:
        confusion: (K, K) counts, rows true, columns predicted.
        labels: K class names.
        png: the file to write.
        title: above the image.
    """
    _save(confusion_figure(confusion, labels, title=title), png)


def confusion_figure(confusion: Sequence[Sequence[int]], labels: Sequence[str], *, title: str = "") -> Figure:
    """The confusion matrix as a figure: shade is the share of the true class, numbers are counts and shares."""
    counts = np.asarray(confusion, dtype=np.int64)
    totals = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    figure = Figure(figsize=(1.6 + 0.85 * len(labels), 1.2 + 0.75 * len(labels)), layout="constrained")
    axes = figure.subplots()
    axes.imshow(share, cmap="Blues", vmin=0.0, vmax=1.0)
    # Black from this luminance on, white below: of the two the one with more contrast (WCAG 2.2).
    dark = _luminance(colormaps["Blues"](share)[..., :3]) < 0.179
    for row in range(len(labels)):
        for column in range(len(labels)):
            color = "white" if dark[row, column] else "black"
            text = f"{counts[row, column]}\n{share[row, column]:.0%}"
            axes.text(column, row, text, ha="center", va="center", fontsize=8, color=color)
    # A $ in a class name starts no formula.
    axes.set_xticks(range(len(labels)), labels, rotation=40, ha="right", parse_math=False)
    axes.set_yticks(range(len(labels)), labels, parse_math=False)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    set_title(figure, title)
    return figure


def reliability_figure(reliability: dict[str, Any], *, title: str = "") -> Figure:
    """The reliability diagram as a figure: accuracy over confidence above, how many images a bin below."""
    count = np.asarray(reliability["count"], dtype=np.int64)
    confidence = np.array([np.nan if v is None else v for v in reliability["confidence"]])
    accuracy = np.array([np.nan if v is None else v for v in reliability["accuracy"]])
    filled = count > 0
    edges = np.linspace(0.0, 1.0, len(count) + 1)
    figure = Figure(figsize=(5, 6), layout="constrained")
    axes: Axes
    below: Axes
    axes, below = figure.subplots(2, 1, height_ratios=(3, 1), sharex=True)
    axes.plot([0, 1], [0, 1], color="gray", linestyle="--", label="perfect")
    axes.plot(confidence[filled], accuracy[filled], marker="o", label="measured", clip_on=False, zorder=3)
    # So that a wobble of a nearly empty bin is not taken for miscalibration.
    low, high = _wilson(accuracy[filled], count[filled])
    error = [np.maximum(accuracy[filled] - low, 0.0), np.maximum(high - accuracy[filled], 0.0)]
    axes.errorbar(confidence[filled], accuracy[filled], yerr=error, fmt="none", alpha=0.5)
    axes.set_ylabel("accuracy")
    axes.set_ylim(0, 1)
    set_title(figure, title)
    axes.legend()
    axes.grid(alpha=0.3)
    below.bar(edges[:-1], count, width=np.diff(edges), align="edge", edgecolor="white")
    below.set_xlabel("confidence")
    below.set_ylabel("images")
    below.set_xlim(0, 1)
    return figure


def _wilson(share: NDArray[np.float64], n: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Wilson's 95 % interval of shares of n images; unlike two standard errors, it is wide where 1 of 1 was right."""
    z = 1.96
    center = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return center - half, center + half


def _luminance(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """Relative luminance, [0, 1], of sRGB colors (..., 3) in [0, 1]."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return np.asarray(linear @ np.array([0.2126, 0.7152, 0.0722]), dtype=np.float64)


def per_class_figure(per_class: dict[str, dict[str, Any]]) -> Figure:
    """Precision, recall and F1 of every class as bars; None is drawn as 0."""
    figure = Figure(figsize=(max(1.5 + len(per_class), 3.5), 3.4), layout="constrained")
    axes = figure.subplots()
    positions = np.arange(len(per_class))
    for offset, key, name in ((-0.27, "precision", "precision"), (0.0, "recall", "recall"), (0.27, "f1", "F1")):
        axes.bar(positions + offset, [row[key] or 0.0 for row in per_class.values()], width=0.25, label=name)
    names = [f"{textwrap.fill(label, _LETTERS_PER_CLASS)}\n(n {row['support']})" for label, row in per_class.items()]
    axes.set_xticks(positions, names, parse_math=False)
    axes.set_ylim(0, 1)
    axes.grid(axis="y", alpha=0.3)
    # Above the bars, which may fill the rest.
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, fontsize="small", frameon=False)
    return figure


def set_title(figure: Figure, title: str) -> None:
    """Put a title above the image, in as many lines as its width asks for."""
    if title:
        letters = int(figure.get_figwidth() * _LETTERS_PER_INCH)
        figure.suptitle(textwrap.fill(title, letters), fontsize=10)


def png_bytes(figure: Figure) -> bytes:
    """A figure as PNG."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        figure.savefig(buffer, format="png", metadata=_PNG_METADATA)
    missing = [warning for warning in caught if "missing from font" in str(warning.message)]
    if missing:
        LOG.warning("the font of matplotlib lacks letters of the class names: images show boxes instead of them")
    for warning in caught:
        if warning not in missing:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return buffer.getvalue()


def _save(figure: Figure, png: Path) -> None:
    write_atomically(png, png_bytes(figure))
