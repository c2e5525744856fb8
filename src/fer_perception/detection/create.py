"""Factory of face detectors: the one that the settings name, or the best that works."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypedDict

from fer_perception.detection.base import Detector
from fer_perception.detection.haar import HaarDetector, find_cascade
from fer_perception.detection.yunet import YunetDetector
from fer_perception.detection.yunet_cv2 import OpenCvYunet
from fer_perception.detection.yunet_ort import OrtYunet
from fer_perception.errors import BackendError, ConfigError, ModelError
from fer_perception.model_files.store import ModelStore


class _Settings(TypedDict):
    """Settings of every detector; the documentation is at `create_detector`."""

    threshold: float
    detection_size: int
    min_face_size: int
    max_faces: int


def _yunet_ort(models: ModelStore, threads: int, settings: _Settings) -> Detector:
    file = models.read("yunet")
    return _told(YunetDetector(OrtYunet(file, threads=threads), **settings), file.path, models.origin(file.path))


def _yunet_cv2(models: ModelStore, _threads: int, settings: _Settings) -> Detector:
    file = models.read("yunet")
    return _told(YunetDetector(OpenCvYunet(file), **settings), file.path, models.origin(file.path))


def _haar(_models: ModelStore, _threads: int, settings: _Settings) -> Detector:
    file = find_cascade()
    return _told(HaarDetector(**settings, cascade=file), file, "OpenCV")


def _told(detector: Detector, file: Path, origin: str) -> Detector:
    detector.model_file = f"{file}, from {origin}"
    return detector


#: Makes each detector; "auto" tries them in this order, the best first.
_MAKERS: dict[str, Callable[[ModelStore, int, _Settings], Detector]] = {
    "yunet_ort": _yunet_ort,
    "yunet_cv2": _yunet_cv2,
    "haar": _haar,
}

#: What `create_detector` takes besides "auto", the best first.
DETECTORS = tuple(_MAKERS)


def create_detector(
    name: str,
    *,
    threshold: float,
    detection_size: int,
    min_face_size: int,
    max_faces: int,
    threads: int,
    store: ModelStore | None = None,
) -> Detector:
    """Make a face detector.

    Args:
        name: one of `DETECTORS`, or "auto": the first of them that works.
        threshold: smallest score of a face, [0, 1].
        detection_size: longer side in pixels of the copy looked at; 0 = never reduce.
        min_face_size: pixels of the image; smaller faces are ignored.
        max_faces: the largest ones are kept.
        threads: processor threads of ONNX Runtime; 0 = it decides.
        store: where model files are looked for.

    Returns:
        The detector. Its `reason` says why it was chosen; where a better one does not work, `fallback` is set and the
        reason says what to run. Its `model_file` says which file serves and where it came from.

    Raises:
        ConfigError: unknown name.
        ModelError: the model file of the named detector is missing, damaged or unknown.
        BackendError: what runs it is not installed; for "auto": nothing works.
    """
    models = store or ModelStore()

    settings = _Settings(
        threshold=threshold, detection_size=detection_size, min_face_size=min_face_size, max_faces=max_faces
    )
    if name in _MAKERS:
        detector = _MAKERS[name](models, threads, settings)
        detector.reason = f"{name} was asked for"
        return detector
    if name != "auto":
        msg = f"detector is {name!r}; expected one of: auto, {', '.join(DETECTORS)}"
        raise ConfigError(msg)
    problems: list[str] = []
    for candidate, make in _MAKERS.items():
        try:
            detector = make(models, threads, settings)
        except (ModelError, BackendError) as err:
            problems.append(f"{candidate}: {err}")
            continue
        if problems:
            found = "; ".join(problems)
            detector.reason = f"{candidate} serves; run `fer models fetch yunet` for the better detector ({found})"
            detector.fallback = True
        else:
            detector.reason = f"{candidate} is the best detector and works"
        return detector
    msg = f"no face detector works; run `fer models fetch yunet` ({'; '.join(problems)})"
    raise BackendError(msg)
