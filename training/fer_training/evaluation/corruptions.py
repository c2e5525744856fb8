"""Images as a camera might have taken them: dark, small, blurred, lit from behind, a hand or a mask before the face.

Each is drawn for crops of 48x48 pixels with the face where `LANDMARK_TEMPLATE` has it, in NumPy and OpenCV only, and is
the same for the same seed. Those with `trainable=False` are a test: nothing that trains may use them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_perception.imaging.crops import CROP_SIZE, LANDMARK_TEMPLATE

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float64]
Random = np.random.Generator

#: What is left of the light, and the noise of the camera, gray levels.
LIGHT, NOISE = 0.4, 4.0
JPEG_QUALITY = 20
BLUR = 1.5
GAMMA = 2.0
#: How dark a face is before a bright window, and the veil of light over it, gray levels.
BACK_LIGHT, VEIL = 0.3, 60.0
#: Amplitude of the bands of a flickering lamp under a rolling shutter.
BANDING = 0.4
#: Length of the path of a moving face, pixels.
MOTION = 7
#: Shapes are drawn so many times larger and shrunk: edges of half a pixel.
_OVERSAMPLING = 4


@dataclass(frozen=True)
class Corruption:
    """A way to spoil images.

    Attributes:
        name: for tables and JSON.
        strength: in words, with its numbers.
        trainable: training may use it; if not it is a test.
        apply: (48, 48) uint8 and a random generator -> (48, 48) uint8.
    """

    name: str
    strength: str
    trainable: bool
    apply: Callable[[Bytes, Random], Bytes]

    def corrupt(self, images: Bytes, *, seed: int = 0) -> Bytes:
        """All of some images.

        Args:
            images: (N, 48, 48) uint8.
            seed: of what is drawn.

        Returns:
            (N, 48, 48) uint8.
        """
        random = np.random.default_rng([seed, *self.name.encode()])
        return np.array([self.apply(image, random) for image in images], np.uint8).reshape(images.shape)


def darkened(image: Bytes, random: Random) -> Bytes:
    """Little light and the noise of the camera."""
    return _bytes(image * LIGHT + random.normal(0, NOISE, image.shape))


def resized(image: Bytes, side: int) -> Bytes:
    """The image with the details that `side` pixels hold."""
    height, width = image.shape
    small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.uint8, copy=False)


def halved(image: Bytes, random: Random) -> Bytes:
    """Details of half as many pixels."""
    del random
    return resized(image, image.shape[0] // 2)


def jpeg(image: Bytes, random: Random) -> Bytes:
    """After strong JPEG."""
    del random
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), dtype=np.uint8)


def blurred(image: Bytes, random: Random) -> Bytes:
    """Out of focus."""
    del random
    return np.asarray(cv2.GaussianBlur(image, (0, 0), BLUR), dtype=np.uint8)


def gamma_changed(image: Bytes, random: Random) -> Bytes:
    """Too dark or too bright in the middle tones, one as often as the other."""
    exponent = GAMMA if random.random() < 0.5 else 1 / GAMMA
    return _bytes(255 * (image / 255.0) ** exponent)


def back_lit(image: Bytes, random: Random) -> Bytes:
    """A dark face before a bright window, with light that spills over its edge from one side."""
    y, x = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float64)
    middle_x, middle_y = 23.5, 25.0
    distance = np.hypot((x - middle_x) / 20.0, (y - middle_y) / 26.0)
    outside = np.clip((distance - 0.95) / 0.2, 0, 1)
    angle = random.uniform(0, 2 * np.pi)
    side = 0.5 + 0.5 * np.cos(np.arctan2(y - middle_y, x - middle_x) - angle)
    face = image * BACK_LIGHT + VEIL * side * np.clip(distance, 0, 1)
    return _bytes(face * (1 - outside) + 250 * outside)


def banded(image: Bytes, random: Random) -> Bytes:
    """Dark and bright rows of a flickering lamp under a rolling shutter."""
    rows = np.arange(image.shape[0])
    wave = np.sin(2 * np.pi * (rows / random.uniform(8, 20) + random.random()))
    return _bytes(image * (1 + BANDING * wave[:, None]))


def moved(image: Bytes, random: Random) -> Bytes:
    """The blur of a face that moves along a straight line, in any direction."""
    kernel = np.zeros((MOTION, MOTION), np.float32)
    kernel[MOTION // 2] = 1.0
    middle = (MOTION - 1) / 2
    turn = cv2.getRotationMatrix2D((middle, middle), random.uniform(0, 180), 1.0)
    kernel = cv2.warpAffine(kernel, turn, (MOTION, MOTION), flags=cv2.INTER_LINEAR).astype(np.float32)
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE), dtype=np.uint8)


def with_hand(image: Bytes, random: Random) -> Bytes:
    """Four fingers and a part of the palm over one side of the lower face, of the skin's gray level."""
    skin = float(np.median(image[8:40, 10:38]))
    left = random.random() < 0.5
    mask, shade = _canvas(), _canvas()
    below = np.array([0.0, 1.8])
    for finger in range(4):
        tip = np.array([17.0 + random.normal(0, 1.5), 26.0 + 4.6 * finger + random.normal(0, 0.7)])
        root = np.array([48.0, 31.0 + 4.4 * finger])
        _line(mask, tip, root, 4.4, 1.0)
        _line(shade, tip + below, root + below, 1.2, 1.0)
    _ellipse(mask, (46.0, 42.0), (9.0, 10.0), 1.0)
    drawn = skin * (1.0 - 0.35 * _shrunk(shade)) + random.normal(0, 3, image.shape)
    alpha = _shrunk(mask)
    if left:
        drawn, alpha = drawn[:, ::-1], alpha[:, ::-1]
    return _blend(image, drawn, alpha)


