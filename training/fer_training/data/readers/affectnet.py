"""AffectNet (Mollahosseini et al. 2019), in the two forms in which it was handed out.

Lists: `Manually_Annotated_file_lists/training.csv` and `validation.csv`, images in `Manually_Annotated_Images`; the
list of the validation images often comes without a header. Later: `train_set/images/0.jpg` with its number in
`train_set/annotations/0_exp.npy`, and `val_set` alike. The test images were kept back.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

from fer_perception.system.paths import is_file
from fer_training.data.npz_file import read_small_array
from fer_training.data.readers.folders import images_below, subfolders, wrapped
from fer_training.data.readers.images import IMAGE_SUFFIXES
from fer_training.data.readers.tables import open_table, whole_number
from fer_training.data.records import Index, Record, known_split, short_names
from fer_training.data.samples import DatasetError, Skip

#: What the numbers from 0 on mean.
EXPRESSIONS = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")

_NAMES = {str(number): name for number, name in enumerate(EXPRESSIONS)}

#: What the numbers after those mean: no expression of one face.
_OTHERS = {"8": "none", "9": "uncertain", "10": "no face"}

#: As distributed; whoever wants the images that a network labeled gives `automatically_annotated.csv` itself.
_LISTS = ("training.csv", "validation.csv")
_LIST_FOLDERS = ("", "Manually_Annotated_file_lists", "Manually_Annotated/Manually_Annotated_file_lists")
_IMAGE_FOLDERS = "*_Annotated_Images"

#: Columns of a list without a header: path, box (4), landmarks, expression, valence, arousal.
_COLUMNS = 9
_PATH, _EXPRESSION = 0, 6

_ENDING = "_exp.npy"


def find_affectnet(root: Path) -> tuple[Path, ...]:
    """The lists of a folder, or its parts with `annotations`; of one wrapped around them, too. Empty without.

    Raises:
        DatasetError: a folder cannot be read.
    """
    for base in wrapped(root):
        for folder in _LIST_FOLDERS:
            if lists := tuple(file for name in _LISTS if is_affectnet_list(file := base / folder / name)):
                return lists
        if _is_part(base):
            return (base,)
        splits = [folder for folder in subfolders(base) if known_split(folder.name) is not None]
        if inner := tuple(folder for split in splits for folder in wrapped(split) if _is_part(folder)):
            return inner
    return ()


def labels_beside(images: Path) -> Path | None:
    """The folder that has the labels of these images, if they are AffectNet's without them; else None."""
    place = images.absolute()
    if place.name == "images" and _is_part(place.parent):
        return place.parent
    if not place.match(_IMAGE_FOLDERS):
        return None
    return next((folder for folder in (place.parent, place.parent.parent) if find_affectnet(folder)), None)


def is_affectnet_list(file: Path) -> bool:
    """True for one of the lists."""
    try:
        with open_table(file, "a list of AffectNet") as (lines, delimiter):
            return list_columns(next(csv.reader(lines, delimiter=delimiter), [])) is not None
    except DatasetError:
        return False


def list_columns(first: Sequence[str]) -> tuple[int, int] | None:
    """Columns of path and expression of a list, from its first row; None = it is no list of AffectNet."""
    names = [name.strip().lower() for name in first]
    if "subdirectory_filepath" in names and "expression" in names:
        return names.index("subdirectory_filepath"), names.index("expression")
    if len(names) == _COLUMNS and Path(names[_PATH]).suffix in IMAGE_SUFFIXES and names[_EXPRESSION].isdecimal():
        return _PATH, _EXPRESSION
    return None


