"""Training run: recipe in, run directory out (resolved recipe, logs, checkpoints, curves, final figures)."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import ModelCheckpoint, Timer
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.exceptions import SIGTERMException
from numpy.typing import NDArray
from torch import nn

from fer_perception.system.files import write_atomically
from fer_perception.system.text import printable
from fer_training import architectures
from fer_training.checkpoint import CheckpointError, load_checkpoint
from fer_training.deployed_network import standardize
from fer_training.distillation.teacher_networks import TeacherNetworks
from fer_training.evaluation.calibration import softmax
from fer_training.evaluation.evaluate import evaluate_probabilities, run_checkpoint
from fer_training.export.read_back import load_weights, settle_batch_norms
from fer_training.fit.batches import batch_loader
from fer_training.fit.callbacks import (
    AveragedWeights,
    EpochBar,
    EpochLines,
    EpochLog,
    SaveWeights,
    StopBetweenSteps,
    StopEarly,
)
from fer_training.fit.class_prior import training_prior
from fer_training.fit.data import FitData, load_fit_data
from fer_training.fit.mirror_symmetry import SYMMETRIC, asymmetry
from fer_training.fit.module import ExpressionModule
from fer_training.fit.resume_file import ResumeFileIO
from fer_training.fit.run_directory import (
    EPOCHS,
    METRICS,
    RESUME,
    WEIGHTS,
    check_resume_file,
    claim,
    full_place,
    refuse_other_run,
    require_utf8,
    sole_run,
)
from fer_training.recipe import Recipe, RecipeError, recipe_from_mapping
from fer_training.report.figures import confusion_png, training_curves

log = logging.getLogger(__name__)

#: Training images that the batch norms of an exported file take their statistics from.
_SETTLED_ON = 512


def fit(
    recipe: Recipe | Mapping[str, Any],
    *,
    out: Path,
    data: str | Path | None = None,
    resume: bool = True,
    progress: bool = True,
) -> dict[str, Any]:
    """Train one network.

    An interrupted run (Ctrl-C, a kill, a power cut) continues from its last finished epoch when `fit` is called again
    with the same recipe and directory, and ends with the figures of an unbroken run.

    Args:
        recipe: how to train, or a mapping of the recipe keys that differ from the defaults.
        out: run directory; made where missing.
        data: data set; overrides the recipe's.
        resume: go on from the directory's last epoch, if there is one.
        progress: show a progress bar.

    Returns:
        The final figures, also in `metrics.json`: what `evaluate_probabilities` gives on the validation images, and
        "validation_accuracy", "validation_accuracy_without_leaks" (of "without_leaks" images), "epochs",
        "train_pictures", "protocol", and
        "training_seconds" of all the calls together, up to the last finished epoch of those that were interrupted.

    Raises:
        ArchitectureError: the network cannot be built so.
        RecipeError: the recipe cannot be carried out, or the directory holds a run of another recipe, or one that is
            being trained by another process.
        DatasetError: the data set is missing, damaged or cannot be split as asked.
        NonFiniteLossError: training diverged.
        CheckpointError: a checkpoint could not be written or does not fit.
        KeyboardInterrupt: stopped by Ctrl-C or SIGTERM; call again to go on.
    """
    if not isinstance(recipe, Recipe):
        recipe = recipe_from_mapping(recipe)
    if data is not None:
        recipe = replace(recipe, data=str(data))
    # Which accelerators there are not, and adverts: nothing that a user of this package asked for.
    for name in ("lightning", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # A network that cannot be built is refused before the data set, which may be large, is read.
    with torch.device("meta"):
        network = architectures.create(
            recipe.architecture, **recipe.arguments, in_channels=recipe.in_channels, input_size=recipe.input_size
        )
        _check_smallest_side(network, recipe)
    fit_data = load_fit_data(recipe)
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    _check_shares(fit_data, world)
    require_utf8(out)
    # Under torchrun the first process stands for all; the others must not touch what may be another training's.
    with sole_run(out) if rank == 0 else contextlib.nullcontext():
        if rank == 0:
            claim(out, recipe, resume=resume)
        elif resume:
            refuse_other_run(out, recipe)
        for note in fit_data.notes if rank == 0 else ():
            log.info("%s", printable(note))
        return _train(recipe, fit_data, out, rank=rank, world=world, resume=resume, progress=progress)


def _train(
    recipe: Recipe, fit_data: FitData, out: Path, *, rank: int, world: int, resume: bool, progress: bool
) -> dict[str, Any]:
    """Train in a directory that is this run's; see `fit`."""
    pl.seed_everything(recipe.seed, verbose=False)
    train = batch_loader(fit_data.train, recipe.batch_size, seed=recipe.seed, shuffle=True, rank=rank, world_size=world)
    validation = batch_loader(fit_data.validation, 512, shuffle=False, rank=rank, world_size=world)
    shape = (recipe.in_channels, recipe.input_size, recipe.input_size)
    names = recipe.loss.teacher_networks if recipe.loss.teacher_weight > 0 else []
    teachers = TeacherNetworks(names, labels=fit_data.labels, shape=shape) if names else None
    module = ExpressionModule(
        recipe,
        classes=len(fit_data.labels),
        in_channels=recipe.in_channels,
        input_size=recipe.input_size,
        steps_per_epoch=len(train),
        teachers=teachers,
    )
    if recipe.initial:
        _start_from(module, Path(recipe.initial), fit_data)
    stop, timer = StopBetweenSteps(), Timer()
    trained, trained_before = _trained_images(recipe, fit_data)
    saver = SaveWeights(
        out / WEIGHTS,
        recipe,
        fit_data.labels,
        training_prior(recipe, fit_data.train, teachers),
        trained=trained,
        trained_before=trained_before,
    )
    trainer = _trainer(recipe, out, [stop, timer, saver], steps_per_epoch=len(train), progress=progress)
    checkpoint = out / RESUME
    going_on = resume and os.path.lexists(checkpoint)
    if going_on:
        check_resume_file(checkpoint, module.state_dict(), kept=out / WEIGHTS)
    with warnings.catch_warnings(), stop:
        # One process indexes arrays in memory: worker processes would only cost.
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*exists and is not empty.*")
        warnings.filterwarnings("ignore", message=".*LeafSpec.*")
        try:
            trainer.fit(
                module,
                train,
                validation,
                ckpt_path=str(checkpoint) if going_on else None,
                weights_only=True,
            )
        except SystemExit as err:
            # Lightning ends the process itself after Ctrl-C and SIGTERM; what to do then is the caller's decision.
            if trainer.interrupted or isinstance(err, SIGTERMException):
                raise KeyboardInterrupt from err
            raise
        except OSError as err:
            place = full_place(out) or str(err.filename or out)
            msg = f"cannot write to {place} ({err}); what was saved before is whole: free some space and run this again"
            raise CheckpointError(msg) from err
    if trainer.received_sigterm:
        # Lightning asks no more behind the last epoch.
        raise KeyboardInterrupt
    if not trainer.is_global_zero:
        return {}
    return _finish(out, trainer.current_epoch, timer.time_elapsed(), recipe, fit_data)


