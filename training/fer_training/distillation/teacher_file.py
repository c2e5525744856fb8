"""Teacher probabilities on disk: half precision, found by the hash of the image, no image inside."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_perception.system.files import write_atomically
from fer_training.data.npz_file import read_arrays
from fer_training.recipe import RecipeError, beside_recipes

#: Bytes of each SHA-256 that are kept: enough to tell 30,000 images apart with certainty for all practical purposes.
HASH_BYTES = 8


def write_teacher(
    path: Path,
    hashes: Sequence[str] | NDArray[np.str_],
    probabilities: NDArray[np.floating],
    *,
    labels: Sequence[str],
    source: str,
) -> None:
    """Write the teacher's answers.

    Args:
        path: the .npz file to write.
        hashes: N SHA-256 of the raw pixels, hexadecimal.
        probabilities: (N, K), rows sum to 1.
        labels: K class names.
        source: who the teacher is and how its answers were made.

    Raises:
        SourceError: the file cannot be written; an earlier one of that name stays whole.
    """
    keys = b"".join(bytes.fromhex(h[: 2 * HASH_BYTES]) for h in hashes)
    # Sorted; repeats of an image, which all got the same answer, are kept once.
    raw, first = np.unique(np.frombuffer(keys, dtype=np.uint8).reshape(-1, HASH_BYTES), axis=0, return_index=True)
    about = json.dumps({"labels": list(labels), "source": source})
    packed = io.BytesIO()
    answers = np.asarray(probabilities)[first].astype(np.float16)
    np.savez_compressed(packed, hashes=raw, probabilities=answers, about=np.array(about))
    write_atomically(path, packed.getvalue())


def read_teacher(path: Path, hashes: Sequence[str] | NDArray[np.str_], *, labels: Sequence[str]) -> NDArray[np.float32]:
    """The teacher's answers for these images.

    Args:
        path: written by `write_teacher`; a bare name is also looked for beside the recipes.
        hashes: N SHA-256 of the raw pixels, hexadecimal.
        labels: the classes the student has; the teacher must have the same.

    Returns:
        (N, K) float32, rows sum to 1; rows of zeros for images the teacher did not see.

    Raises:
        RecipeError: missing or damaged file, or other classes.
    """
    file = beside_recipes(path)
    if not file.is_file():
        msg = f"there is no teacher file {path}; make one with `fer-train distill`"
        raise RecipeError(msg)
    try:
        about, keys, values = _contents(file)
    except (OSError, ValueError, RecursionError) as err:
        msg = f"{file} is no teacher file ({err}); make one with `fer-train distill`"
        raise RecipeError(msg) from err
    if about["labels"] != list(labels):
        msg = f"the teacher {file} has the classes {about['labels']}, the recipe {list(labels)}; they must be the same"
        raise RecipeError(msg)
    if not len(keys):
        return np.zeros((len(hashes), len(labels)), dtype=np.float32)
    row_of = {bytes(key): row for row, key in enumerate(keys)}
    rows = np.array([row_of.get(bytes.fromhex(h[: 2 * HASH_BYTES]), -1) for h in hashes], dtype=np.int64)
    found = values[rows]
    found[rows < 0] = 0
    total = found.sum(axis=1, keepdims=True)
    normalized: NDArray[np.float32] = np.divide(found, total, out=np.zeros_like(found), where=total > 0)
    return normalized


def _contents(file: Path) -> tuple[dict[str, Any], NDArray[np.uint8], NDArray[np.float32]]:
    """Contents of the file: metadata, hashes (N, `HASH_BYTES`) and probabilities (N, K), checked against each other."""
    arrays = read_arrays(file)
    missing = [name for name in ("hashes", "probabilities", "about") if name not in arrays]
    if missing:
        msg = f"it has no {missing[0]}"
        raise ValueError(msg)
    about = json.loads(str(arrays["about"]))
    keys, values = arrays["hashes"], arrays["probabilities"]
    if not isinstance(about, dict) or not isinstance(about.get("labels"), list):
        msg = "it does not name its classes"
        raise ValueError(msg)  # noqa: TRY004  (of what a file says, not of an argument)
    if keys.dtype != np.uint8 or keys.shape != (len(values) if values.ndim else 0, HASH_BYTES):
        msg = f"hashes {keys.dtype} {keys.shape} for probabilities {values.shape}"
        raise ValueError(msg)
    if values.dtype.kind != "f" or values.shape != (len(keys), len(about["labels"])):
        msg = f"probabilities {values.dtype} {values.shape} for {len(keys)} images and {len(about['labels'])} classes"
        raise ValueError(msg)
    values = values.astype(np.float32)
    if not (np.isfinite(values).all() and (values >= 0).all()):
        msg = "probabilities that are negative, infinite or not numbers"
        raise ValueError(msg)
    return about, keys, values
