"""What every backend checks of a batch and of its answer, and how a batch beyond the largest is split."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fer_perception.errors import BackendError, ModelError

#: Largest batch given to a backend at once; the maximum of the TensorRT optimisation profile.
MAX_BATCH = 64

#: Rows of probabilities may be this far from sum 1 (half precision inside).
SUM_TOLERANCE = 5e-3


def check_batch(batch: NDArray[np.float32], shape: tuple[int, int, int]) -> None:
    """Refuse what the model was not made for.

    Args:
        batch: to be classified; expected (N, *shape) float32.
        shape: (C, H, W) of the model.

    Raises:
        BackendError: another shape or dtype; the message names both.
    """
    if batch.dtype != np.float32 or batch.ndim != 4 or batch.shape[1:] != shape:
        expected = ", ".join(("N", *map(str, shape)))
        msg = (
            f"the batch is {batch.dtype} of shape {batch.shape}; expected float32 ({expected}), gray values 0 to 255, "
            "as `fer_perception.crops.crop_faces` returns them"
        )
        raise BackendError(msg)


def check_probabilities(output: NDArray[np.float32], *, rows: int, labels: tuple[str, ...], path: str) -> None:
    """Refuse a model whose answer to a trial batch is not one probability a label.

    Args:
        output: what the model answered.
        rows: pictures in the trial batch.
        labels: K class names of its metadata.
        path: of the model, for the message.

    Raises:
        ModelError: wrong shape, K different from the label list, not finite, or rows that do not sum to 1.
    """
    mend = "export it again with `fer-train export`"
    if output.ndim != 2 or output.shape[0] != rows:
        msg = f"{path} answers {rows} pictures with shape {output.shape}; expected ({rows}, {len(labels)}); {mend}"
        raise ModelError(msg)
    if output.shape[1] != len(labels):
        msg = f"{path} has {output.shape[1]} outputs but {len(labels)} labels ({', '.join(labels)}); {mend}"
        raise ModelError(msg)
    sums = output.astype(np.float64).sum(axis=1)
    if not np.isfinite(output).all() or output.min() < 0 or np.abs(sums - 1).max() > SUM_TOLERANCE:
        first = output[0].tolist()
        msg = f"{path} does not answer with probabilities (first row {first}); the softmax belongs inside; {mend}"
        raise ModelError(msg)


def in_parts(
    batch: NDArray[np.float32], run: Callable[[NDArray[np.float32]], NDArray[np.float32]], *, classes: int
) -> NDArray[np.float32]:
    """Run a batch of any size in parts of at most `MAX_BATCH`.

    Args:
        batch: (N, C, H, W) float32, N from 0 up.
        run: answers 1 to `MAX_BATCH` pictures with (n, K).
        classes: K.

    Returns:
        (N, K) float32.
    """
    if len(batch) == 0:
        return np.empty((0, classes), dtype=np.float32)
    batch = np.ascontiguousarray(batch)
    if len(batch) <= MAX_BATCH:
        return run(batch)
    parts = [run(batch[start : start + MAX_BATCH]) for start in range(0, len(batch), MAX_BATCH)]
    return np.concatenate(parts)
