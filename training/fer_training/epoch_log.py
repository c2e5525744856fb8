"""The figures of every epoch as a CSV file that survives interruptions."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import lightning as pl


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
        if not trainer.is_global_zero:
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
