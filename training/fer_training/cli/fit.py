"""`fer-train fit`: one training run from a recipe."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command `fit`."""
    app.command("fit")(fit)


def fit(
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Recipe keys to change, e.g. optimizer.lr=0.05.")
    ] = None,
    *,
    recipe: Annotated[str, typer.Option(help="YAML file, or the name of a recipe that comes with the package.")],
    data: Annotated[
        Path | None, typer.Option(help="Data set: .npz, .csv, or a directory of images; default: the recipe's.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run directory; default runs/<recipe name>.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start over instead of going on with the directory.")] = False,
    threads: Annotated[int, typer.Option(help="Processor threads; 0 = all.", min=0)] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the final figures to this file.")] = None,
) -> None:
    """Train one network. Stopped at any time, the same command goes on from the last finished epoch."""
    import logging

    import torch

    from fer_perception.system.files import write_atomically
    from fer_training.fit.fit import fit as run
    from fer_training.output_files import ready_for
    from fer_training.recipe import RecipeError, load_recipe

    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    if threads:
        torch.set_num_threads(threads)
    if json_file is not None:
        ready_for(json_file)
    loaded = load_recipe(recipe, overrides or [])
    if data is None and not Path(loaded.data).exists():
        msg = f"{loaded.data}, the recipe's data set, is not there; say with --data where yours is"
        raise RecipeError(msg)
    directory = out or Path("runs") / Path(recipe).stem
    figures = run(loaded, out=directory, data=data, resume=not fresh, progress=sys.stderr.isatty())
    if not figures:
        return  # another process of a distributed run reports
    without = figures["validation_accuracy_without_leaks"]
    typer.echo(
        f"validation accuracy {figures['validation_accuracy']:.4f}"
        + ("" if without is None else f" ({without:.4f} without images that the training part repeats)")
        + f", {figures['n']} images, after {figures['epochs']} epochs; {directory}"
    )
    if json_file is not None:
        write_atomically(json_file, json.dumps(figures, indent=2, sort_keys=True) + "\n")
