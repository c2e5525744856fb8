"""`fer-train compile`: a TensorRT engine for this device, on request from the PyTorch module through torch2trt."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fer_perception.classification.tensorrt.classifier import OtherBuilder
    from fer_perception.model_files.metadata import ModelMetadata


def register(app: typer.Typer) -> None:
    """Add the command `compile`."""
    app.command("compile")(compile_engine)


def compile_engine(
    *,
    model: Annotated[Path, typer.Option(help="The FP32 .onnx file written by `fer-train export`; the engine is its.")],
    builder: Annotated[
        str, typer.Option(help="onnx: as `fer compile`; torch2trt: from the PyTorch module in --checkpoint.")
    ] = "onnx",
    checkpoint: Annotated[
        Path | None, typer.Option(help="The checkpoint --model was exported from (torch2trt only).")
    ] = None,
    cache: Annotated[Path | None, typer.Option(help="Keep the engine there instead of in the user's cache.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Build even where the cache has an engine.")] = False,
) -> None:
    """Compile a model into an FP16 engine for this device, compare it with ONNX Runtime and keep it for the node."""
    from fer_perception.classification.tensorrt.classifier import open_tensorrt_classifier
    from fer_perception.inference.tensorrt.engine_key import BUILDERS
    from fer_perception.model_files.onnx_file import read_model_file

    if builder not in BUILDERS:
        msg = f"there is no builder {builder!r}; expected one of: {', '.join(BUILDERS)}"
        raise typer.BadParameter(msg)
    if builder == "torch2trt" and checkpoint is None:
        msg = "--builder torch2trt builds from the PyTorch module; name its --checkpoint"
        raise typer.BadParameter(msg)
    file = read_model_file(model)
    metadata = file.metadata()
    classifier = open_tensorrt_classifier(
        file,
        cache_directory=cache,
        progress=_say,
        reason="compiled",
        force=force,
        other_builder=_torch2trt(checkpoint, metadata, model) if checkpoint and builder == "torch2trt" else None,
    )
    try:
        typer.echo(f"{metadata.model_id}  {classifier.backend}  {classifier.reason}")
    finally:
        classifier.close()


def _torch2trt(checkpoint: Path, metadata: ModelMetadata, model: Path) -> OtherBuilder:
    from fer_perception.classification.tensorrt.classifier import OtherBuilder
    from fer_perception.errors import ModelError
    from fer_training.checkpoint import load_checkpoint
    from fer_training.deployed_network import input_shape, load_network
    from fer_training.export.torch2trt import HalfSafeNetwork, build_with_torch2trt

    loaded = load_checkpoint(checkpoint)
    shape = input_shape(loaded)
    if (shape, tuple(loaded.labels)) != (metadata.input_shape, metadata.labels):
        msg = f"{model} was not exported from {checkpoint}: other labels or another input size; name the right one"
        raise ModelError(msg)
    network = HalfSafeNetwork(load_network(loaded), loaded.temperature, loaded.biases).eval()
    return OtherBuilder("torch2trt", lambda: build_with_torch2trt(network, shape))


def _say(line: str) -> None:
    sys.stderr.write(f"fer-train: {line}\n")
