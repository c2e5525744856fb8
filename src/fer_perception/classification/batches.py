"""Checks of batches and outputs common to all backends, and splitting of batches beyond the largest size."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fer_perception.errors import BackendError, ModelError

#: Largest batch given to a backend at once; the maximum of the TensorRT optimization profile.
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
            "as `fer_perception.imaging.crops.crop_faces` returns them"
        )
        raise BackendError(msg)


def check_probabilities(output: NDArray[np.float32], *, rows: int, labels: tuple[str, ...], path: str) -> None:
    """Refuse a model whose answer to a trial batch is not one probability a label.

    Args:
        output: what the model answered.
        rows: images in the trial batch.
        labels: K class names of its metadata.
        path: of the model, for the message.

    Raises:
        ModelError: wrong shape, K different from the label list, not finite, or rows that do not sum to 1.
    """
    fix = "export it again with `fer-train export`"
    if output.ndim != 2 or output.shape[0] != rows:
        msg = f"{path} answers {rows} images with shape {output.shape}; expected ({rows}, {len(labels)}); {fix}"
        raise ModelError(msg)
    if output.shape[1] != len(labels):
        msg = f"{path} has {output.shape[1]} outputs but {len(labels)} labels ({', '.join(labels)}); {fix}"
        raise ModelError(msg)
    sums = output.astype(np.float64).sum(axis=1)
    if not np.isfinite(output).all() or output.min() < 0 or np.abs(sums - 1).max() > SUM_TOLERANCE:
        first = output[0].tolist()
        msg = f"{path} does not answer with probabilities (first row {first}); the softmax belongs inside; {fix}"
        raise ModelError(msg)


def in_parts(
    batch: NDArray[np.float32],
    run: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    *,
    classes: int,
    largest: int = MAX_BATCH,
) -> NDArray[np.float32]:
    """Run a batch of any size in parts.

    Args:
        batch: (N, C, H, W) float32, N from 0 up.
        run: answers 1 to `largest` images with (n, K).
        classes: K.
        largest: images in one part, at least 1.

    Returns:
        (N, K) float32.

    Raises:
        BackendError: a part was answered with another shape.
    """
    if len(batch) == 0:
        return np.empty((0, classes), dtype=np.float32)
    batch = np.ascontiguousarray(batch)
    parts = [batch[start : start + largest] for start in range(0, len(batch), largest)]
    answers = [run(part) for part in parts]
    for part, answer in zip(parts, answers, strict=True):
        # A backend whose answer to the trial batch was right may shape one of another size otherwise.
        if answer.shape != (len(part), classes):
            msg = f"{len(part)} faces were answered with shape {answer.shape}; expected ({len(part)}, {classes})"
            raise BackendError(msg)
    return answers[0] if len(answers) == 1 else np.concatenate(answers)


def comparison_batch(shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """The fixed images on which a compiled engine is compared with ONNX Runtime; more than one largest batch.

    Noise, gradients and blobs of low to full contrast, a chessboard, and flat black, gray and white: what overflows or
    underflows in half precision shows at the extremes.

    Args:
        shape: (C, H, W).

    Returns:
        (MAX_BATCH + 6, C, H, W) float32 in [0, 255].
    """
    channels, height, width = shape
    random = np.random.default_rng(48)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    images = [np.full((height, width), level, np.float32) for level in (0.0, 128.0, 255.0)]
    images.append(((x + y) % 2 * 255).astype(np.float32))
    while len(images) < MAX_BATCH + 6:
        contrast = (4.0, 40.0, 127.5)[len(images) % 3]
        angle, cx, cy = random.uniform(0, 2 * np.pi), random.uniform(0, width), random.uniform(0, height)
        gradient = (np.cos(angle) * (x / width - 0.5) + np.sin(angle) * (y / height - 0.5)) * contrast
        blob = contrast * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * (width / 6) ** 2))
        noise = random.normal(0, contrast / 4, (height, width))
        images.append(np.clip(127.5 + gradient + blob + noise, 0, 255).astype(np.float32))
    batch = np.stack(images)[:, None]
    return np.ascontiguousarray(np.repeat(batch, channels, axis=1), dtype=np.float32)