def read_affectnet(root: Path) -> Index:
    """List the images that show one of the eight expressions.

    Those labeled as none, uncertain or no face, and whatever has no counterpart, are left out and listed.

    Args:
        root: folder, or one of the lists.

    Raises:
        DatasetError: neither lists nor annotations, or no images to them.
    """
    found = (root,) if root.is_file() else find_affectnet(root)
    if not found:
        msg = f"{root} holds no AffectNet; expected Manually_Annotated_file_lists/{_LISTS[0]} or train_set/annotations"
        raise DatasetError(msg)
    records: list[Record] = []
    skipped: list[Skip] = []
    for place in found:
        told = _listed(place, skipped) if place.is_file() else _annotated(place, skipped)
        for path, number, split in told:
            if number in _NAMES:
                records.append(Record(path=path, label=_NAMES[number], split=split))
            else:
                skipped.append(Skip(str(path), _why_not(number)))
    if not records:
        reasons = "; ".join(sorted({skip.reason for skip in skipped})) or "they are empty"
        msg = f"not one image of {', '.join(map(str, found))} is usable: {reasons}"
        raise DatasetError(msg)
    records.sort(key=lambda record: record.path)
    return Index(records=tuple(records), label_names=EXPRESSIONS, skipped=tuple(skipped))


def _why_not(number: str) -> str:
    if number in _OTHERS:
        return f"labeled as {_OTHERS[number]}"
    return f"its expression is {number[:20]!r}; expected a number from 0 to {len(_NAMES) + len(_OTHERS) - 1}"


def _listed(file: Path, skipped: list[Skip]) -> Iterator[tuple[Path, str, str]]:
    """File, number and split of each row whose image is there."""
    rows: list[tuple[str, str]] = []
    with open_table(file, "a list of AffectNet") as (lines, delimiter):
        reader = csv.reader(lines, delimiter=delimiter)
        first = next(reader, [])
        columns = list_columns(first)
        if columns is None:
            header = short_names(first) if first else "no rows"
            msg = f"{file} has {header}; expected the columns subDirectory_filePath and expression"
            raise DatasetError(msg)
        path, expression = columns
        # A header has no number. The landmarks are not kept: they would be hundreds of megabytes.
        for row in chain([first] if first[expression].strip().isdecimal() else [], reader):
            if len(row) > max(columns):
                rows.append((row[path].strip(), whole_number(row[expression].strip())))
            elif row:
                where = f"{file.name}:line {reader.line_num}"
                skipped.append(Skip(where, f"it has {len(row)} columns, expected {len(first)}"))
    folder = _images(file, [name for name, _ in rows])
    split = known_split(file.stem) or ""
    for name, number in rows:
        image = folder / name
        if is_file(image):
            yield image, number, split
        else:
            skipped.append(Skip(str(image), "the file does not exist"))


def _images(file: Path, names: Sequence[str]) -> Path:
    """The folder that the names of a list begin at."""
    near = (file.parent, file.parent.parent)
    folders = [
        place for base in near for place in (base, *base.glob(_IMAGE_FOLDERS), *base.glob(f"*/{_IMAGE_FOLDERS}"))
    ]
    for folder in folders:
        # A few may be missing, but not all of so many.
        if any(is_file(folder / name) for name in islice(names, 1000)):
            return folder
    example = names[0] if names else "<its paths>"
    msg = f"the images of {file} are not there; expected Manually_Annotated_Images/{example} beside it or its folder"
    raise DatasetError(msg)


def _is_part(folder: Path) -> bool:
    annotations = folder / "annotations"
    return (folder / "images").is_dir() and any(islice(annotations.glob(f"*{_ENDING}"), 1))


def _annotated(part: Path, skipped: list[Skip]) -> Iterator[tuple[Path, str, str]]:
    """File, number and split of each image that has a number."""
    split = known_split(part.name) or ""
    annotations = part / "annotations"
    images = images_below(part / "images")
    for path in images:
        file = annotations / f"{path.stem}{_ENDING}"
        try:
            yield path, str(read_small_array(file).item()).strip(), split
        except FileNotFoundError:
            skipped.append(Skip(str(path), f"it has no {_ENDING} among the annotations"))
        except ValueError as err:
            skipped.append(Skip(str(file), f"cannot be read ({err})"))
    known = {f"{path.stem}{_ENDING}" for path in images}
    alone = sorted(file for file in annotations.glob(f"*{_ENDING}") if file.name not in known)
    skipped += [Skip(str(file), "its image does not exist") for file in alone]
