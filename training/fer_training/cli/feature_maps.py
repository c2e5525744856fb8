"""`fer-train feature-maps`: activations of a layer of a trained network for an image."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fer_perception.errors import SourceError


def register(app: typer.Typer) -> None:
    """Add the command `feature-maps`."""
    app.command("feature-maps")(feature_maps_command)


def feature_maps_command(
    *,
    model: Annotated[Path, typer.Option(help="Checkpoint (.safetensors) of a trained network.")],
    image: Annotated[Path, typer.Option(help="Image of a face, cut out as in training; gray is made of color.")],
    layer: Annotated[str, typer.Option(help="Layer as `fer-train summary` lists it, e.g. conv2d_4.")] = "conv2d_4",
    out: Annotated[Path, typer.Option(help="PNG file to write.")] = Path("feature_maps.png"),
) -> None:
    """Draw all channels of one layer's answer to one image."""
    import numpy as np

    from fer_training.checkpoint import load_checkpoint
    from fer_training.data.readers.images import fit_square, read_gray
    from fer_training.data.samples import DatasetError
    from fer_training.deployed_network import input_shape, load_network
    from fer_training.output_files import ready_for
    from fer_training.report.feature_maps import feature_maps, write_feature_maps

    ready_for(out, ".png")
    checkpoint = load_checkpoint(model)
    channels, side, _ = input_shape(checkpoint)
    try:
        pixels = fit_square(read_gray(image), side)
    except DatasetError as err:
        msg = f"{image}: {err}"
        raise SourceError(msg) from err
    stacked = np.repeat(pixels[None], channels, axis=0)
    maps = feature_maps(load_network(checkpoint), layer, stacked)
    write_feature_maps(out, maps, pixels, title=f"{checkpoint.architecture}, {layer}: {len(maps)} channels")
    typer.echo(f"{out}: {maps.shape[0]} maps of {maps.shape[2]}x{maps.shape[1]} pixels")