def _check_smallest_side(network: nn.Module, recipe: Recipe) -> None:
    """Refuses progressive resizing for a network whose layers take one size only (dense layers on a flattened map)."""
    side = recipe.training_side(0)
    try:
        network.eval()(torch.empty(1, recipe.in_channels, side, side))
    except RuntimeError:
        msg = (
            f"schedule.smallest_side is {side}, but {recipe.architecture} takes images of {recipe.input_size} pixels "
            "only; set it to 0"
        )
        raise RecipeError(msg) from None


def _trained_images(recipe: Recipe, data: FitData) -> tuple[NDArray[np.uint64], bool]:
    """Hashes of the images that the weights are trained on, and whether there are unknown ones beside them."""
    if not recipe.initial:
        return data.trained, False
    path = Path(recipe.initial)
    # An exported file does not say.
    initial = None if path.suffix.lower() == ".onnx" else load_checkpoint(path)
    if initial is None or initial.trained_images is None:
        log.warning(
            "%s does not say which images it was trained on: figures on images that only it has seen "
            "cannot be told from held-out ones",
            path,
        )
        return data.trained, True
    return np.union1d(data.trained, initial.trained_images), initial.trained_before


def _check_shares(data: FitData, processes: int) -> None:
    """Every process of a distributed run must have something to do, or the others would wait for it forever."""
    fewest = min(len(data.train), len(data.validation))
    if fewest < processes:
        msg = (
            f"{processes} processes cannot share {len(data.train)} training and {len(data.validation)} validation "
            f"images; start at most {fewest}"
        )
        raise RecipeError(msg)