def with_glasses(image: Bytes, random: Random) -> Bytes:
    """Thick dark frames about both eyes; in half of the images with dark lenses, in the others with a reflection."""
    eyes = LANDMARK_TEMPLATE[:2].astype(np.float64) + random.normal(0, 0.7, 2)
    frame, lens, glare = _canvas(), _canvas(), _canvas()
    for eye in eyes:
        _ellipse(lens, eye, (7.2, 5.6), 1.0)
        _ellipse(frame, eye, (7.2, 5.6), 1.0, thickness=1.7)
        _line(glare, eye + np.array([-3.0, 2.5]), eye + np.array([2.0, -3.5]), 1.8, 1.0)
    _line(frame, eyes[0] + (7.0, -1.0), eyes[1] + (-7.0, -1.0), 1.5, 1.0)
    _line(frame, eyes[0] + (-7.0, -1.0), np.array([0.0, eyes[0][1] - 2.0]), 1.3, 1.0)
    _line(frame, eyes[1] + (7.0, -1.0), np.array([47.0, eyes[1][1] - 2.0]), 1.3, 1.0)
    dark = random.random() < 0.5
    result = _blend(image, np.full(image.shape, 30.0), _shrunk(lens) * (0.85 if dark else 0.1))
    if not dark:
        result = _blend(result, np.full(image.shape, 250.0), _shrunk(glare) * 0.7)
    return _blend(result, np.full(image.shape, 25.0), _shrunk(frame))


def with_mask(image: Bytes, random: Random) -> Bytes:
    """A bright mask with three folds from the nose to the chin."""
    top = float(LANDMARK_TEMPLATE[2][1]) - 2.5 + random.normal(0, 1.0)
    outline = [(6.0, top + 3), (23.5, top), (41.0, top + 3), (40.0, 40.0), (31.0, 47.9), (16.0, 47.9), (7.0, 40.0)]
    mask, folds = _canvas(), _canvas()
    points = np.rint((np.array(outline) + 0.5) * _OVERSAMPLING).astype(np.int32)
    cv2.fillPoly(mask, [points], 1.0, lineType=cv2.LINE_AA)
    for height in (top + 6, top + 10.5, top + 15):
        _line(folds, np.array([8.0, height]), np.array([39.0, height]), 0.9, 1.0)
    tone = random.uniform(150, 230)
    x = np.arange(image.shape[1])
    drawn = tone * (1 - 0.3 * np.abs((x - 23.5) / 24.0)[None, :] ** 2) - 30 * _shrunk(folds)
    return _blend(image, drawn + random.normal(0, 2, image.shape), _shrunk(mask))


CORRUPTIONS: tuple[Corruption, ...] = (
    Corruption("dark", f"{LIGHT:g} of the light, noise of {NOISE:g} gray levels", True, darkened),
    Corruption("half resolution", f"{CROP_SIZE // 2} pixels", True, halved),
    Corruption("JPEG", f"quality {JPEG_QUALITY}", True, jpeg),
    Corruption("blur", f"Gaussian, sigma {BLUR:g} pixels", True, blurred),
    Corruption("gamma", f"{GAMMA:g} or 1/{GAMMA:g}", True, gamma_changed),
    Corruption("back-light", f"{BACK_LIGHT:g} of the light, veil of up to {VEIL:g} gray levels", False, back_lit),
    Corruption("banding", f"rows from {1 - BANDING:g} to {1 + BANDING:g}, period 8 to 20 pixels", False, banded),
    Corruption("motion blur", f"{MOTION} pixels", False, moved),
    Corruption("hand", "four fingers over one side of the lower face", False, with_hand),
    Corruption("glasses", "thick frames, half of them sunglasses", False, with_glasses),
    Corruption("mask", "from the nose to the chin", False, with_mask),
)


def _bytes(values: NDArray[np.floating]) -> Bytes:
    return np.asarray(np.clip(values, 0, 255), dtype=np.uint8)


def _blend(image: Bytes, drawn: Floats, alpha: Floats) -> Bytes:
    return _bytes(image * (1 - alpha) + drawn * alpha)


def _canvas() -> NDArray[np.float32]:
    side = CROP_SIZE * _OVERSAMPLING
    return np.zeros((side, side), np.float32)


def _shrunk(canvas: NDArray[np.float32]) -> Floats:
    return cv2.resize(canvas, (CROP_SIZE, CROP_SIZE), interpolation=cv2.INTER_AREA).astype(np.float64)


def _enlarged(point: Floats | tuple[float, float]) -> tuple[int, int]:
    x, y = (np.asarray(point) + 0.5) * _OVERSAMPLING
    return round(float(x)), round(float(y))


def _line(canvas: NDArray[np.float32], start: Floats, end: Floats, width: float, value: float) -> None:
    """Draw a line with round ends; positions and width in pixels of the crop."""
    cv2.line(canvas, _enlarged(start), _enlarged(end), value, max(1, round(width * _OVERSAMPLING)))


def _ellipse(
    canvas: NDArray[np.float32],
    middle: Floats | tuple[float, float],
    axes: tuple[float, float],
    value: float,
    *,
    thickness: float | None = None,
) -> None:
    """Draw an upright ellipse, filled or as an outline; positions and lengths in pixels of the crop."""
    half = (round(axes[0] * _OVERSAMPLING), round(axes[1] * _OVERSAMPLING))
    stroke = -1 if thickness is None else max(1, round(thickness * _OVERSAMPLING))
    cv2.ellipse(canvas, _enlarged(middle), half, 0, 0, 360, value, stroke)
