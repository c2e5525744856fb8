"""Drawing of results on a frame: boxes, labels, confidence bars and phases.

Everything scales with the image and the face, so that it stays legible from 320x240 to 4K, and every face's text sits
on its own dark plate, so that it does on any background.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_perception.pipeline_types import FaceResult, FrameResult, Phase

Rect = tuple[int, int, int, int]
Color = tuple[int, int, int]

#: Color (red, green, blue) of each class, told apart on dark and on light ground, by the color-blind too; also of
#: reports and charts.
COLORS: dict[str, tuple[int, int, int]] = {
    "angry": (232, 72, 72),
    "disgusted": (123, 167, 37),
    "scared": (176, 126, 193),
    "happy": (255, 196, 46),
    "sad": (63, 146, 235),
    "surprised": (255, 138, 60),
    "neutral": (160, 168, 178),
    "contempt": (211, 115, 143),
}
#: Of "undecided", and of a label that neither is in `COLORS` nor among those that are told apart.
OTHER_COLOR = (210, 210, 210)
#: Colors of a model's other classes in CIE L*a*b*: hues all around from the first one (degrees), L* in turn, so that
#: neighbors differ in both; all of them legible under dark text and as text on dark ground.
_LIGHTNESS, _CHROMA, _FIRST_HUE = (64.0, 82.0, 72.0), 48.0, 265.0

UNDECIDED = "undecided"

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_PLATE: Color = (24, 20, 18)
_WHITE: Color = (250, 250, 250)
_DIM: Color = (190, 190, 190)
_PLATE_OPACITY = 0.9
#: Shares of the usual height of text that are tried until no face and no plate is hidden; pixels it has at least.
_CROWD_TEXT, _LEAST_TEXT = (1.0, 0.7, 0.5), 7
#: How far a class's color goes towards white where it is text: together with the plate, legible over a white wall.
_TEXT_WHITENESS = 0.25


def color_of(label: str, labels: Sequence[str] = ()) -> tuple[int, int, int]:
    """Red, green, blue in 0-255 of a class name ("" = undecided).

    Args:
        label: the class.
        labels: all classes of the model: those that are not in `COLORS` get colors of their own by their order.
    """
    if label in COLORS or label not in labels:
        return COLORS.get(label, OTHER_COLOR)
    return _other_colors(tuple(labels))[label]


@lru_cache(maxsize=16)
def _other_colors(labels: tuple[str, ...]) -> dict[str, tuple[int, int, int]]:
    others = [label for label in labels if label not in COLORS]
    number = np.arange(len(others))
    hue = np.radians(_FIRST_HUE + 360.0 * number / max(len(others), 1))
    lightness = np.array(_LIGHTNESS)[number % len(_LIGHTNESS)]
    lab = np.stack([lightness, _CHROMA * np.cos(hue), _CHROMA * np.sin(hue)], axis=-1).astype(np.float32)
    rgb = (np.clip(cv2.cvtColor(lab[None], cv2.COLOR_LAB2RGB)[0], 0.0, 1.0) * 255).round().astype(int).tolist()
    return {label: (red, green, blue) for label, (red, green, blue) in zip(others, rgb, strict=True)}


def hex_color(label: str, labels: Sequence[str] = ()) -> str:
    """`color_of` as "#rrggbb"."""
    return "#{:02x}{:02x}{:02x}".format(*color_of(label, labels))


@dataclass(frozen=True)
class FaceLayout:
    """Layout of the drawing of one face, in pixels of the image; nothing is drawn outside.

    Attributes:
        frame: the box with its outline: x, y, width, height.
        plate: the dark plate with the text: x, y, width, height.
        text_height: height of the label's capitals.
        line: width of the box's line.
    """

    frame: Rect
    plate: Rect
    text_height: int
    line: int


def draw_faces(image: NDArray[np.uint8], result: FrameResult) -> NDArray[np.uint8]:
    """Draw every face of `result` on a copy of `image`.

    Args:
        image: (H, W, 3) uint8 BGR or (H, W) uint8 gray: the frame that `result` describes.
        result: its faces; where `result.width` and `height` differ from the image's, boxes and landmarks are scaled to
            it.

    Returns:
        (H, W, 3) uint8 BGR, a new array. Only the pixels within `layout(...)` differ from the input.
    """
    canvas: NDArray[np.uint8] = image.copy()
    if image.ndim == 2:
        canvas = np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), dtype=np.uint8)
    placed = list(layout(canvas.shape[1], canvas.shape[0], result))
    colors = [_bgr(color_of(face.emotion, result.labels)) for face, _ in placed]
    scale = np.array(_scale(canvas.shape[1], canvas.shape[0], result))
    for (face, place), color in zip(placed, colors, strict=True):
        landmarks = None if face.landmarks is None else np.asarray(face.landmarks, np.float64) * scale
        _draw_frame(canvas, face, landmarks, place, color)
    # Plates last: a label is never crossed by the box of a neighbor.
    for (face, place), color in zip(placed, colors, strict=True):
        _draw_plate(canvas, face, place, color)
    return canvas


def layout(width: int, height: int, result: FrameResult) -> Iterator[tuple[FaceResult, FaceLayout]]:
    """Decide where each face's box and plate go on an image of `width` x `height` pixels.

    A plate goes above its box, below it, beside it, or inside its upper or lower edge: the first place within the
    image that covers no other plate and as little as possible of other faces. In a crowd, where plates would hide
    faces or one another all the same, the text shrinks.

    Yields:
        Each face with its place, the nearest (largest) face last, so that it is drawn on top.
    """
    scale_x, scale_y = _scale(width, height, result)
    faces = sorted(result.faces, key=lambda face: (face.roi[2] * face.roi[3], face.face_id))
    rois = [
        (round(f.roi[0] * scale_x), round(f.roi[1] * scale_y), round(f.roi[2] * scale_x), round(f.roi[3] * scale_y))
        for f in faces
    ]
    plates: dict[int, Rect] = {}
    sizes: list[int] = []
    fewest: int | None = None
    for share in _CROWD_TEXT:
        heights = [max(round(_text_height(width, height, roi) * share), _LEAST_TEXT) for roi in rois]
        places = _place_all(faces, heights, rois, image=(width, height))
        hidden = _hidden(places, rois)
        if fewest is None or hidden < fewest:
            fewest, plates, sizes = hidden, places, heights
        if not hidden:
            break
    for index, face in enumerate(faces):
        line = max(1, round(min(min(width, height) / 300, max(rois[index][2], 12) / 24)))
        x, y, w, h = rois[index]
        yield face, FaceLayout(_clip((x - line, y - line, w + 2 * line, h + 2 * line), width, height), plates[index],
                               sizes[index], line)  # fmt: skip


def _scale(width: int, height: int, result: FrameResult) -> tuple[float, float]:
    """Pixels of the image to draw on for one of the frame that the result describes, in x and y."""
    return width / result.width if result.width else 1.0, height / result.height if result.height else 1.0


def _place_all(
    faces: list[FaceResult], heights: list[int], rois: list[Rect], *, image: tuple[int, int]
) -> dict[int, Rect]:
    """The plate of each face, by its index; the largest faces (the last ones) choose first."""
    plates: dict[int, Rect] = {}
    for index in reversed(range(len(faces))):
        size = _plate_size(faces[index], heights[index], rois[index][2])
        others = [roi for other, roi in enumerate(rois) if other != index]
        plates[index] = _place(size, rois[index], image=image, taken=list(plates.values()), others=others)
    return plates


def _hidden(plates: dict[int, Rect], rois: list[Rect]) -> int:
    """Number of faces and plates that lie to a good part under the plates of others."""
    if not rois:
        return 0
    own = [plates[index] for index in range(len(rois))]
    other = ~np.eye(len(rois), dtype=bool)
    count = 0
    for covered, share in ((rois, 1 / 3), (own, 1 / 20)):
        areas = np.array([w * h for _, _, w, h in covered])[:, None]
        count += int(((_overlaps(covered, own) > share * areas) & other).any(axis=1).sum())
    return count


def _text_height(width: int, height: int, roi: Rect) -> int:
    """Capitals of a ninth of the face, but never smaller than legible on a screen that shows the whole image."""
    short = min(width, height * 4 // 3) * 3 / 4
    smallest, largest = max(float(_LEAST_TEXT), short / 60), max(9.0, short / 24)
    return round(min(max(roi[2] / 9, smallest), largest))


def _font(text_height: int) -> tuple[float, int]:
    """OpenCV font scale (Hershey capitals are 21 units high) and line thickness."""
    return text_height / 21.0, max(1, round(text_height / 9))


def _text_width(text: str, text_height: int) -> int:
    scale, thickness = _font(text_height)
    return int(cv2.getTextSize(text, _FONT, scale, thickness)[0][0])


def _texts(face: FaceResult) -> tuple[str, str, str, str]:
    """Label, percentage, id and phase, in letters the Hershey fonts have."""
    return (
        _ascii(face.emotion or UNDECIDED),
        f"{face.confidence * 100:.0f}%",
        _ascii(face.face_id),
        # Stills have no phases: "unknown" would only puzzle.
        ("" if face.phase is Phase.UNKNOWN else face.phase.value) if face.observed else "not seen",
    )


def _ascii(text: str) -> str:
    """The text without accents, "?" for other letters that the Hershey fonts lack."""
    letters = (letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    return "".join(letters).encode("ascii", "replace").decode()


def _small(text_height: int) -> int:
    return max(6, round(text_height * 0.75))


def _plate_size(face: FaceResult, text_height: int, box_width: int) -> tuple[int, int]:
    label, percent, face_id, phase = _texts(face)
    pad, small = _pad(text_height), _small(text_height)
    upper = _text_width(label, text_height) + _text_width(percent, text_height)
    lower = _text_width(face_id, small) + _text_width(phase, small)
    needed = max(upper, lower) + text_height + 2 * pad
    rows = 3 * pad + text_height + small + _bar_height(text_height) + 2 * pad
    return min(max(needed, box_width), needed * 2), rows


def _pad(text_height: int) -> int:
    return max(2, round(text_height * 0.4))


def _bar_height(text_height: int) -> int:
    return max(3, round(text_height * 0.45))


def _place(size: tuple[int, int], roi: Rect, *, image: tuple[int, int], taken: list[Rect], others: list[Rect]) -> Rect:
    w, h = size
    width, height = image
    x, y, box_w, box_h = roi
    centered = x + (box_w - w) // 2
    candidates = [
        (x, y - h), (centered, y - h), (x + box_w - w, y - h),
        (x, y + box_h), (centered, y + box_h), (x + box_w - w, y + box_h),
        (x + box_w, y), (x - w, y), (x, y + box_h - h), (x, y),
    ]  # fmt: skip
    rects = [
        (min(max(left, 0), max(width - w, 0)), min(max(top, 0), max(height - h, 0)), w, h) for left, top in candidates
    ]
    # Hiding another label is worst, then covering faces, the own one included; then the order above decides.
    hidden = 20.0 * _overlaps(rects, taken).sum(axis=1) + 4.0 * _overlaps(rects, [*others, roi]).sum(axis=1)
    cost = hidden / (w * h) + 0.02 * np.arange(len(rects))
    return _clip(rects[int(cost.argmin())], width, height)


def _overlaps(some: Sequence[Rect], others: Sequence[Rect]) -> NDArray[np.int64]:
    """(M, N): the common area of each of M and each of N rectangles, in pixels."""
    a = np.array(some, np.int64).reshape(-1, 1, 4)
    b = np.array(others, np.int64).reshape(1, -1, 4)
    common = np.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    return np.asarray(common.clip(min=0).prod(axis=-1), np.int64)


def _clip(rect: Rect, width: int, height: int) -> Rect:
    x0, y0 = min(max(rect[0], 0), width), min(max(rect[1], 0), height)
    x1, y1 = min(max(rect[0] + rect[2], 0), width), min(max(rect[1] + rect[3], 0), height)
    return x0, y0, x1 - x0, y1 - y0


def _bgr(rgb: tuple[int, int, int]) -> Color:
    return rgb[2], rgb[1], rgb[0]


def _as_text(color: Color) -> Color:
    blue, green, red = (round(part + _TEXT_WHITENESS * (255 - part)) for part in color)
    return blue, green, red


def _draw_frame(
    canvas: NDArray[np.uint8],
    face: FaceResult,
    landmarks: NDArray[np.float64] | None,
    place: FaceLayout,
    color: Color,
) -> None:
    x, y, w, h = place.frame
    if w < 2 or h < 2:
        return
    # Drawing into the region's own view: nothing can leak out of it.
    view = canvas[y : y + h, x : x + w]
    line = place.line
    half = line // 2
    upper_left, lower_right = (line + half, line + half), (w - 1 - line - half, h - 1 - line - half)
    if lower_right[0] <= upper_left[0] or lower_right[1] <= upper_left[1]:
        upper_left, lower_right = (0, 0), (w - 1, h - 1)
    cv2.rectangle(view, upper_left, lower_right, _PLATE, line * 3, cv2.LINE_4)
    if face.observed:
        cv2.rectangle(view, upper_left, lower_right, color, line, cv2.LINE_4)
    else:
        _dashed(view, upper_left, lower_right, color, line)
    if landmarks is None or not face.observed:
        return
    radius = max(1, line)
    for point in landmarks[np.isfinite(landmarks).all(axis=1)]:
        px, py = int(point[0]) - x, int(point[1]) - y
        if radius <= px < w - radius and radius <= py < h - radius:
            cv2.circle(view, (px, py), radius, color, -1, cv2.LINE_AA)


def _dashed(view: NDArray[np.uint8], start: tuple[int, int], end: tuple[int, int], color: Color, line: int) -> None:
    dash = max(4, 4 * line)
    for x in range(start[0], end[0], 2 * dash):
        for y in (start[1], end[1]):
            cv2.line(view, (x, y), (min(x + dash, end[0]), y), color, line, cv2.LINE_4)
    for y in range(start[1], end[1], 2 * dash):
        for x in (start[0], end[0]):
            cv2.line(view, (x, y), (x, min(y + dash, end[1])), color, line, cv2.LINE_4)


def _draw_plate(canvas: NDArray[np.uint8], face: FaceResult, place: FaceLayout, color: Color) -> None:
    x, y, w, h = place.plate
    if w < 4 or h < 4:
        return
    view = canvas[y : y + h, x : x + w]
    plate = np.full_like(view, _PLATE)
    view[:] = cv2.addWeighted(plate, _PLATE_OPACITY, view, 1.0 - _PLATE_OPACITY, 0.0)
    label, percent, face_id, phase = _texts(face)
    text, small, pad = place.text_height, _small(place.text_height), _pad(place.text_height)
    base = pad + text
    _text(view, label, (pad, base), text, _as_text(color))
    _text(view, percent, (w - pad - _text_width(percent, text), base), text, _WHITE)
    top, bar = base + pad, _bar_height(text)
    cv2.rectangle(view, (pad, top), (w - pad - 1, top + bar - 1), (80, 76, 72), -1)
    filled = round((w - 2 * pad) * min(max(face.confidence, 0.0), 1.0))
    if filled > 0:
        cv2.rectangle(view, (pad, top), (pad + filled - 1, top + bar - 1), color, -1)
    lower = top + bar + pad + small
    _text(view, face_id, (pad, lower), small, _WHITE)
    _text(view, phase, (w - pad - _text_width(phase, small), lower), small, _DIM)


def _text(view: NDArray[np.uint8], text: str, origin: tuple[int, int], text_height: int, color: Color) -> None:
    scale, thickness = _font(text_height)
    cv2.putText(view, text, origin, _FONT, scale, color, thickness, cv2.LINE_AA)
