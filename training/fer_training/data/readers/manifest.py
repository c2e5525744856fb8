"""A CSV file that lists images: columns path and label, optionally split, subject and video."""

from __future__ import annotations

import csv
from pathlib import Path

from fer_perception.system.paths import is_file
from fer_training.data.readers.images import is_image
from fer_training.data.readers.tables import open_table, whole_number
from fer_training.data.records import Index, Record, known_split, short_names
from fer_training.data.samples import DatasetError, Skip

#: Names of the columns, in any case; the first is the one that is documented.
_PATH_COLUMNS = ("path", "file", "image", "filename")
LABEL_COLUMNS = ("label", "emotion", "class", "expression")
_SUBJECT_COLUMNS = ("subject", "person", "participant")
_VIDEO_COLUMNS = ("video", "clip", "sequence")


def is_manifest_header(columns: list[str]) -> bool:
    """True where a CSV file with these columns (lower case) lists image files."""
    return _column(columns, _PATH_COLUMNS) is not None and _column(columns, LABEL_COLUMNS) is not None


def read_manifest(path: Path) -> Index:
    """List the images of a manifest; paths are relative to the manifest's folder.

    A row whose file is missing or no image, without a label, or of an unknown split is left out and listed.

    Raises:
        DatasetError: unreadable, a column is missing, or no row is usable.
    """
    records: list[Record] = []
    skipped: list[Skip] = []
    example = ""
    with open_table(path, "a manifest: columns path and label") as (file, delimiter):
        reader = csv.DictReader(file, skipinitialspace=True, delimiter=delimiter)
        reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or ()]
        columns = list(reader.fieldnames)
        if not is_manifest_header(columns):
            msg = (
                f"{path} has the columns {short_names(columns)}; expected path (or {', '.join(_PATH_COLUMNS[1:])}) "
                f"and label (or {', '.join(LABEL_COLUMNS[1:])}), and where known split, subject, video"
            )
            raise DatasetError(msg)
        path_column = _column(columns, _PATH_COLUMNS) or ""
        for row in reader:
            example = example or (row[path_column] or "").strip()
            try:
                records.append(_record(path.parent, row, columns))
            except DatasetError as err:
                skipped.append(Skip(f"{path.name}:line {reader.line_num}", str(err)))
    if not records:
        reasons = "; ".join(sorted({skip.reason for skip in skipped})) or "it has no rows"
        msg = (
            f"not one row of {path} is usable: {reasons}; files are looked for from {path.parent} on, by the column "
            f"{path_column!r}, which holds {_short(example)!r}"
        )
        if example.replace(" ", "").isdecimal() and " " in example:
            msg += "; these are gray values: call that column pixels, and that of the labels emotion"
        elif others := [name for name in _PATH_COLUMNS if name in columns and name != path_column]:
            msg += f"; rename it if the files are named by {', '.join(others)}"
        raise DatasetError(msg)
    names = tuple(sorted({record.label for record in records}))
    return Index(records=tuple(records), label_names=names, skipped=tuple(skipped))


def _record(folder: Path, row: dict[str, str | None], columns: list[str]) -> Record:
    def value(names: tuple[str, ...]) -> str:
        column = _column(columns, names)
        return "" if column is None else (row[column] or "").strip()

    file = folder / value(_PATH_COLUMNS)
    if "\\" in value(_PATH_COLUMNS) and not is_file(file):
        # Written on Windows.
        file = folder / value(_PATH_COLUMNS).replace("\\", "/")
    split = value(("split", "usage"))
    if not value(_PATH_COLUMNS) or not is_file(file):
        msg = "the file does not exist"
        raise DatasetError(msg)
    if not is_image(file):
        msg = "not an image file"
        raise DatasetError(msg)
    if not value(LABEL_COLUMNS):
        msg = "the label is missing"
        raise DatasetError(msg)
    known = known_split(split) if split else ""
    if known is None:
        msg = f"unknown split {split!r}"
        raise DatasetError(msg)
    return Record(
        path=file,
        label=whole_number(value(LABEL_COLUMNS)),
        split=known,
        subject=value(_SUBJECT_COLUMNS),
        video=value(_VIDEO_COLUMNS),
    )


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:40]}..."


def _column(columns: list[str], names: tuple[str, ...]) -> str | None:
    return next((name for name in names if name in columns), None)
