"""`fer-train distill`: a teacher's probabilities of the training images, for `loss.teacher` in a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fer_training.data.samples import Samples


def register(app: typer.Typer) -> None:
    """Add the command `distill`."""
    app.command("distill")(distill)


def distill(
    *,
    model: Annotated[
        list[Path] | None, typer.Option(help="Teacher (.safetensors or .onnx); several are averaged.")
    ] = None,
    data: Annotated[Path, typer.Option(help="Data set: .npz, .csv, or a directory of images.")],
    out: Annotated[Path, typer.Option(help="The .npz file to write.")],
    split: Annotated[str, typer.Option(help="Which split of it.")] = "train",
    label_map: Annotated[str, typer.Option(help="Classes, as in recipes; names with commas between.")] = "fer7",
    votes: Annotated[
        bool, typer.Option("--votes", help="Foresee the label from the FER+ votes and the teachers together.")
    ] = False,
    next_vote: Annotated[
        bool,
        typer.Option(
            "--next-vote", help="No teacher: the distribution of one more FER+ vote, from the votes and the label."
        ),
    ] = False,
) -> None:
    """Write what teachers say of every image, averaged over the image and its mirror image.

    A teacher trained with `cross_fit_parts` is asked only about the part of the images that it has not seen.
    """
    import numpy as np

    from fer_training.data.load import load_dataset, only_split
    from fer_training.distillation.teacher_file import write_teacher
    from fer_training.distillation.vote_model import label_given_votes_and_teacher
    from fer_training.evaluation.evaluate import describe_model
    from fer_training.output_files import ready_for
    from fer_training.recipe import RecipeError

    ready_for(out, ".npz")
    if next_vote:
        if model or votes:
            msg = "--next-vote takes the votes and the label alone; leave out --model and --votes"
            raise RecipeError(msg)
        _write_next_vote(data, out, split)
        return
    if not model:
        msg = "there is no teacher; name one with --model, or ask for --next-vote"
        raise RecipeError(msg)
    sides = {path: describe_model(path).side for path in model}
    if len(set(sides.values())) > 1:
        listed = ", ".join(f"{path} {side}" for path, side in sides.items())
        msg = f"the teachers take images of different sizes ({listed} pixels); expected all of the student's size"
        raise RecipeError(msg)
    # At the student's size, which must be theirs: images are known by their pixels.
    classes = [name.strip() for name in label_map.split(",")]
    whole = load_dataset(data, label_map=classes if len(classes) > 1 else label_map, size=next(iter(sides.values())))
    samples = only_split(whole, split, data)
    if votes and samples.votes is None:
        msg = f"--votes needs FER+ votes and {data} has none; put fer2013new.csv beside fer2013.csv, or leave it away"
        raise RecipeError(msg)
    hashes = samples.hashes()
    probabilities = _answers(model, samples, hashes)
    source = ", ".join(path.stem for path in model) + " (mean over each image and its mirror image)"
    if votes and samples.votes is not None:
        others = whole.take(~np.isin(whole.splits, samples.splits))
        elsewhere = np.isin(hashes, others.hashes())
        probabilities = label_given_votes_and_teacher(
            samples.votes, probabilities, samples.labels, hashes, fitted_on=~elsewhere
        )
        source += ", with the FER+ votes"
    write_teacher(out, hashes, probabilities, labels=samples.label_names, source=source)
    right = float((probabilities.argmax(axis=1) == samples.labels).mean())
    typer.echo(f"{out}  {len(samples)} images, {out.stat().st_size / 1e6:.2f} MB, teacher right on {right:.4f} of them")


def _write_next_vote(data: Path, out: Path, split: str) -> None:
    """Writes the targets of `fer_training.distillation.next_vote`."""
    from fer_perception.labels import LABELS
    from fer_training.data.load import load_dataset, only_split
    from fer_training.distillation.next_vote import next_vote, seven_class_targets
    from fer_training.distillation.teacher_file import write_teacher
    from fer_training.recipe import RecipeError

    samples = only_split(load_dataset(data, label_map="fer7"), split, data)
    if samples.votes is None:
        msg = f"--next-vote needs FER+ votes and {data} has none; put fer2013new.csv beside fer2013.csv"
        raise RecipeError(msg)
    hashes = samples.hashes()
    targets = seven_class_targets(next_vote(samples.votes, samples.labels, classes=len(LABELS)), hashes)
    source = "next FER+ vote, from the votes and the label"
    write_teacher(out, hashes, targets, labels=LABELS, source=source)
    prior = ", ".join(f"{name} {share:.3f}" for name, share in zip(LABELS, targets.mean(axis=0), strict=True))
    typer.echo(f"{out}  {len(samples)} images, {out.stat().st_size / 1e6:.2f} MB; mean: {prior}")


def _answers(models: list[Path], samples: Samples, hashes: NDArray[Any]) -> NDArray[Any]:
    """(N, K) mean of the teachers that may be asked about each image."""
    import numpy as np

    from fer_training.distillation.cross_fitting import may_answer
    from fer_training.evaluation.calibration import softmax
    from fer_training.evaluation.evaluate import describe_model, run_model
    from fer_training.recipe import RecipeError

    total = np.zeros((len(samples), len(samples.label_names)))
    asked = np.zeros(len(samples), dtype=np.int64)
    for path in models:
        description = describe_model(path)
        if description.labels != samples.label_names:
            msg = (
                f"{path} has the classes {list(description.labels)}, the data set {list(samples.label_names)}; "
                "give --label-map the teacher's classes (fer8 has contempt; or their names, with commas between)"
            )
            raise RecipeError(msg)
        mine = np.flatnonzero(may_answer(description.recipe, hashes))
        if not len(mine):
            continue
        asked[mine] += 1
        for images in (samples.images[mine], samples.images[mine, :, ::-1]):
            output = run_model(path, np.ascontiguousarray(images))
            total[mine] += softmax(output.logits, output.temperature) / 2
    if not asked.all():
        msg = (
            f"{int((asked == 0).sum())} of {len(samples)} images were seen by every teacher that was given; "
            "give the networks of all parts (cross_fit_part=0, 1, ...), or one trained without cross_fit_parts"
        )
        raise RecipeError(msg)
    mean: NDArray[Any] = total / asked[:, None]
    return mean
