"""The npz format of prepared data sets: images and labels of each split and, where known, votes, subjects, videos."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_perception.labels import LABELS
from fer_perception.system.files import write_atomically
from fer_training.data.npz_file import read_arrays
from fer_training.data.records import known_split
from fer_training.data.samples import FERPLUS_COLUMNS, UNKNOWN, DatasetError, Samples, concatenate

#: `<split>_labels` of an image whose class is not known.
UNKNOWN_BYTE = 255

_OPTIONAL = ("votes", "subjects", "videos", "sources")


def read_npz(path: Path) -> Samples:
    """Read a prepared data set.

    For each split S ("train", "validation", "test", "all" = no split) the file holds `S_images` (N, H, W) uint8 and
    `S_labels` (N,) uint8 with 255 = unknown, and may hold `S_votes` (N, 10) uint8, `S_subjects`, `S_videos` and
    `S_sources` (N,) str. Files of others may have the usual other names of these splits (`privatetest_images`), splits
    of their own, or one without a name (`images`, `labels`). `label_names` (K,) str gives the classes; without it they
    are the seven of FER2013.

    Raises:
        DatasetError: missing, damaged, pickled, without an image, or arrays that do not fit one another.
    """
    try:
        arrays = read_arrays(path)
    except FileNotFoundError:
        msg = f"there is no file {path}; expected a data set written by `fer-train prepare`"
        raise DatasetError(msg) from None
    except ValueError as err:
        msg = f"{path} is damaged or not an npz file of plain arrays ({err}); copy it again or run `fer-train prepare`"
        raise DatasetError(msg) from err
    label_names = LABELS
    if "label_names" in arrays:
        label_names = tuple(_texts(path, "label_names", arrays["label_names"]).reshape(-1).tolist())
    prefixes: dict[str, str] = {}
    for key in arrays:
        if key == "images" or key.endswith("_images"):
            prefix = key.removesuffix("images")
            name = _split_name(prefix)
            if name in prefixes:
                msg = (
                    f"{path} holds {prefixes[name]}images beside another {name or 'nameless'} split; "
                    "expected each split once"
                )
                raise DatasetError(msg)
            prefixes[name] = prefix
    if not prefixes:
        msg = f"{path} holds {sorted(arrays)}; expected at least one pair like train_images and train_labels"
        raise DatasetError(msg)
    samples = concatenate([_split(path, arrays, name, prefix, label_names) for name, prefix in prefixes.items()])
    if not len(samples):
        msg = f"{path} holds no image: {', '.join(f'{prefix}images' for prefix in prefixes.values())} of length 0"
        raise DatasetError(msg)
    return samples


def _split_name(prefix: str) -> str:
    name = prefix.removesuffix("_")
    return "" if name.lower() == "all" else known_split(name) or name


def _split(
    path: Path, arrays: dict[str, NDArray[Any]], split: str, prefix: str, label_names: tuple[str, ...]
) -> Samples:
    images = arrays[f"{prefix}images"]
    if f"{prefix}labels" not in arrays:
        msg = f"{path} has {prefix}images but no {prefix}labels; expected one label for every image"
        raise DatasetError(msg)
    raw = arrays[f"{prefix}labels"]
    if images.ndim != 3 or images.dtype != np.uint8 or 0 in images.shape[1:]:
        msg = f"{path}: {prefix}images is {images.dtype} {images.shape}; expected uint8 (N, H, W)"
        raise DatasetError(msg)
    if raw.shape != images.shape[:1] or raw.dtype.kind not in "iu":
        msg = f"{path}: {prefix}labels is {raw.dtype} {raw.shape}; expected {len(images)} integers"
        raise DatasetError(msg)
    labels = raw.astype(np.int64)
    labels[labels == UNKNOWN_BYTE] = UNKNOWN
    other = np.flatnonzero((labels < UNKNOWN) | (labels >= len(label_names)))
    if len(other):
        msg = (
            f"{path}: {prefix}labels[{other[0]}] is {labels[other[0]]}; "
            f"expected 0 to {len(label_names) - 1}, or {UNKNOWN_BYTE} for unknown"
        )
        raise DatasetError(msg)
    extra = {name: arrays.get(f"{prefix}{name}") for name in _OPTIONAL}
    for name, value in extra.items():
        shape = (len(images), len(FERPLUS_COLUMNS)) if name == "votes" else (len(images),)
        if value is not None and value.shape != shape:
            msg = f"{path}: {prefix}{name} has the shape {value.shape}; expected {shape}"
            raise DatasetError(msg)
    votes = extra.pop("votes")
    if votes is not None and (votes.dtype.kind not in "iu" or votes.min(initial=0) < 0 or votes.max(initial=0) > 255):
        msg = f"{path}: {prefix}votes ({votes.dtype}) are no counts of votes; expected whole numbers from 0 to 255"
        raise DatasetError(msg)
    texts = {name: None if value is None else _texts(path, f"{prefix}{name}", value) for name, value in extra.items()}
    sources = texts["sources"]
    if sources is None:
        sources = np.array([f"{path.name}:{prefix}images[{index}]" for index in range(len(images))], dtype=np.str_)
    return Samples(
        images=images,
        labels=labels,
        label_names=label_names,
        splits=np.full(len(images), split),
        sources=sources,
        votes=None if votes is None else votes.astype(np.uint8),
        subjects=texts["subjects"],
        videos=texts["videos"],
    )


def _texts(path: Path, name: str, array: NDArray[Any]) -> NDArray[np.str_]:
    """Names as text, or whole numbers that serve as names."""
    try:
        if array.dtype.kind == "S":
            return np.char.decode(array, "utf-8")
        if array.dtype.kind in "Uiu":
            return array.astype(np.str_)
    except UnicodeDecodeError:
        pass
    msg = f"{path}: {name} is {array.dtype}; expected text"
    raise DatasetError(msg)


def write_npz(path: Path, samples: Samples) -> None:
    """Write samples so that `read_npz` gives them back; an interrupted write leaves an earlier file whole.

    Raises:
        DatasetError: more than 255 classes, or the disk is full or not writable.
    """
    if len(samples.label_names) >= UNKNOWN_BYTE:
        msg = f"there are {len(samples.label_names)} classes; the format holds at most {UNKNOWN_BYTE - 1}"
        raise DatasetError(msg)
    arrays: dict[str, NDArray[np.generic]] = {"label_names": np.array(samples.label_names, dtype=np.str_)}
    for split in dict.fromkeys(samples.splits.tolist()):
        part = samples.take(samples.splits == split)
        name = split or "all"
        arrays[f"{name}_images"] = part.images
        arrays[f"{name}_labels"] = np.where(part.labels < 0, UNKNOWN_BYTE, part.labels).astype(np.uint8)
        arrays[f"{name}_sources"] = part.sources
        for key, value in (("votes", part.votes), ("subjects", part.subjects), ("videos", part.videos)):
            if value is not None:
                arrays[f"{name}_{key}"] = value
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)  # type: ignore[arg-type]  # the stub takes arrays for allow_pickle
    write_atomically(path, packed.getvalue(), error=DatasetError)
