"""`fer-train card`: the model card of an exported model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fer_perception.errors import ModelError


def register(app: typer.Typer) -> None:
    """Add the command `card`."""
    app.command("card")(card)


def card(
    *,
    model: Annotated[Path, typer.Option(help="The exported model (.onnx).")],
    out: Annotated[Path, typer.Option(help="The Markdown file to write.")],
    evaluation: Annotated[
        list[Path] | None,
        typer.Option(help="Figures from `fer-train evaluate --json`; default: those recorded in the model."),
    ] = None,
    crop_image: Annotated[Path | None, typer.Option(help="Image of the crop alignment to show.")] = None,
) -> None:
    """Write a model card: intended use, limits, figures, training."""
    from fer_perception.system.files import write_atomically
    from fer_training.report.model_card import model_card, read_card_source

    if crop_image is not None and not crop_image.is_file():
        msg = f"there is no image {crop_image}; leave --crop-image out or name an existing file"
        raise ModelError(msg)
    write_atomically(
        out, model_card(read_card_source(model, card=out, evaluations=evaluation or (), crop_image=crop_image))
    )
    typer.echo(f"{out}", err=True)
