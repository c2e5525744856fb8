"""The figures of every epoch: a CSV file that survives interruptions; a bar for terminals, lines for unwatched runs."""

from __future__ import annotations

import csv
import logging
import time
from pathlib import Path
from typing import Any

import lightning as pl
from lightning.pytorch.callbacks import Checkpoint, RichProgressBar

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
        with self._path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(self._rows)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run must know."""
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


class EpochLines(Checkpoint):
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
