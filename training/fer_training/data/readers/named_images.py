"""Data sets whose file names hold subject and expression, in any folder (JAFFE, KDEF)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from fer_training.data.readers.folders import images_below, split_of
from fer_training.data.records import Index, Record
from fer_training.data.samples import DatasetError, Skip


def read_named_images(
    root: Path, told: Callable[[str], tuple[str, str] | None], *, labels: Sequence[str], name: str, example: str
) -> Index:
    """List the images in any depth below `root`; folders called like splits say which split.

    Args:
        root: folder of the data set.
        told: label and subject from the name of an image without its last ending; None = it is none of the set.
        labels: all labels of the set.
        name: of the set.
        example: of an image's name.

    Raises:
        DatasetError: no image is named as in the set.
    """
    records = []
    skipped = []
    for path in images_below(root):
        found = told(path.stem)
        if found is None:
            skipped.append(Skip(str(path), f"not named as in {name} ({example})"))
            continue
        label, subject = found
        records.append(Record(path=path, label=label, split=split_of(path, root), subject=subject))
    if not records:
        msg = f"{root} holds no image named as in {name}; expected names like {example}"
        raise DatasetError(msg)
    return Index(records=tuple(records), label_names=tuple(labels), skipped=tuple(skipped))
