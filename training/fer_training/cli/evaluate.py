"""`fer-train evaluate`: all figures of a model on a data set, as a table, JSON and an HTML page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.cells import cell_len

from fer_training.evaluation.data import trained_words, with_judge


def register(app: typer.Typer) -> None:
    """Add the command `evaluate`."""
    app.command("evaluate")(evaluate)


def evaluate(
    *,
    model: Annotated[Path, typer.Option(help="The model: .onnx, or a checkpoint (.safetensors).")],
    data: Annotated[Path, typer.Option(help="Data set: .npz, .csv, or a directory of images.")],
    split: Annotated[
        str | None,
        typer.Option(
            help="train, validation, test, held-out (images that the model was not trained on), or all. Default: "
            "validation; of a data set without splits held-out, or all where the model does not know.",
        ),
    ] = None,
    targets: Annotated[
        str,
        typer.Option(
            help="labels: the data set's own; the FER+ votes: ferplus_majority (more than half), ferplus_plurality "
            "(more than any other), ferplus_soft (the most, ties too)."
        ),
    ] = "labels",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures here; - is stdout.")] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write one self-contained HTML page with the images here.")
    ] = None,
    faces: Annotated[
        bool,
        typer.Option("--faces", help="Show the most confident mistakes in --report; keep such a page to yourself."),
    ] = False,
    cross_fit: Annotated[
        bool, typer.Option("--cross-fit", help="Add the pooled figures of a two-fold cross-fitted temperature.")
    ] = False,
) -> None:
    """Measure a model: accuracy and its relatives, calibration, confusions, agreement with the FER+ votes."""
    from fer_perception.system.files import write_atomically
    from fer_training.evaluation.data import load_evaluation_data
    from fer_training.evaluation.evaluate import describe_model, evaluate_output, run_model
    from fer_training.output_files import ready_for
    from fer_training.report.evaluation_page import write_report

    to_stdout = str(json_file) == "-"
    for path in (None if to_stdout else json_file, report):
        if path is not None:
            ready_for(path)
    description = describe_model(model)
    evaluation = load_evaluation_data(
        data,
        split=split,
        size=description.side,
        targets=targets,
        contempt="contempt" in description.labels,
        trained=description.trained_images,
    )
    output = run_model(model, evaluation.images)
    figures = evaluate_output(output, evaluation, cross_fitted=cross_fit)
    typer.echo(table(figures), err=to_stdout)
    text = json.dumps(figures, indent=2, allow_nan=False) + "\n"
    if to_stdout:
        typer.echo(text, nl=False)
    elif json_file is not None:
        write_atomically(json_file, text)
    if report is not None:
        write_atomically(report, write_report(figures, output, evaluation, faces=faces))


def table(figures: dict[str, Any]) -> str:
    """The figures as lines of text; keys as from `evaluate_output`."""
    low, high = figures["ece_interval"]
    lines = [
        with_judge(f"{figures['model']} on {figures['data']}, split {figures['split']}", figures)
        + f": {figures['n']} images{trained_words(figures)}, protocol of training: {figures['protocol']}",
        f"  accuracy {figures['accuracy']:.4f}   balanced {figures['balanced_accuracy']:.4f}   "
        f"macro F1 {figures['macro_f1']:.4f}",
        f"  NLL {figures['nll']:.4f}   Brier {figures['brier']:.4f}   temperature {figures['temperature']:.4f}",
        f"  ECE {figures['ece']:.4f} [{low:.4f}, {high:.4f}]   perfectly calibrated {figures['ece_perfect']:.4f}",
    ]
    if "cross_fit" in figures:
        pooled = figures["cross_fit"]
        first, second = pooled["temperatures"]
        lines.append(
            f"  cross-fitted ECE {pooled['ece']:.4f}   perfectly calibrated {pooled['ece_perfect']:.4f}   temperatures "
            f"{first:.4f}, {second:.4f}; on all {pooled['temperature']:.4f}"
        )
    if "without_training_duplicates" in figures:
        fresh = figures["without_training_duplicates"]
        lines.append(
            f"  without {figures['training_duplicates']} images that are also in training: accuracy "
            f"{fresh['accuracy']:.4f}, n {fresh['n']}"
        )
    agreement = figures.get("ferplus", {}).get("agreement")
    if agreement is not None:
        ferplus = figures["ferplus"]
        lines.append(f"  FER+ majority {agreement:.4f} (n {ferplus['n']})   KL from the votes {ferplus['kl']:.4f}")
    # On a terminal some letters are two wide.
    wide = max([12, *(cell_len(name) + 1 for name in figures["per_class"])])
    lines.append(f"  {'class':<{wide}}{'precision':>10}{'recall':>10}{'F1':>10}{'n':>8}")
    for name, row in figures["per_class"].items():
        cells = "".join(
            f"{'-' if row[key] is None else format(row[key], '.3f'):>10}" for key in ("precision", "recall", "f1")
        )
        lines.append(f"  {name}{' ' * (wide - cell_len(name))}{cells}{row['support']:>8}")
    lines.extend(f"  {count} images skipped: {reason}" for reason, count in figures["skipped"].items())
    lines.extend(f"  {note}" for note in figures["notes"])
    return "\n".join(lines)
