"""Writes the file from which an interrupted run goes on: beside its place, synced, then renamed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from fer_perception.system.files import replacing


class ResumeFileIO(TorchCheckpointIO):
    """Checkpoint files of Lightning's trainer that are whole, whenever the process or the machine ends.

    Lightning's own writes into the directory for temporary files, and copies from there over the earlier file where
    that is another file system: a kill in between leaves half of it, and nothing of the earlier one.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write a checkpoint.

        Args:
            checkpoint: tensors and plain values.
            path: of the file; its folder is made where it is missing.
            storage_options: none are known.

        Raises:
            OSError: it could not be written; the earlier file is untouched.
        """
        del storage_options
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as file:
            try:
                torch.save(checkpoint, file)
            except RuntimeError as err:
                # PyTorch's writer says so of a full disk, and hides the error of the system behind it.
                if isinstance(err.__context__, OSError):
                    raise err.__context__ from None
                raise
