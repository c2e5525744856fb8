"""Callbacks of a run: a CSV file of the epochs that survives interruptions, progress, averages, early stopping."""

from __future__ import annotations

import csv
import io
import logging
import signal
import threading
import time
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import lightning as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import Checkpoint as SaveCallback
from lightning.pytorch.callbacks import (
    EarlyStopping,
    RichProgressBar,
    WeightAveraging,
)
from numpy.typing import NDArray
from torch import Tensor

from fer_perception.system.files import write_atomically
from fer_training.checkpoint import Checkpoint, CheckpointError, save_checkpoint
from fer_training.fit.module import ExpressionModule
from fer_training.fit.run_directory import (
    source_commit,
)
from fer_training.recipe import Recipe, recipe_to_yaml, without_folders

log = logging.getLogger(__name__)


class EpochLog(pl.Callback):
    """Writes one row an epoch: epoch (from 1), learning rate and every logged figure.

    Lightning's own CSV logger starts its file anew when a run is resumed; this one keeps the rows in the checkpoint, so
    that the file of a resumed run equals that of an unbroken one.

    Args:
        path: the CSV file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """All figures of the epoch are known here; the checkpoint is written later."""
        del pl_module
        row = {"epoch": trainer.current_epoch + 1.0, "lr": float(trainer.optimizers[0].param_groups[0]["lr"])}
        row |= {name: float(value) for name, value in sorted(trainer.callback_metrics.items())}
        self._rows.append(row)
        self._write(trainer)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A run that had ended already has no further epoch, and its file may have been deleted since."""
        del pl_module
        self._write(trainer)

    def _write(self, trainer: pl.Trainer) -> None:
        if not trainer.is_global_zero or not self._rows:
            return
        columns = list(dict.fromkeys(name for known in self._rows for name in known))
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, columns)
        writer.writeheader()
        writer.writerows(self._rows)
        write_atomically(self._path, text.getvalue(), error=CheckpointError)

    def state_dict(self) -> dict[str, Any]:
        """State for a resumed run."""
        return {"rows": self._rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up where the interrupted run stood."""
        self._rows = list(state_dict["rows"])


class EpochBar(RichProgressBar):
    """Lightning's progress bar, which counts epochs from 1 as all files do and whose figures fit 80 columns."""

    def get_metrics(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """The figures of the last validation under short names; the logger's version is none."""
        shown = {"validation_loss": "val_loss", "validation_accuracy": "val_acc"}
        figures = super().get_metrics(trainer, pl_module)
        return {shown.get(name, name): value for name, value in figures.items() if name != "v_num"}

    def _get_train_description(self, current_epoch: int) -> str:
        return (
            super()
            ._get_train_description(current_epoch + 1)
            .replace(f"/{(self.trainer.max_epochs or 0) - 1}", f"/{self.trainer.max_epochs}")
        )


class EpochLines(SaveCallback):
    """Logs one line an epoch, with the time that is left; for runs without a progress bar.

    A "checkpoint" only so that Lightning calls it behind the one that saves: what the line says is on disk.

    Args:
        epochs: of the whole run.
    """

    def __init__(self, epochs: int) -> None:
        self._epochs = epochs
        self._begun = 0.0
        self._first = 0
        self._rate = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A resumed run judges the time left by its own epochs."""
        del pl_module
        self._begun, self._first = time.monotonic(), trainer.current_epoch

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The learning rate as the file of all epochs has it: at the epoch's end a plateau schedule has lowered it."""
        del pl_module
        self._rate = float(trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """All figures of the epoch are known here."""
        del pl_module
        if not trainer.is_global_zero:
            return
        done = trainer.current_epoch + 1
        pace = (time.monotonic() - self._begun) / (done - self._first)
        figures = {name: float(value) for name, value in trainer.callback_metrics.items()}
        parts = [
            f"{part} loss {figures[f'{part}_loss']:.4f}, accuracy {100 * figures[f'{part}_accuracy']:.2f} %"
            for part in ("train", "validation")
            if f"{part}_loss" in figures
        ]
        left = pace * (self._epochs - done) / 60
        log.info(
            "epoch %d of %d: lr %.4g; %s; %.1f s an epoch, %.0f min left",
            done,
            self._epochs,
            self._rate,
            "; ".join(parts),
            pace,
            left,
        )


class AveragedWeights(WeightAveraging):
    """Exponential moving average of the weights that stays in place until the whole validation has ended.

    The decay warms up: after n steps it is the smaller of `decay` and (1 + n) / (10 + n), so that the average of a
    short run is one of its last weights and not of its first. n is saved with the run.

    Lightning's own puts the weights of the last step back when the validation epoch ends, before `on_validation_end` of
    any callback: what is saved there would not be what was measured.

    Args:
        decay: of a step, once warmed up, in [0, 1).
    """

    def __init__(self, decay: float) -> None:
        def average(averaged: Tensor, current: Tensor, steps: Tensor | int) -> Tensor:
            # A tensor where the weights are, so that a GPU is not waited for.
            counted = torch.as_tensor(steps, device=averaged.device)
            kept = torch.clamp((1 + counted) / (10 + counted), max=decay)
            return kept * averaged + (1 - kept) * current

        super().__init__(avg_fn=average)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the averaged weights in place."""

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the weights of the last step back."""
        super().on_validation_epoch_end(trainer, pl_module)


class StopEarly(EarlyStopping):
    """Early stopping that also keeps a run that had stopped from going on when it is started again."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Lightning restores the count of epochs without gain, but not that it had been reached."""
        del pl_module
        if self.wait_count >= self.patience:
            trainer.should_stop = True


class SaveWeights(pl.Callback):
    """After each epoch, write the (averaged) weights as safetensors; `keep` decides which epoch's survive.

    Args:
        path: file to write.
        recipe: of the run.
        labels: class names in output order.
        class_prior: mean of the training targets (`training_prior`).
        trained: hashes of the images that it and the weights it began with were trained on; None where unknown.
        trained_before: the weights it began with were trained on unknown images.
    """

    def __init__(
        self,
        path: Path,
        recipe: Recipe,
        labels: tuple[str, ...],
        class_prior: tuple[float, ...] = (),
        *,
        trained: NDArray[np.uint64] | None = None,
        trained_before: bool = False,
    ) -> None:
        self._path = path
        self._class_prior = class_prior
        self._recipe = recipe
        self._labels = labels
        self._trained = trained
        self._trained_before = trained_before
        self._commit = source_commit()
        self._best = -1.0

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Here the averaged weights are in place and this epoch's figures are known."""
        accuracy = float(trainer.callback_metrics.get("validation_accuracy", -1.0))
        better = accuracy > self._best
        self._best = max(self._best, accuracy)
        if not trainer.is_global_zero or (self._recipe.keep == "best" and not better):
            return
        if not isinstance(pl_module, ExpressionModule):
            raise TypeError(type(pl_module).__name__)
        checkpoint = Checkpoint(
            architecture=self._recipe.architecture,
            arguments=pl_module.arguments,
            labels=self._labels,
            state=pl_module.network_state(),
            # The run directory's recipe keeps the folders.
            recipe=recipe_to_yaml(without_folders(self._recipe)),
            metrics={"epoch": trainer.current_epoch + 1, "validation_accuracy": accuracy},
            source_commit=self._commit,
            class_prior=self._class_prior,
            trained_images=self._trained,
            trained_before=self._trained_before,
        )
        save_checkpoint(self._path, checkpoint)

    def state_dict(self) -> dict[str, Any]:
        """State for a resumed run."""
        return {"best": self._best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up where the interrupted run stood."""
        self._best = float(state_dict["best"])


class StopBetweenSteps(pl.Callback):
    """Turn Ctrl-C into a `KeyboardInterrupt` between two steps or at the end; a second Ctrl-C does not wait.

    Python raises `KeyboardInterrupt` wherever the program happens to be: in a finalizer it is lost, inside a log writer
    it leaves a lock behind on which the way out waits forever. Use as a context manager around `Trainer.fit`. In any
    other thread than the main one, where no signals arrive, it does nothing.
    """

    def __init__(self) -> None:
        self._asked = False
        self._previous: Any = None

    def __enter__(self) -> StopBetweenSteps:
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
        # Behind the last step: else whoever trains one network after another would begin with the next.
        if error is None:
            self._stop()

    def _ask(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True

    def _stop(self) -> None:
        if self._asked:
            raise KeyboardInterrupt

    def on_train_batch_end(self, *arguments: Any, **named: Any) -> None:
        """A step is over."""
        del arguments, named
        self._stop()

    def on_validation_batch_end(self, *arguments: Any, **named: Any) -> None:
        """A step of the validation is over."""
        del arguments, named
        self._stop()
