"""FER2013 as fer2013.csv or icml_face_data.csv (pixels as text), with or without the FER+ votes of fer2013new.csv.

Other sets travel in this form too: CK+ as ckextended.csv, where 7 is contempt.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_perception.labels import LABELS, LABELS_WITH_CONTEMPT
from fer_training.data.label_maps import canonical
from fer_training.data.readers.ferplus import plurality, read_votes
from fer_training.data.readers.images import fit_square
from fer_training.data.readers.manifest import LABEL_COLUMNS
from fer_training.data.readers.tables import open_table, whole_number
from fer_training.data.records import known_split, short_names
from fer_training.data.samples import LARGEST_SIDE, DatasetError, Samples, Skip

#: Side of the images in pixels.
SIDE = 48

#: Of images of faces that are worth reading.
_SMALLEST_SIDE = 16

#: Label and votes of a FER2013 image name the same class in 65 of 100 cases, those of two images in 18.
_LEAST_AGREEMENT = 0.3

#: So many images with votes for one class tell the two apart.
_ENOUGH_IMAGES = 200

#: What the column "emotion" holds, in the order of our class names.
_CODES = tuple(str(code) for code in range(len(LABELS_WITH_CONTEMPT)))


def read_fer_csv(path: Path, *, votes: Path | None = None, size: int = SIDE) -> Samples:
    """Read FER2013, or another set in its form, from a CSV file.

    The columns are "emotion" (0 to 6; 7 is contempt; or the name of an expression), "pixels" (gray values of a square
    image: 2,304 in FER2013) and, where the file has splits, "Usage" (Training, PublicTest, PrivateTest), in any order,
    with or without a blank before their names. A row with more or fewer pixels than the first one, values that are not
    gray levels, an unknown label or usage is left out and listed with its line.

    Args:
        path: the file.
        votes: fer2013new.csv; its rows must follow those of `path`. Images that FER+ removed are left out and listed.
        size: side of the images in pixels; larger and smaller ones are resized.

    Returns:
        Samples with the seven classes of FER2013, and contempt where a row has it.

    Raises:
        DatasetError: unreadable, a column is missing, no row is usable, or the votes belong to other rows (their
            number or usages differ, or they hardly ever agree with the labels).
    """
    counts = usages = kept = None
    if votes is not None:
        counts, usages, kept = read_votes(votes)
    images: list[NDArray[np.uint8]] = []
    side = 0
    labels: list[int] = []
    splits: list[str] = []
    sources: list[str] = []
    rows: list[int] = []
    skipped: list[Skip] = []
    total = 0
    with open_table(path, "fer2013.csv or icml_face_data.csv") as (file, delimiter):
        reader = csv.DictReader(file, skipinitialspace=True, delimiter=delimiter)
        columns = {name.strip().lower(): name for name in reader.fieldnames or ()}
        label_column = next((columns[name] for name in LABEL_COLUMNS if name in columns), None)
        if "pixels" not in columns or label_column is None:
            msg = f"{path} has the columns {short_names(columns)}; expected emotion, pixels and Usage"
            raise DatasetError(msg)
        usage_column = columns.get("usage")
        for index, row in enumerate(reader):
            total += 1
            source = f"{path.name}:line {reader.line_num}"
            usage = (row[usage_column] or "").strip() if usage_column else ""
            if usages is not None and (index >= len(usages) or usages[index] != usage):
                msg = (
                    f"{votes} does not follow the rows of {path} (they differ at row {index + 1}); "
                    "take the pair of files that belongs together"
                )
                raise DatasetError(msg)
            if kept is not None and not kept[index]:
                skipped.append(Skip(source, "removed by FER+ (not a face, or not to be judged)"))
                continue
            try:
                pixels = _pixels(row[columns["pixels"]], side)
                side = len(pixels)
                label = _label(row[label_column])
                split = _split(usage)
            except DatasetError as err:
                skipped.append(Skip(source, str(err)))
                continue
            images.append(fit_square(pixels, size))
            labels.append(label)
            splits.append(split)
            sources.append(source)
            rows.append(index)
    if usages is not None and len(usages) != total:
        msg = f"{votes} has {len(usages)} rows and {path} has {total}; take the pair of files that belongs together"
        raise DatasetError(msg)
    if not images:
        reasons = "; ".join(sorted({skip.reason for skip in skipped})) or "it has no rows"
        msg = f"not one row of {path} is usable: {reasons}"
        raise DatasetError(msg)
    return _checked(
        Samples(
            images=np.stack(images),
            labels=np.array(labels, dtype=np.int64),
            label_names=LABELS_WITH_CONTEMPT if LABELS_WITH_CONTEMPT.index("contempt") in labels else LABELS,
            splits=np.array(splits, dtype=np.str_),
            sources=np.array(sources, dtype=np.str_),
            votes=None if counts is None else counts[rows],
            skipped=tuple(skipped),
        ),
        f"the votes of {votes} and the labels of {path}",
    )


def _checked(samples: Samples, what: str) -> Samples:
    """The same images; votes that are of others than the labels are refused, where there are enough to tell."""
    if samples.votes is None:
        return samples
    voted = plurality(samples.votes, classes=len(LABELS))
    judged = voted >= 0
    if judged.sum() < _ENOUGH_IMAGES or (voted == samples.labels)[judged].mean() >= _LEAST_AGREEMENT:
        return samples
    numbers = ", ".join(f"{number} {name}" for number, name in enumerate(LABELS))
    msg = (
        f"{what} hardly ever agree: the rows have another order, or the numbers mean something else than in FER2013 "
        f"({numbers}); take the pair of files that belongs together, or the data set alone in another folder"
    )
    raise DatasetError(msg)


def _pixels(text: str | None, side: int) -> NDArray[np.uint8]:
    """(S, S) uint8 of a row; S is `side`, or what it may be in the first row, where that is 0."""
    try:
        pixels = np.frombuffer(bytes(map(int, (text or "").split())), np.uint8)
    except ValueError:
        msg = "the pixel row holds something else than gray values 0 to 255"
        raise DatasetError(msg) from None
    own = math.isqrt(len(pixels))
    if own**2 != len(pixels) or not _SMALLEST_SIDE <= own <= LARGEST_SIDE or (side and own != side):
        msg = f"the pixel row has {len(pixels)} values, expected {(side or SIDE) ** 2}"
        raise DatasetError(msg)
    return pixels.reshape(own, own)


def _label(text: str | None) -> int:
    value = whole_number((text or "").strip())
    if value in _CODES:
        return _CODES.index(value)
    name = canonical(value)
    if name in LABELS_WITH_CONTEMPT:
        return LABELS_WITH_CONTEMPT.index(name)
    msg = f"unknown label {value[:20]!r}, expected 0 to {len(_CODES) - 1} or the name of an expression"
    raise DatasetError(msg)


def _split(usage: str) -> str:
    if not usage:
        return ""
    split = known_split(usage)
    if split is None:
        msg = f"unknown usage {usage[:20]!r}, expected Training, PublicTest or PrivateTest"
        raise DatasetError(msg)
    return split
