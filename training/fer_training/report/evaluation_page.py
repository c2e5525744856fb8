"""HTML page of an evaluation: one file, images inside, nothing loaded from anywhere."""

from __future__ import annotations

import base64
from html import escape
from typing import Any

import cv2
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fer_training.evaluation.calibration import softmax
from fer_training.evaluation.data import EvaluationData, trained_words, with_judge
from fer_training.evaluation.evaluate import ModelOutput, align_classes
from fer_training.report.figures import confusion_figure, per_class_figure, png_bytes, reliability_figure

#: How many mistakes the page lists.
MISTAKES = 24

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: 1rem 0; }
h1, .note { overflow-wrap: anywhere; }
td, th { border-bottom: 1px solid #ddd; padding: .25rem .8rem; text-align: right; }
th:first-child, td:first-child { text-align: left; }
th[scope=row] { font-weight: normal; }
.scroll { overflow-x: auto; }
@media (max-width: 40rem) { td, th { padding: .25rem .35rem; } }
img { max-width: 100%; }
.faces img { width: 96px; image-rendering: pixelated; }
.faces figure { display: inline-block; margin: .4rem; font-size: 12px; width: 110px; vertical-align: top; }
.note { color: #555; }
"""


def write_report(figures: dict[str, Any], output: ModelOutput, data: EvaluationData, *, faces: bool) -> str:
    """The page as HTML text.

    Args:
        figures: as from `evaluate_output`.
        output: of the model on the data.
        data: what it was run on.
        faces: show the most confident mistakes as images; without it they are only listed by number.
    """
    title = with_judge(f"{figures['model']} on {figures['data']}, {figures['split']}", figures)
    low, high = figures["ece_interval"]
    rows: list[tuple[str, Any]] = [
        ("images", figures["n"]),
        ("accuracy", figures["accuracy"]),
        ("balanced accuracy", figures["balanced_accuracy"]),
        ("macro F1", figures["macro_f1"]),
        ("negative log-likelihood (nats)", figures["nll"]),
        ("Brier score", figures["brier"]),
        ("expected calibration error, 15 bins", figures["ece"]),
        ("  its 95 % bootstrap interval (resampled sets lie a little higher)", f"{low:.4f} to {high:.4f}"),
        ("  of a perfectly calibrated model with these confidences", figures["ece_perfect"]),
        ("temperature", figures["temperature"]),
        ("protocol of training", figures["protocol"]),
        *((f"images skipped: {reason}", count) for reason, count in figures["skipped"].items()),
    ]
    if "cross_fit" in figures:
        rows.append(("cross-fitted (two folds) calibration error", figures["cross_fit"]["ece"]))
        rows.append(("  of a perfectly calibrated model", figures["cross_fit"]["ece_perfect"]))
        rows.append(("  temperature fitted on all", figures["cross_fit"]["temperature"]))
    if "without_training_duplicates" in figures:
        fresh = figures["without_training_duplicates"]
        rows.append((f"accuracy without {figures['training_duplicates']} images also in training", fresh["accuracy"]))
        rows.append(("  images left", fresh["n"]))
    if "ferplus" in figures and figures["ferplus"]["agreement"] is not None:
        rows.append(
            (f"agreement with the FER+ majority (n {figures['ferplus']['n']})", figures["ferplus"]["agreement"])
        )
        rows.append(("KL divergence from the FER+ votes (nats)", figures["ferplus"]["kl"]))
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{figures['n']} images{escape(trained_words(figures))}</p>",
        f"<p class='note'>model {escape(figures['model_sha256'][:16])}, "
        f"source {escape(figures['source_commit'] or 'unknown')}</p>",
        _table(rows),
        *(f"<p class='note'>{escape(note)}</p>" for note in figures["notes"]),
        "<h2>Reliability</h2>",
        "<p>A confidence of 0.7 should be right 70 times in 100; bars are 95 % intervals (Wilson).</p>",
        _image(reliability_figure(figures["reliability"]), "reliability diagram"),
        "<h2>Classes</h2>",
        _image(per_class_figure(figures["per_class"]), "precision, recall and F1 of every class as bars"),
        _per_class(figures["per_class"]),
        "<h2>Confusions</h2>",
        _image(confusion_figure(figures["confusion"], figures["labels"]), "confusion matrix as shades, counts below"),
        _confusion(figures["confusion"], figures["labels"]),
        "<h2>Most confident mistakes</h2>",
        _mistakes(output, data, faces=faces),
    ]
    body = "\n".join(parts)
    return (
        f"<!DOCTYPE html>\n<html lang='en'><head><meta charset='utf-8'><title>{escape(title)}</title>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<style>{_STYLE}</style></head><body>\n{body}\n</body></html>\n"
    )


def _table(rows: list[tuple[str, Any]]) -> str:
    cells = []
    for name, value in rows:
        text = f"{value:.4f}" if isinstance(value, float) else str(value)
        indent = " style='padding-left:2.2rem'" if name.startswith(" ") else ""
        cells.append(f"<tr><th scope='row'{indent}>{escape(name.strip())}</th><td>{escape(text)}</td></tr>")
    return f"<table>{''.join(cells)}</table>"


def _per_class(per_class: dict[str, dict[str, Any]]) -> str:
    """The bars once more in numbers, to copy and for those who have the page read to them."""
    rows = [
        [f"<th scope='row'>{escape(label)}</th>"]
        + [f"<td>{'–' if row[key] is None else format(row[key], '.3f')}</td>" for key in ("precision", "recall", "f1")]
        + [f"<td>{row['support']}</td>"]
        for label, row in per_class.items()
    ]
    return _columns(("class", "precision", "recall", "F1", "images"), rows)


def _confusion(confusion: list[list[int]], labels: list[str]) -> str:
    rows = [
        [f"<th scope='row'>{escape(label)}</th>", *(f"<td>{count}</td>" for count in counts)]
        for label, counts in zip(labels, confusion, strict=True)
    ]
    counts = _columns(("true, predicted as", *labels), rows)
    return f"<details><summary>Counts as a table</summary>{counts}</details>"


def _columns(heading: tuple[str, ...], rows: list[list[str]]) -> str:
    """A table with a heading; the cells of `rows` are HTML."""
    head = "".join(f"<th scope='col'>{escape(name)}</th>" for name in heading)
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    return f"<div class='scroll'><table><tr>{head}</tr>{body}</table></div>"


def _image(figure: Figure, text: str) -> str:
    return f"<img alt='{escape(text)}' src='{_data_uri(png_bytes(figure))}'>"


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def _mistakes(output: ModelOutput, data: EvaluationData, *, faces: bool) -> str:
    logits, labels, names = align_classes(output, data)
    probabilities = softmax(logits, output.temperature)
    predicted = probabilities.argmax(axis=1)
    wrong = np.flatnonzero((labels >= 0) & (predicted != labels))
    worst = wrong[np.argsort(-probabilities[wrong].max(axis=1), kind="stable")][:MISTAKES]
    if not len(worst):
        return "<p>None.</p>"
    if not faces:
        rows = [
            [
                f"<td>{value}</td>"
                for value in (
                    index,
                    escape(names[labels[index]]),
                    escape(names[predicted[index]]),
                    f"{probabilities[index].max():.3f}",
                )
            ]
            for index in worst
        ]
        return "<p>Numbers count the images of the split from 0; <code>--faces</code> shows them.</p>" + _columns(
            ("image", "label", "predicted", "confidence"), rows
        )
    shown = "".join(
        f"<figure><img alt='image {index}' src='{_data_uri(_thumbnail(data.images[index]))}'><figcaption>"
        f"{index}: {escape(names[labels[index]])}, seen as {escape(names[predicted[index]])} "
        f"{probabilities[index].max():.2f}</figcaption></figure>"
        for index in worst
    )
    return f"<div class='faces'>{shown}</div>"


def _thumbnail(image: NDArray[np.uint8]) -> bytes:
    gray = image if image.ndim == 2 else image.mean(axis=0).astype(np.uint8)
    return bytes(cv2.imencode(".png", gray)[1])
