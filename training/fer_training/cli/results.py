"""`fer-train results`: the shipped models' figures beside the published ones, for the README."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command `results`."""
    app.command("results")(results)


def results(
    models: Annotated[
        list[Path] | None,
        typer.Argument(metavar="MODEL", help="Models (.onnx) in the order of the rows; default: all in models/."),
    ] = None,
    *,
    write: Annotated[
        Path | None, typer.Option(help="Write the tables into this page, between <!-- results: begin/end -->.")
    ] = None,
    split: Annotated[str, typer.Option(help="Which recorded figures.")] = "validation",
    as_json: Annotated[bool, typer.Option("--json", help="Print our figures as JSON instead.")] = False,
) -> None:
    """Print what the models record of themselves beside what others published, as Markdown."""
    from fer_training.report.marked_blocks import write_block
    from fer_training.report.results_table import (
        BLOCK,
        find_models,
        read_recorded,
        read_result,
        result_json,
        results_table,
    )

    if models:
        found = [read_result(path, split=split) for path in models]
    else:
        found, without = read_recorded(find_models(Path("models")), split=split)
        for path in without:
            typer.echo(f"{path} records no figures of {split} and is left out", err=True)
    text = results_table(found)
    typer.echo(json.dumps([result_json(result) for result in found], indent=2) if as_json else text)
    if write is not None:
        changed = write_block(write, BLOCK, text)
        typer.echo(f"{write} {'rewritten' if changed else 'was up to date'}", err=True)
