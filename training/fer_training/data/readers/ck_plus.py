"""CK+ (Lucey et al. 2010): the official tree of sequences, and the common class folders of 48x48 peak frames.

Official: `cohn-kanade-images/S005/001/S005_001_00000011.png` and `Emotion/S005/001/S005_001_00000011_emotion.txt`,
which holds one number: 0 neutral, 1 anger, 2 contempt, 3 disgust, 4 fear, 5 happy, 6 sadness, 7 surprise. Only 327 of
the 593 sequences have a label. A sequence starts neutral and ends at the peak.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from fer_training.data.readers.class_folders import read_class_folders
from fer_training.data.readers.folders import is_system_file, wrapped
from fer_training.data.readers.images import is_image
from fer_training.data.records import Index, Record
from fer_training.data.samples import DatasetError, Skip

#: Subject, sequence, frame.
NAME = re.compile(r"^(S\d{3})_(\d{3})_(\d{8})$")

EMOTIONS = ("neutral", "anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")

IMAGES_FOLDER = "cohn-kanade-images"
LABELS_FOLDER = "Emotion"


def read_ck_plus(root: Path, *, peak_frames: int = 3, neutral_frames: int = 1) -> Index:
    """List the images of the official tree.

    Args:
        root: folder that holds `cohn-kanade-images` and `Emotion`, each directly or one folder down (as the archives
            of the distribution unpack), or a folder wrapped around it.
        peak_frames: how many frames at the end of a sequence count as its emotion.
        neutral_frames: how many frames at its start count as neutral; 0 leaves neutral out.

    Returns:
        Records with subject ("S005") and video ("S005/001"); sequences without a label are listed as left out.

    Raises:
        DatasetError: one of the two folders is missing, or no sequence has a label.
    """
    images, emotions = find_folder(root, IMAGES_FOLDER), find_folder(root, LABELS_FOLDER)
    for folder in (images, emotions):
        if not folder.is_dir():
            msg = (
                f"{folder} is missing; expected {IMAGES_FOLDER}/S###/###/*.png "
                f"beside {LABELS_FOLDER}/S###/###/*_emotion.txt"
            )
            raise DatasetError(msg)
    records: list[Record] = []
    skipped: list[Skip] = []
    for sequence in sorted(path for path in images.glob("S*/*") if path.is_dir()):
        video = sequence.relative_to(images).as_posix()
        frames = sorted(path for path in sequence.iterdir() if is_image(path) and NAME.match(path.stem))
        try:
            label = _sequence_label(emotions / video)
        except DatasetError as err:
            skipped.append(Skip(str(sequence), str(err)))
            continue
        if len(frames) < peak_frames + neutral_frames:
            skipped.append(Skip(str(sequence), f"fewer than {peak_frames + neutral_frames} frames"))
            continue
        chosen = [(path, "neutral") for path in frames[:neutral_frames]]
        chosen += [(path, label) for path in frames[len(frames) - peak_frames :]]
        records += [Record(path=path, label=name, subject=sequence.parent.name, video=video) for path, name in chosen]
    if not records:
        msg = f"no sequence of {root} has a label ({len(skipped)} left out); is the {LABELS_FOLDER} folder complete?"
        raise DatasetError(msg)
    return Index(records=tuple(records), label_names=EMOTIONS, skipped=tuple(skipped))


def find_folder(root: Path, name: str) -> Path:
    """A folder of this name in `root` or one folder down, or in a folder that `root` is merely wrapped around.

    Where there is none, the place it was expected at.

    Raises:
        DatasetError: a folder cannot be read.
    """
    for base in wrapped(root):
        if (base / name).is_dir():
            return base / name
        for path in sorted(base.glob(f"*/{name}")):
            if path.is_dir() and not is_system_file(path.parent.name):
                return path
    return root / name


def _sequence_label(folder: Path) -> str:
    files = sorted(path for path in folder.glob("*_emotion.txt") if not path.name.startswith("."))
    if not files:
        msg = "the sequence has no label"
        raise DatasetError(msg)
    try:
        value = float(files[0].read_text(encoding="ascii"))
    except (OSError, ValueError):
        msg = f"the label file {files[0].name} does not hold a number"
        raise DatasetError(msg) from None
    if value not in range(len(EMOTIONS)):
        msg = f"unknown label {value:g}, expected 0 to {len(EMOTIONS) - 1}"
        raise DatasetError(msg)
    return EMOTIONS[int(value)]


def read_ck48(root: Path) -> Index:
    """List the images of `CK+48/<class>/S###_###_########.png`, with subject and video from their names.

    Below folders of splits the classes are looked for as `read_class_folders` does.

    Raises:
        DatasetError: no class folder holds an image.
    """
    index = read_class_folders(root)
    records = []
    skipped = list(index.skipped)
    for record in index.records:
        match = NAME.match(record.path.stem)
        if match is None:
            skipped.append(Skip(str(record.path), "not named as in CK+ (S005_001_00000011.png)"))
            continue
        records.append(replace(record, subject=match[1], video=f"{match[1]}/{match[2]}"))
    return Index(records=tuple(records), label_names=index.label_names, skipped=tuple(skipped))
