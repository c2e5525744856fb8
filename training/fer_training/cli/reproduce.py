"""`fer-train reproduce`: the papers' tables, trained here."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from fer_perception.errors import ConfigError


def register(app: typer.Typer) -> None:
    """Add the command `reproduce`."""
    app.command("reproduce")(reproduce_command)


def reproduce_command(
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Recipe keys to change, e.g. epochs=1.")
    ] = None,
    *,
    data: Annotated[
        list[str], typer.Option(metavar="SET=PATH", help="A data set: fer2013=..., ckplus=..., jaffe=..., imed=...")
    ],
    architecture: Annotated[
        list[str] | None, typer.Option(help="Network to train; may be repeated. Default: arch1 to arch4.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Directory for runs, table, chart and images.")] = Path("runs/reproduce"),
    max_folds: Annotated[int, typer.Option(help="Train at most so many folds; 0 = all.", min=0)] = 0,
    threads: Annotated[int, typer.Option(help="Processor threads; 0 = all.", min=0)] = 0,
) -> None:
    """Train networks x data sets with the papers' recipes; print ours beside theirs."""
    import logging

    import torch

    from fer_training.reproduce import reproduce, table

    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    if threads:
        torch.set_num_threads(threads)
    sets: dict[str, str] = {}
    for item in data:
        key, separator, path = item.partition("=")
        if not separator or not path:
            msg = f"--data {item} is not of the form SET=PATH, for example fer2013=fer2013.csv"
            raise ConfigError(msg)
        sets[key] = path
    results = reproduce(
        sets,
        names=architecture or ["arch1", "arch2", "arch3", "arch4"],
        out=out,
        overrides=overrides or [],
        max_folds=max_folds or None,
        say=lambda line: typer.echo(line, err=True),
        progress=sys.stderr.isatty(),
    )
    typer.echo(table(results))
    typer.echo(f"table.md, results.json, chart.png, curves and confusion matrices are in {out}", err=True)
