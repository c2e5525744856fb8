"""`fer-train export`: a checkpoint as ONNX, and on request its FP16 and INT8 versions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fer_training.checkpoint import Checkpoint
    from fer_training.evaluation.data import EvaluationData


def register(app: typer.Typer) -> None:
    """Add the command `export`."""
    app.command("export")(export)


def export(
    *,
    checkpoint: Annotated[
        Path,
        typer.Option(help="Checkpoint (.safetensors) written by `fer-train fit`, or an .onnx file exported before."),
    ],
    out: Annotated[Path, typer.Option(help="The .onnx file to write.")],
    name: Annotated[str | None, typer.Option(help="Model name in the metadata; default: the file's name.")] = None,
    fp16: Annotated[bool, typer.Option("--fp16", help="Also write *_fp16.onnx, for TensorRT 10.12 and later.")] = False,
    int8: Annotated[bool, typer.Option("--int8", help="Also write *_int8.onnx, calibrated on --data.")] = False,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Data set (.npz, .csv, or a directory of images) for the checks on real images, and for INT8."
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="Split of --data: train, validation, test, held-out (images that were not trained on), or all. "
            "Default: validation; of a data set without splits held-out."
        ),
    ] = None,
    targets: Annotated[
        str, typer.Option(help="Which labels of --data: labels, or ferplus_majority for a model of the FER+ classes.")
    ] = "labels",
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Fit the temperature on --data first and record its figures.")
    ] = False,
    biases: Annotated[
        bool,
        typer.Option(
            "--biases",
            help="With --calibrate: fit one bias a class too, both on the FER+ vote shares where --data has votes.",
        ),
    ] = False,
    classes: Annotated[
        str, typer.Option(metavar="A,B,...", help="Keep these outputs only, in this order; the rest is renormalized.")
    ] = "",
    prior: Annotated[
        str,
        typer.Option(
            metavar="uniform|FILE|A,B,...",
            help="Move the probabilities to this class prior (a number a class), by biases in the graph.",
        ),
    ] = "",
    trained_prior: Annotated[
        str,
        typer.Option(
            metavar="uniform|FILE|A,B,...", help="The class prior of a checkpoint that does not state its own."
        ),
    ] = "",
) -> None:
    """Write a checkpoint as ONNX (opset 17, IR version 8, one file), checked against PyTorch."""
    from fer_perception.model_files.onnx_file import version_path
    from fer_training.deployed_network import input_shape
    from fer_training.evaluation.data import load_evaluation_data
    from fer_training.evaluation.evaluate import calibrate_checkpoint
    from fer_training.export.class_prior import read_prior, with_prior
    from fer_training.export.export import export_checkpoint
    from fer_training.export.fp16 import export_fp16
    from fer_training.output_files import ready_for

    _check_options(needs_data=(int8 or calibrate) and data is None, alone=biases and not calibrate)
    # So that every command knows the file for what it is.
    ready_for(out, ".onnx")
    if out.resolve() == checkpoint.resolve():
        msg = f"--out {out} is the --checkpoint; give it another name"
        raise typer.BadParameter(msg)
    loaded = _load(checkpoint, trained_prior, classes)
    wanted = read_prior(prior, loaded.labels) if prior else None
    evaluation: EvaluationData | None = None
    if data is not None:
        evaluation = load_evaluation_data(
            data,
            split=split,
            size=input_shape(loaded)[1],
            targets=targets,
            contempt="contempt" in loaded.labels,
            trained=loaded.trained_images,
        )
        if calibrate:
            loaded = calibrate_checkpoint(loaded, evaluation, biases=biases)
            and_biases = f" and biases {_listed(loaded.labels, loaded.biases)}" if biases else ""
            seen = loaded.metrics[evaluation.split]["trained_images"]
            words = (
                f", {seen} of its {len(evaluation.images)} images TRAINED ON: answers will be too sure" if seen else ""
            )
            typer.echo(
                f"temperature {loaded.temperature:.4f}{and_biases} fitted on {evaluation.split}{words}", err=True
            )
    if wanted is not None:
        loaded = with_prior(loaded, wanted)
    elif not loaded.class_prior:
        typer.echo(
            f"{checkpoint} does not say under which class prior its probabilities are posteriors, so the file will not "
            "either, and is taken to have a uniform one; state it with --trained-prior",
            err=True,
        )
    real = None if evaluation is None else evaluation.images[:256]
    metadata = export_checkpoint(loaded, out, name=name or out.stem, images=real)
    typer.echo(f"{out}  {metadata.model_id}  {out.stat().st_size / 1e6:.2f} MB  temperature {metadata.temperature:.4f}")
    if metadata.class_prior:
        typer.echo(f"class prior {_listed(metadata.labels, metadata.class_prior)}", err=True)
    for version, asked in (("fp16", fp16), ("int8", int8)):
        older = version_path(out, version)
        if not asked and older.is_file():
            typer.echo(f"{older} is of an earlier export: delete it, or export with --{version}", err=True)
    if fp16:
        half = export_fp16(out, images=real)
        typer.echo(
            f"{half.path}  {half.path.stat().st_size / 1e6:.2f} MB  {half.half_nodes} operators in FP16, "
            f"largest difference in a probability {half.max_difference:.2e}"
        )
    if int8 and data is not None and evaluation is not None:
        _export_int8(out, data, evaluation)


def _check_options(*, needs_data: bool, alone: bool) -> None:
    """Refuse options that do not go together."""
    if needs_data:
        msg = "--int8 and --calibrate need images; name a data set with --data"
        raise typer.BadParameter(msg)
    if alone:
        msg = "--biases says what --calibrate fits; give both"
        raise typer.BadParameter(msg)


def _load(path: Path, trained_prior: str, classes: str) -> Checkpoint:
    """The checkpoint with the prior and the classes that the options state."""
    from dataclasses import replace

    from fer_training.export.class_prior import keep_classes, read_prior
    from fer_training.export.read_back import load_weights

    loaded = load_weights(path)
    if trained_prior:
        loaded = replace(loaded, class_prior=read_prior(trained_prior, loaded.labels))
    return keep_classes(loaded, [name.strip() for name in classes.split(",")]) if classes else loaded


def _listed(labels: Sequence[str], values: Sequence[float]) -> str:
    return ", ".join(f"{label} {value:.3f}" for label, value in zip(labels, values, strict=True))


def _export_int8(model: Path, data: Path, judged: EvaluationData) -> None:
    """Write the INT8 version, calibrated on training images where the data set has them, and compare accuracies."""
    from fer_perception.model_files.onnx_file import version_path
    from fer_training.data.samples import DatasetError
    from fer_training.evaluation.data import load_evaluation_data
    from fer_training.evaluation.evaluate import evaluate_model
    from fer_training.export.int8 import quantize_int8

    try:
        calibration = load_evaluation_data(data, split="train", size=judged.images.shape[1]).images
    except DatasetError:
        calibration = judged.images
        typer.echo(f"{data} has no split 'train': INT8 is calibrated on the images it is judged by", err=True)
    out = version_path(model, "int8")
    quantize_int8(model, out, calibration)
    single = evaluate_model(model, judged)
    quantized = evaluate_model(out, judged)
    typer.echo(
        f"{out}  {out.stat().st_size / 1e6:.2f} MB  accuracy {quantized['accuracy']:.4f} against "
        f"{single['accuracy']:.4f} in FP32 on {judged.split} (n {single['n']}), "
        f"ECE {quantized['ece']:.4f} against {single['ece']:.4f}"
    )
