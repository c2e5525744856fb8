"""`fer compile`: a TensorRT engine for this device, before the node needs it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from fer_perception.cli.common import print_line


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("compile")(compile_model)


def compile_model(
    model: Annotated[
        str,
        typer.Argument(
            metavar="[MODEL]", help="Name of an expression model (`fer models list`) or path of an ONNX file."
        ),
    ] = "",
    *,
    cache: Annotated[
        Path | None,
        typer.Option("--cache", metavar="DIR", help="Keep the engine there instead of in the user's cache."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Build even where the cache has an engine.")] = False,
) -> None:
    """Compile MODEL (default: the node's) into a TensorRT FP16 engine for this very device, and compare it.

    The engine is kept in the cache, where the node finds it; without it the node builds it at its first start. Prints
    what was taken. Needs an NVIDIA GPU, TensorRT 8.6 or later and pycuda.
    """
    from fer_perception.classification.tensorrt.classifier import open_tensorrt_classifier
    from fer_perception.model_files.onnx_file import model_file
    from fer_perception.model_files.store import ModelStore
    from fer_perception.settings.declaration import default_of
    from fer_perception.settings.pipeline_settings import PipelineSettings

    file = model_file(ModelStore().read(model or default_of(PipelineSettings, "model")))
    file.metadata()
    classifier = open_tensorrt_classifier(
        file,
        cache_directory=cache,
        progress=_say,
        reason="compiled",
        force=force,
    )
    try:
        print_line(f"{classifier.metadata.model_id}  {classifier.backend}  {classifier.reason}")
    finally:
        classifier.close()


def _say(line: str) -> None:
    sys.stderr.write(f"fer: {line}\n")
