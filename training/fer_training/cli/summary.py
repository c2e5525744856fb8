"""`fer-train summary`: a network as the table of its layers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command `summary`."""
    app.command("summary")(summary)


def summary(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the network, e.g. arch1.")],
    *,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write it here as JSON; - is stdout.")] = None,
    in_channels: Annotated[int, typer.Option(help="Channels of the input: 1 or 3.")] = 1,
    input_size: Annotated[int, typer.Option(help="Side of the square input in pixels.")] = 48,
    num_classes: Annotated[int, typer.Option(help="Number of classes.")] = 7,
) -> None:
    """List a network's layers with output shapes and parameters, and their totals."""
    from fer_perception.system.files import write_atomically
    from fer_training.architectures.registry import create
    from fer_training.output_files import ready_for
    from fer_training.report.layer_table import summarize

    to_stdout = str(json_file) == "-"
    if json_file is not None and not to_stdout:
        ready_for(json_file)
    network = create(name, in_channels=in_channels, input_size=input_size, num_classes=num_classes)
    result = summarize(network, in_channels=in_channels, input_size=input_size)
    text = json.dumps(result.as_dict(), indent=2) + "\n"
    if to_stdout:
        typer.echo(text, nl=False)
        return
    width = max(len(row.name) for row in result.layers)
    typer.echo(f"{'layer':<{width}}  {'type':<20}  {'output':>16}  {'parameters':>11}")
    for row in result.layers:
        shape = " x ".join(map(str, row.output_shape))
        typer.echo(f"{row.name:<{width}}  {row.type:<20}  {shape:>16}  {row.parameters:>11,}")
    typer.echo(
        f"{name}: {result.total:,} parameters, {result.trainable:,} trainable, "
        f"{result.multiply_adds / 1e6:.1f} M multiply-adds"
    )
    if json_file is not None:
        write_atomically(json_file, text)
