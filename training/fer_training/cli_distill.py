"""`fer-train distill`: a teacher's probabilities of the training pictures, for `loss.teacher` in a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command `distill`."""
    app.command("distill")(distill)


def distill(
    *,
    model: Annotated[list[Path], typer.Option(help="Teacher (.safetensors or .onnx); several are averaged.")],
    data: Annotated[Path, typer.Option(help="Data set: npz or csv file, or folder.")],
    out: Annotated[Path, typer.Option(help="The .npz file to write.")],
    split: Annotated[str, typer.Option(help="Which split of it.")] = "train",
    label_map: Annotated[str, typer.Option(help="Classes, as in recipes.")] = "fer7",
) -> None:
    """Write what teachers say of every picture, averaged over the picture and its mirror image."""
    import numpy as np

    from fer_training.calibration import softmax
    from fer_training.evaluate import run_model
    from fer_training.readers import load_dataset
    from fer_training.recipe import RecipeError
    from fer_training.teacher_file import write_teacher

    samples = load_dataset(data, split=split, label_map=label_map)
    total = np.zeros((len(samples), len(samples.label_names)))
    for path in model:
        for images in (samples.images, samples.images[:, :, ::-1]):
            output = run_model(path, np.ascontiguousarray(images))
            if output.labels != samples.label_names:
                msg = (
                    f"{path} has the classes {list(output.labels)}, the label map {label_map} "
                    f"{list(samples.label_names)}; give --label-map the teacher's classes (fer8 has contempt)"
                )
                raise RecipeError(msg)
            total += softmax(output.logits, output.temperature)
    probabilities = total / (2 * len(model))
    source = ", ".join(path.stem for path in model) + " (mean over each picture and its mirror image)"
    write_teacher(out, samples.hashes(), probabilities, labels=samples.label_names, source=source)
    right = float((probabilities.argmax(axis=1) == samples.labels).mean())
    typer.echo(
        f"{out}  {len(samples)} pictures, {out.stat().st_size / 1e6:.2f} MB, teacher right on {right:.4f} of them"
    )
