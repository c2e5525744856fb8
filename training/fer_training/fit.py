"""One training run: recipe in, run directory out (resolved recipe, logs, checkpoints, curves, final figures)."""

from __future__ import annotations

import json
import logging
import os
import platform
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import lightning as pl
import torch
import yaml
from lightning.pytorch.callbacks import EarlyStopping, EMAWeightAveraging, ModelCheckpoint, RichProgressBar
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from fer_training.batches import batch_loader
from fer_training.checkpoint import Checkpoint, save_checkpoint
from fer_training.expression_module import ExpressionModule
from fer_training.fit_data import FitData, load_fit_data
from fer_training.recipe import Recipe, RecipeError, recipe_to_yaml

log = logging.getLogger(__name__)

WEIGHTS = "weights.safetensors"
RESUME = "resume.ckpt"


class SaveWeights(pl.Callback):
    """After each epoch, write the (averaged) weights as safetensors; `keep` decides which epoch's survive."""

    def __init__(self, directory: Path, recipe: Recipe, data: FitData, commit: str) -> None:
        self._directory = directory
        self._recipe = recipe
        self._data = data
        self._commit = commit
        self._best = -1.0

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Here the averaged weights are in place and this epoch's figures are known."""
        accuracy = float(trainer.callback_metrics.get("validation_accuracy", -1.0))
        better = accuracy > self._best
        self._best = max(self._best, accuracy)
        if trainer.sanity_checking or not trainer.is_global_zero or (self._recipe.keep == "best" and not better):
            return
        self.write(pl_module, {"epoch": trainer.current_epoch, "validation_accuracy": accuracy})

    def write(self, module: pl.LightningModule, metrics: dict[str, Any]) -> None:
        """Write the weights the module has now."""
        if not isinstance(module, ExpressionModule):
            raise TypeError(type(module).__name__)
        checkpoint = Checkpoint(
            architecture=self._recipe.architecture,
            arguments=module.arguments,
            labels=self._data.labels,
            state=module.network_state(),
            recipe=recipe_to_yaml(self._recipe),
            metrics=metrics,
            source_commit=self._commit,
        )
        save_checkpoint(self._directory / WEIGHTS, checkpoint)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run must know."""
        return {"best": self._best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up where the interrupted run stood."""
        self._best = float(state_dict["best"])


def fit(recipe: Recipe, *, out: Path, resume: bool = True, progress: bool = True) -> dict[str, Any]:
    """Train one network.

    An interrupted run (Ctrl-C, a kill, a power cut) continues from its last finished epoch when `fit` is called again with
    the same recipe and directory, and ends with the figures of an unbroken run.

    Args:
        recipe: how to train.
        out: run directory; made where missing.
        resume: go on from the directory's last epoch, if there is one.
        progress: show a progress bar.

    Returns:
        The final figures (also in `metrics.json`): "validation_accuracy", "validation_loss", "epochs", "train_pictures", ...

    Raises:
        RecipeError: the recipe cannot be carried out, or the directory holds a run of another recipe.
        NonFiniteLossError: training diverged.
        CheckpointError: a checkpoint could not be written.
    """
    _claim(out, recipe, resume)
    pl.seed_everything(recipe.seed, verbose=False)
    torch.set_float32_matmul_precision("high")
    data = load_fit_data(recipe)
    for note in data.notes:
        log.info(note)
    commit = source_commit()
    trainer_rank = int(os.environ.get("RANK", "0"))
    world = int(os.environ.get("WORLD_SIZE", "1"))
    train = batch_loader(
        data.train, recipe.batch_size, seed=recipe.seed, shuffle=True, rank=trainer_rank, world_size=world
    )
    validation = batch_loader(data.validation, 512, shuffle=False, rank=trainer_rank, world_size=world)
    module = ExpressionModule(
        recipe,
        classes=len(data.labels),
        in_channels=data.train.images.shape[1],
        input_size=data.train.images.shape[2],
        steps_per_epoch=len(train),
    )
    saver = SaveWeights(out, recipe, data, commit)
    callbacks: list[pl.Callback] = []
    if recipe.ema:
        callbacks.append(EMAWeightAveraging(decay=recipe.ema))
    callbacks.append(saver)
    if recipe.early_stopping:
        callbacks.append(EarlyStopping("validation_accuracy", patience=recipe.early_stopping, mode="max"))
    callbacks.append(
        ModelCheckpoint(dirpath=out, filename="resume", save_top_k=1, every_n_epochs=1, enable_version_counter=False)
    )
    if progress:
        callbacks.append(RichProgressBar())
    trainer = pl.Trainer(
        max_epochs=recipe.epochs,
        precision=recipe.precision,  # type: ignore[arg-type]
        gradient_clip_val=recipe.optimizer.gradient_clip or None,
        callbacks=callbacks,
        logger=[CSVLogger(out, name="", version="csv"), TensorBoardLogger(out, name="", version="tensorboard")],
        enable_progress_bar=progress,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        log_every_n_steps=50,
        num_nodes=int(os.environ.get("GROUP_WORLD_SIZE", "1")),
    )
    checkpoint = out / RESUME
    trainer.fit(
        module, train, validation, ckpt_path=str(checkpoint) if resume and checkpoint.is_file() else None,
        weights_only=False,
    )
    if trainer.interrupted:
        raise KeyboardInterrupt
    return _finish(out, trainer, data)


def _claim(out: Path, recipe: Recipe, resume: bool) -> None:
    """Make the run directory and write down the resolved recipe; refuse another run's directory."""
    out.mkdir(parents=True, exist_ok=True)
    written = out / "recipe.yaml"
    text = recipe_to_yaml(recipe)
    if resume and written.is_file() and yaml.safe_load(written.read_text()) != yaml.safe_load(text):
        msg = f"{out} holds a run of another recipe; take another --out, or --fresh to start over"
        raise RecipeError(msg)
    if not resume:
        for name in ("csv", "tensorboard"):
            shutil.rmtree(out / name, ignore_errors=True)
        (out / RESUME).unlink(missing_ok=True)
    written.write_text(text)
    packages = {}
    for name in ("torch", "lightning", "kornia", "numpy", "fer_perception"):
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = "unknown"
    environment = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": packages,
        "source_commit": source_commit(),
        "command": sys.argv,
    }
    (out / "environment.json").write_text(json.dumps(environment, indent=2) + "\n")


def _finish(out: Path, trainer: pl.Trainer, data: FitData) -> dict[str, Any]:
    figures = {name: float(value) for name, value in trainer.callback_metrics.items()}
    metrics: dict[str, Any] = {
        **figures,
        "epochs": trainer.current_epoch,
        "train_pictures": len(data.train),
        "validation_pictures": len(data.validation),
    }
    if trainer.is_global_zero:
        (out / "metrics.json").write_text(json.dumps(metrics, indent=2, sort_keys=True) + "\n")
    return metrics


def source_commit() -> str:
    """Commit of the source tree this package runs from, with "+changes" where it is modified; "" outside git."""
    directory = Path(__file__).parent
    git = shutil.which("git")
    if git is None:
        return ""
    try:
        head = subprocess.run(  # noqa: S603  (fixed arguments, no shell)
            [git, "-C", str(directory), "rev-parse", "HEAD"], capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()
        changed = subprocess.run(  # noqa: S603
            [git, "-C", str(directory), "status", "--porcelain", "--untracked-files=no", "--", str(directory)],
            capture_output=True, text=True, check=True, timeout=10,
        ).stdout.strip()
    except (subprocess.SubprocessError, OSError):
        return ""
    return head + ("+changes" if changed else "")
