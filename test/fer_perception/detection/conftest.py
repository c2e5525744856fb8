"""Real faces and the detectors that find them."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from matplotlib import cbook
from skimage import data as images

from fer_perception.detection.base import Detector
from fer_perception.detection.create import create_detector
from fer_perception.errors import ModelError
from fer_perception.model_files.store import ModelStore

SETTINGS = {"threshold": 0.6, "detection_size": 640, "min_face_size": 16, "max_faces": 64, "threads": 1}


@pytest.fixture(scope="session")
def astronaut() -> np.ndarray:
    """(512, 512, 3) BGR: one face of about 90x113 pixels at (178, 63)."""
    return cv2.cvtColor(images.astronaut(), cv2.COLOR_RGB2BGR)


@pytest.fixture(scope="session")
def hopper() -> np.ndarray:
    """(600, 512, 3) BGR: one face of about 170x212 pixels at (183, 120)."""
    return cv2.imread(str(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)))


@pytest.fixture(scope="session")
def group(astronaut: np.ndarray, hopper: np.ndarray) -> np.ndarray:
    """(700, 1000, 3) BGR with six faces of 45 to 150 pixels height in two rows."""
    canvas = np.full((700, 1000, 3), 128, np.uint8)
    heads = {"a": astronaut[0:260, 80:340], "h": hopper[60:460, 90:450]}
    places = [("a", 10, 20, 330), ("h", 350, 10, 300), ("a", 700, 30, 240), ("h", 40, 420, 200), ("a", 330, 420, 150)]
    for who, x, y, width in [*places, ("h", 600, 430, 110)]:
        head = heads[who]
        height = width * head.shape[0] // head.shape[1]
        canvas[y : y + height, x : x + width] = cv2.resize(head, (width, height), interpolation=cv2.INTER_AREA)
    return canvas


@pytest.fixture
def make() -> Callable[..., Detector]:
    """Makes a detector by name with the usual settings; skips where it cannot run on this machine."""

    def maker(name: str, **changes: object) -> Detector:
        if name == "yunet_cv2" and tuple(int(part) for part in cv2.__version__.split(".")[:2]) < (4, 8):
            pytest.skip(f"OpenCV {cv2.__version__} does not run the 2023 YuNet; 4.8 does")
        try:
            ModelStore().find("yunet")
        except ModelError as err:
            if name != "haar":
                pytest.skip(f"no YuNet here: {err}")
        return create_detector(name, **{**SETTINGS, **changes})

    return maker
