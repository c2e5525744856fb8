"""A clip of real faces for demonstrations: public-domain portraits that travel in wheels, moving over a plain wall.

Eileen Collins (scikit-image's `astronaut`, NASA, public domain) smiles; Grace Hopper (matplotlib's sample data, US
Navy, public domain) does not quite.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_perception.errors import SourceError

WIDTH, HEIGHT = 640, 480
#: Frames a second.
RATE = 20
#: Length of the clip in s.
DURATION = 14.0

#: Who is in the image when: name, first and last second. Nobody is there between 9.5 and 11 s.
ASTRONAUT_SPANS = ((0.6, 9.5), (11.0, 14.0))
HOPPER_SPANS = ((3.5, 9.0),)


@dataclass(frozen=True)
class Portrait:
    """An image of one person.

    Attributes:
        image: (H, W, 3) uint8 BGR.
        face_center: x, y of the face in pixels of `image`.
        face_height: of the face in the same pixels.
        mask: opacity in [0, 1], (H, W) float32.
    """

    image: NDArray[np.uint8]
    face_center: tuple[float, float]
    face_height: float
    mask: NDArray[np.float32]


def load_portraits() -> tuple[Portrait, Portrait]:
    """The astronaut and the admiral.

    Raises:
        SourceError: scikit-image or matplotlib is not installed.
    """
    try:
        from matplotlib import cbook
        from skimage import data
    except ImportError as err:
        msg = f"the demo's portraits come with scikit-image and matplotlib: pip install {err.name}"
        raise SourceError(msg) from None
    astronaut = np.asarray(cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2BGR), dtype=np.uint8)
    file = Path(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))
    hopper = np.asarray(cv2.imdecode(np.frombuffer(file.read_bytes(), np.uint8), cv2.IMREAD_COLOR), dtype=np.uint8)
    # The upper parts, without the other things in the images.
    return (
        Portrait(astronaut[0:300, 60:390], (163.0, 112.0), 120.0, _soft_edges(300, 330)),
        Portrait(hopper[0:480, 40:480], (222.0, 190.0), 190.0, _soft_edges(480, 440)),
    )


def clip_frames(seconds: float = DURATION) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """The clip, the same at every call.

    Args:
        seconds: only so much of its beginning.

    Yields:
        Time from the start in s and the frame, (480, 640, 3) uint8 BGR.
    """
    astronaut, hopper = load_portraits()
    wall = _wall()
    noise = np.random.default_rng(20)
    # A few patterns of sensor noise in turn look as alive as ever new ones.
    grains = [np.abs(noise.normal(0.0, 2.5, (HEIGHT, WIDTH, 3))).astype(np.uint8) for _ in range(7)]
    for index in range(max(1, round(min(seconds, DURATION) * RATE))):
        t = index / RATE
        frame = wall.copy()
        if _within(t, HOPPER_SPANS):
            sway = 14 * math.sin(1.3 * t)
            _paste(
                frame, hopper, (468 + sway, 232 + 6 * math.sin(2.1 * t)), 128 + 10 * math.sin(0.7 * t), 3 * math.sin(t)
            )
        if _within(t, ASTRONAUT_SPANS):
            center = (210 + 60 * math.sin(0.55 * t), 220 + 18 * math.sin(0.9 * t))
            _paste(frame, astronaut, center, 125 + 28 * math.sin(0.8 * t), 5 * math.sin(1.1 * t))
        brighter, darker = grains[index % 7], grains[(index + 3) % 7]
        yield t, np.asarray(cv2.subtract(cv2.add(frame, brighter), darker), dtype=np.uint8)


def _within(t: float, spans: tuple[tuple[float, float], ...]) -> bool:
    return any(first <= t < last for first, last in spans)


def _wall() -> NDArray[np.uint8]:
    """A softly lit wall: (480, 640, 3) uint8 BGR."""
    x = np.linspace(-1.0, 1.0, WIDTH)[None, :]
    y = np.linspace(-1.0, 1.0, HEIGHT)[:, None]
    light = 1.0 - 0.22 * (x**2 + y**2)
    return np.asarray(light[..., None] * np.array([172.0, 160.0, 146.0]), dtype=np.uint8)


def _paste(
    frame: NDArray[np.uint8], portrait: Portrait, center: tuple[float, float], face_height: float, degrees: float
) -> None:
    """Put a portrait on the frame, its face `face_height` pixels high around `center`."""
    matrix = cv2.getRotationMatrix2D(portrait.face_center, degrees, face_height / portrait.face_height)
    matrix[:, 2] += np.array(center) - np.array(portrait.face_center)
    size = (frame.shape[1], frame.shape[0])
    image = cv2.warpAffine(portrait.image, matrix, size, borderMode=cv2.BORDER_REPLICATE)
    alpha = cv2.warpAffine(portrait.mask, matrix, size)
    frame[:] = cv2.blendLinear(image, frame, alpha, 1.0 - alpha)


def _soft_edges(height: int, width: int) -> NDArray[np.float32]:
    """Opacity of a portrait in [0, 1], (height, width) float32: it fades out towards its border."""
    edge = 26
    mask = np.zeros((height, width), np.float32)
    mask[edge : height - edge, edge : width - edge] = 1.0
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), edge / 2.5), dtype=np.float32)
