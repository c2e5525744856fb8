"""RAF-DB (Li et al. 2017), its basic expressions: `EmoLabel/list_patition_label.txt` and the images in `Image/`.

Each line of the list has the name of an image, which begins with its split, and a number: `train_00001.jpg 5`. The
image is `Image/aligned/train_00001_aligned.jpg` or, where there are none, `Image/original/train_00001.jpg`.
"""

from __future__ import annotations

from pathlib import Path

from fer_perception.system.paths import is_file
from fer_training.data.readers.folders import images_below, wrapped
from fer_training.data.records import Index, Record, known_split
from fer_training.data.samples import DatasetError, Skip

#: What the numbers from 1 on mean.
EXPRESSIONS = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")

#: As it is distributed, and as many spell it.
_LISTS = ("list_patition_label.txt", "list_partition_label.txt")


def find_list(root: Path) -> Path | None:
    """The list of a folder that holds `EmoLabel`, itself or in `basic`, or of one wrapped around it; None without.

    Raises:
        DatasetError: a folder cannot be read.
    """
    folders = (folder for base in wrapped(root) for folder in (base, base / "basic"))
    files = (folder / "EmoLabel" / name for folder in folders for name in _LISTS)
    return next((file for file in files if file.is_file()), None)


def list_beside(images: Path) -> Path | None:
    """The folder whose `EmoLabel` has the labels of these images, if they are those of `Image`; else None."""
    place = images.absolute()
    if place.name in ("aligned", "original") and any(place.glob("t[er]*_[0-9]*.jpg")):
        place = place.parent
    elif not any((place / name).is_dir() for name in ("aligned", "original")):
        return None
    return place.parent if place.name == "Image" and (place.parent / "EmoLabel").is_dir() else None


def read_raf_db(root: Path) -> Index:
    """List the images of the basic expressions.

    A line without its image and an image without its line are left out and listed.

    Raises:
        DatasetError: no list, no images, a line of another form, or the list of the compound expressions, whose
            numbers mean something else.
    """
    file = find_list(root)
    if file is None:
        msg = f"{root} holds no EmoLabel/{_LISTS[0]}; expected it beside Image/aligned/train_00001_aligned.jpg"
        raise DatasetError(msg)
    folder, ending = _images(file.parent.parent / "Image")
    records = []
    skipped = []
    for name, label in _lines(file):
        path = folder / f"{Path(name).stem}{ending}.jpg"
        split = known_split(name.split("_")[0])
        if not is_file(path):
            skipped.append(Skip(str(path), "the file does not exist"))
        elif split is None:
            skipped.append(Skip(str(path), "its name does not begin with train_ or test_"))
        else:
            records.append(Record(path=path, label=label, split=split))
    listed = {record.path for record in records}
    skipped += [Skip(str(path), f"not in {file.name}") for path in images_below(folder) if path not in listed]
    if not records:
        msg = f"{folder} holds none of the images of {file}; expected names like train_00001{ending}.jpg"
        raise DatasetError(msg)
    records.sort(key=lambda record: record.path)
    return Index(records=tuple(records), label_names=EXPRESSIONS, skipped=tuple(skipped))


def _images(images: Path) -> tuple[Path, str]:
    """Folder of the images and the ending of their names."""
    for folder, ending in ((images / "aligned", "_aligned"), (images / "original", "")):
        if folder.is_dir():
            return folder, ending
    msg = f"{images} is missing or holds neither aligned nor original; expected aligned/train_00001_aligned.jpg"
    raise DatasetError(msg)


def _lines(file: Path) -> list[tuple[str, str]]:
    """Name and class of every line."""
    try:
        rows = [line.split() for line in file.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as err:
        msg = f"cannot read {file} ({err}); expected lines like 'train_00001.jpg 5'"
        raise DatasetError(msg) from err
    numbers = {str(number): name for number, name in enumerate(EXPRESSIONS, start=1)}
    if file.parent.parent.name == "compound" or {"8", "9", "10", "11"} & {row[-1] for row in rows}:
        msg = (
            f"{file} numbers the compound expressions of RAF-DB (1 to 11), whose numbers mean something else; "
            "give the folder 'basic', or a CSV manifest with path and label"
        )
        raise DatasetError(msg)
    for number, row in enumerate(rows, start=1):
        if len(row) != 2 or row[1] not in numbers:
            msg = f"{file}, line {number}: {' '.join(row)[:60]!r}; expected a name and a number from 1 to 7"
            raise DatasetError(msg)
    return [(name, numbers[number]) for name, number in rows]
