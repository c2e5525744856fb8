"""Speed of each face detector per image, on one thread."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from fer_perception.benchmark.faces_canvas import portrait_frame
from fer_perception.benchmark.measure import measure_in_turn
from fer_perception.detection.base import Detector
from fer_perception.detection.create import DETECTORS, create_detector
from fer_perception.errors import BackendError, ModelError
from fer_perception.settings.pipeline_settings import PipelineSettings

_SECONDS, _QUICK_SECONDS = 12.0, 4.0
_THREADS = 1


def run(*, quick: bool, progress: Callable[[str], None]) -> dict[str, float]:
    """Time the detectors in turn on the same images.

    A 640x480 frame with two faces ("vga"), one with nobody, in which YuNet looks a second time for a close-up
    ("vga_empty"), and a 320x256 one. Every detector gets one thread.

    Args:
        quick: a shorter measurement.
        progress: gets one line for each size.

    Returns:
        `detector.<name>.<image>.ms`, `.p95_ms`, `.p99_ms`, and `detector.yunet_cv2_to_yunet_ort.<image>.ratio`.

    Raises:
        BackendError: no detector works.
    """
    detectors = _detectors(progress)
    frame = portrait_frame(progress)
    images = {"vga": frame, "vga_empty": np.full_like(frame, 127), "320x256": cv2.resize(frame, (320, 256))}
    seconds = (_QUICK_SECONDS if quick else _SECONDS) / len(images)
    figures: dict[str, float] = {}
    threads = cv2.getNumThreads()
    cv2.setNumThreads(_THREADS)
    try:
        for label, image in images.items():
            calls = {name: _call(detector, np.asarray(image, np.uint8)) for name, detector in detectors.items()}
            for name, durations in measure_in_turn(calls, seconds=seconds).items():
                figures.update(durations.figures(f"detector.{name}.{label}"))
            found = ", ".join(f"{name} {figures[f'detector.{name}.{label}.ms']:.2f} ms" for name in detectors)
            progress(f"{label}: {found}")
            if {"yunet_ort", "yunet_cv2"} <= detectors.keys():
                ratio = figures[f"detector.yunet_cv2.{label}.ms"] / figures[f"detector.yunet_ort.{label}.ms"]
                figures[f"detector.yunet_cv2_to_yunet_ort.{label}.ratio"] = ratio
    finally:
        cv2.setNumThreads(threads)
        for detector in detectors.values():
            detector.close()
    return figures


def _call(detector: Detector, image: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Callable[[], object]:
    return lambda: detector.detect(image)


def _detectors(progress: Callable[[str], None]) -> dict[str, Detector]:
    """The detectors that work on this machine, by name."""
    defaults = PipelineSettings()
    detectors: dict[str, Detector] = {}
    for name in DETECTORS:
        try:
            detectors[name] = create_detector(
                name,
                threshold=defaults.detection_threshold,
                detection_size=defaults.detection_size,
                min_face_size=defaults.min_face_size,
                max_faces=defaults.max_faces,
                threads=_THREADS,
            )
        except (ModelError, BackendError) as err:
            progress(f"{name} is left out: {err}")
    if not detectors:
        msg = "no face detector works on this machine; run `fer models fetch yunet`"
        raise BackendError(msg)
    return detectors
