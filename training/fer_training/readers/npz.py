"""The npz format of prepared data sets: images and labels of each split and, where known, votes, subjects, videos."""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_perception.labels import LABELS
from fer_perception.output_place import write_atomically

from .records import known_split
from .samples import FERPLUS_COLUMNS, UNKNOWN, DatasetError, Samples, concatenate

#: `<split>_labels` of a picture whose class is not known.
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
        DatasetError: missing, damaged, pickled, or arrays that do not fit one another.
    """
    try:
        arrays = _arrays(path)
        label_names = tuple(
            arrays["label_names"].astype(np.str_).reshape(-1).tolist() if "label_names" in arrays else LABELS
        )
    except FileNotFoundError:
        msg = f"there is no file {path}; expected a data set written by `fer-train prepare`"
        raise DatasetError(msg) from None
    except (OSError, ValueError, EOFError, KeyError, MemoryError, zipfile.BadZipFile, zlib.error) as err:
        msg = f"{path} is damaged or not an npz file of plain arrays ({err}); copy it again or run `fer-train prepare`"
        raise DatasetError(msg) from err
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
    return concatenate([_split(path, arrays, name, prefix, label_names) for name, prefix in prefixes.items()])


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    file = np.load(path, allow_pickle=False)
    if isinstance(file, np.ndarray):
        # An npy file by another name: one array without a name.
        return {}
    with file:
        return {name: file[name] for name in file.files}


def _split_name(prefix: str) -> str:
    name = prefix.removesuffix("_")
    return "" if name.lower() == "all" else known_split(name) or name


def _split(
    path: Path, arrays: dict[str, NDArray[np.generic]], split: str, prefix: str, label_names: tuple[str, ...]
) -> Samples:
    images = arrays[f"{prefix}images"]
    if f"{prefix}labels" not in arrays:
        msg = f"{path} has {prefix}images but no {prefix}labels; expected one label for every picture"
        raise DatasetError(msg)
    raw = arrays[f"{prefix}labels"]
    if images.ndim != 3 or images.dtype != np.uint8:
        msg = f"{path}: {prefix}images is {images.dtype} {images.shape}; expected uint8 (N, H, W)"
        raise DatasetError(msg)
    if raw.shape != images.shape[:1] or raw.dtype.kind not in "iu":
        msg = f"{path}: {prefix}labels is {raw.dtype} {raw.shape}; expected {len(images)} integers"
        raise DatasetError(msg)
    labels = raw.astype(np.int64)
    labels[labels == UNKNOWN_BYTE] = UNKNOWN
    foreign = np.flatnonzero((labels < UNKNOWN) | (labels >= len(label_names)))
    if len(foreign):
        msg = (
            f"{path}: {prefix}labels[{foreign[0]}] is {labels[foreign[0]]}; "
            f"expected 0 to {len(label_names) - 1}, or {UNKNOWN_BYTE} for unknown"
        )
        raise DatasetError(msg)
    extra = {name: arrays.get(f"{prefix}{name}") for name in _OPTIONAL}
    for name, value in extra.items():
        shape = (len(images), len(FERPLUS_COLUMNS)) if name == "votes" else (len(images),)
        if value is not None and value.shape != shape:
            msg = f"{path}: {prefix}{name} has the shape {value.shape}; expected {shape}"
            raise DatasetError(msg)
    sources = extra["sources"]
    if sources is None:
        sources = np.array([f"{path.name}:{prefix}images[{index}]" for index in range(len(images))], dtype=np.str_)
    return Samples(
        images=images.astype(np.uint8, copy=False),
        labels=labels,
        label_names=label_names,
        splits=np.full(len(images), split),
        sources=sources.astype(np.str_),
        votes=None if extra["votes"] is None else extra["votes"].astype(np.uint8),
        subjects=None if extra["subjects"] is None else extra["subjects"].astype(np.str_),
        videos=None if extra["videos"] is None else extra["videos"].astype(np.str_),
    )


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
