"""Preparation of raw images for training: detect the face, align it, gray, 48x48."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_perception.detection.base import FaceDetector
from fer_perception.errors import SourceError
from fer_perception.imaging.crops import CROP_SIZE, crop_faces
from fer_perception.imaging.image_files import read_image
from fer_perception.labels import LABELS, LABELS_WITH_CONTEMPT
from fer_perception.pipeline_types import Detection
from fer_perception.system.files import write_atomically
from fer_training.data.label_maps import canonical, numbering
from fer_training.data.records import Index, Record, label_indices
from fer_training.data.samples import DatasetError, Samples, Skip

#: Images whose shorter side is below this (pixels) are enlarged for the detector, which misses faces of their size.
ENLARGE_BELOW = 160
ENLARGED_SIDE = 240

#: Called after every image with the number done and the number of all.
Progress = Callable[[int, int], None]


def prepare(
    index: Index, detector: FaceDetector, *, size: int = CROP_SIZE, progress: Progress | None = None
) -> Samples:
    """Cut the face out of every image of an index, aligned as on the robot.

    Of several faces the largest is taken. Images that cannot be read or show no face are left out and listed.

    Args:
        index: files and labels.
        detector: finds the faces.
        size: side of the crops in pixels.
        progress: called after each image.

    Returns:
        Samples with our class names: the seven of FER2013 in their order, then contempt and others where there are any;
        of a set without any of these its own alone.

    Raises:
        DatasetError: no image was usable.
    """
    names = class_order([record.label for record in index.records if record.label])
    crops: list[NDArray[np.uint8]] = []
    kept: list[Record] = []
    skipped = list(index.skipped)
    for done, record in enumerate(index.records, start=1):
        try:
            crops.append(face_crop(read_image(record.path), detector, size=size))
            kept.append(record)
        except SourceError as err:
            reason = str(err).removeprefix(str(record.path)).lstrip(": ")
            skipped.append(Skip(str(record.path), reason))
        if progress is not None:
            progress(done, len(index.records))
    if not kept:
        reasons = "; ".join(sorted({skip.reason for skip in skipped})) or "it holds no image"
        msg = f"not one image of the data set is usable: {reasons}"
        raise DatasetError(msg)
    subjects = [record.subject for record in kept]
    videos = [record.video for record in kept]
    return Samples(
        images=np.stack(crops),
        labels=label_indices([canonical(record.label) for record in kept], names),
        label_names=names,
        splits=np.array([record.split for record in kept], dtype=np.str_),
        sources=np.array([str(record.path) for record in kept], dtype=np.str_),
        subjects=np.array(subjects, dtype=np.str_) if any(subjects) else None,
        videos=np.array(videos, dtype=np.str_) if any(videos) else None,
        skipped=tuple(skipped),
    )


def face_crop(image: NDArray[np.uint8], detector: FaceDetector, *, size: int = CROP_SIZE) -> NDArray[np.uint8]:
    """The largest face of an image, aligned.

    Args:
        image: (H, W, 3) uint8 BGR or (H, W) uint8 gray.
        detector: finds the faces.
        size: side of the crop in pixels.

    Returns:
        (size, size) uint8 gray.

    Raises:
        DatasetError: no face was found.
    """
    scale = ENLARGED_SIDE / min(image.shape[:2]) if min(image.shape[:2]) < ENLARGE_BELOW else 1.0
    seen = image if scale == 1.0 else cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    faces = detector.detect(np.asarray(seen, dtype=np.uint8))
    if not faces:
        msg = "no face found"
        raise DatasetError(msg)
    face = max(faces, key=_area)
    box = face.box / np.float32(scale)
    landmarks = None if face.landmarks is None else face.landmarks / np.float32(scale)
    crop = crop_faces(image, box[None], [landmarks], size=size)[0, 0]
    gray: NDArray[np.uint8] = np.clip(np.rint(crop), 0, 255).astype(np.uint8)
    return gray


def _area(face: Detection) -> float:
    return float(face.box[2] * face.box[3])


def class_order(labels: list[str]) -> tuple[str, ...]:
    """Class names of a prepared data set: ours in our order (all seven; contempt if it occurs), then others by name.

    A set that has none of ours is about something else: it has its own classes alone.
    """
    found = {canonical(label) for label in labels}
    if not found & set(LABELS_WITH_CONTEMPT):
        return tuple(sorted(found))
    ours = LABELS_WITH_CONTEMPT if "contempt" in found else LABELS
    return (*ours, *sorted(found - set(ours)))


def class_note(samples: Samples) -> str:
    """Remark on a prepared data set none of whose classes is a known expression; "" of any other."""
    found = [name for name, count in samples.class_counts().items() if count]
    if any(name in LABELS_WITH_CONTEMPT for name in found):
        return ""
    return numbering(found) or (
        f"none of the classes ({', '.join(found)}) is a known expression: where they are mere names of folders, give "
        "the folder that holds those of the classes; else `rename` in a YAML list says what they are"
    )


def write_skipped(path: Path, samples: Samples) -> None:
    """List what was left out as CSV: source, reason.

    Raises:
        DatasetError: the file cannot be written.
    """
    lines = io.StringIO(newline="")
    writer = csv.writer(lines)
    writer.writerow(("source", "reason"))
    writer.writerows((skip.source, skip.reason) for skip in samples.skipped)
    write_atomically(path, lines.getvalue(), error=DatasetError)