def _trainer(
    recipe: Recipe,
    out: Path,
    watchers: Sequence[pl.Callback],
    *,
    steps_per_epoch: int,
    progress: bool,
) -> pl.Trainer:
    callbacks: list[pl.Callback] = [*watchers, EpochLog(out / EPOCHS)]
    if recipe.ema:
        # Behind those that want the averaged weights at the end of a validation.
        callbacks.append(AveragedWeights(decay=recipe.ema))
    if recipe.early_stopping:
        callbacks.append(StopEarly("validation_accuracy", patience=recipe.early_stopping, mode="max"))
    callbacks.append(ModelCheckpoint(dirpath=out, filename=Path(RESUME).stem, enable_version_counter=False))
    callbacks.append(EpochBar() if progress else EpochLines(recipe.epochs))
    return pl.Trainer(
        max_epochs=recipe.epochs,
        precision=recipe.precision,
        gradient_clip_val=recipe.optimizer.gradient_clip or None,
        callbacks=callbacks,
        plugins=[ResumeFileIO()],
        logger=TensorBoardLogger(out, name="", version="tensorboard"),
        enable_progress_bar=progress,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        # Under torchrun as many processes as it started; without it one.
        devices=int(os.environ.get("LOCAL_WORLD_SIZE", "1")),
        num_nodes=int(os.environ.get("GROUP_WORLD_SIZE", "1")),
        log_every_n_steps=min(50, steps_per_epoch),
    )


def _start_from(module: ExpressionModule, path: Path, data: FitData) -> None:
    """Take over the weights of a checkpoint or an exported file.

    Layers of another shape, and the head of other classes, stay new.
    """
    labels = data.labels
    initial = load_weights(path, architecture=module.recipe.architecture)
    own = module.network.state_dict()
    # As many classes need not be the same classes.
    head = set() if initial.labels == labels else module.head
    kept = {n: v for n, v in initial.state.items() if n in own and n.rpartition(".")[0] not in head}
    for name in (n for n in kept if n.rpartition(".")[0] in module.head):
        # While training the head may have outputs for the votes behind those of the classes: these stay new.
        saved, there = kept[name], own[name]
        if len(there) > len(saved) and there.shape[1:] == saved.shape[1:]:
            kept[name] = torch.cat([saved.to(there), there[len(saved) :]])
    fitting = {n: v for n, v in kept.items() if own[n].shape == v.shape}
    if len(fitting) < len(own) // 2:
        msg = f"{path} fits only {len(fitting)} of the network's {len(own)} tensors; were its arguments others?"
        raise CheckpointError(msg)
    module.network.load_state_dict(fitting, strict=False)
    if path.suffix.lower() == ".onnx":
        chosen = np.linspace(0, len(data.train) - 1, min(len(data.train), _SETTLED_ON)).round().astype(int)
        images = standardize(torch.from_numpy(data.train.images[chosen]).float())
        settle_batch_norms(module.network.eval(), images)
        module.network.train()
    if module.recipe.mirror_symmetry and asymmetry(module.network, module.head) > SYMMETRIC:
        msg = f"{path} is not mirror-symmetric: start from a network that was trained so, or set mirror_symmetry=false"
        raise CheckpointError(msg)
    log.info("started from %s: %d of %d tensors, the others are new", path, len(fitting), len(own))


def _finish(out: Path, epochs: int, seconds: float, recipe: Recipe, data: FitData) -> dict[str, Any]:
    """Measure the written weights once more in float32, draw the curves and write the figures."""
    checkpoint = load_checkpoint(out / WEIGHTS, architecture=recipe.architecture)
    output = run_checkpoint(checkpoint, data.validation.images)
    probabilities = softmax(output.logits)
    labels = data.validation.labels
    figures = evaluate_probabilities(probabilities, labels, data.labels)
    right = probabilities.argmax(axis=1) == labels
    metrics: dict[str, Any] = {
        **figures,
        "validation_accuracy": float(right.mean()),
        "validation_accuracy_without_leaks": float(right[~data.leaked].mean()) if not data.leaked.all() else None,
        "without_leaks": int((~data.leaked).sum()),
        "epochs": epochs,
        "training_seconds": seconds,
        "train_pictures": len(data.train),
        "protocol": data.protocol,
        "source_commit": checkpoint.source_commit,
    }
    write_atomically(out / METRICS, json.dumps(metrics, indent=2, sort_keys=True) + "\n", error=CheckpointError)
    training_curves(out / EPOCHS, out / "curves.png")
    confusion_png(figures["confusion"], data.labels, out / "confusion.png", title=recipe.architecture)
    return metrics
