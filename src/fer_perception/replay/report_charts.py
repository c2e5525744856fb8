"""The charts of the replay report as inline SVG."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fer_perception.results.drawing import UNDECIDED, hex_color
from fer_perception.timing import stale_after

#: A face that is not reported for this long, in s, leaves a gap in its chart (see `timing.stale_after`).
GAP = 0.6
#: Points a chart is drawn with at most; longer tracks are averaged.
MAX_POINTS = 700

_WIDTH, _LEFT, _RIGHT = 1080, 64, 8
#: Opacity of the strip of each phase: either so low that the page's own text is legible on it, or full.
_PHASES = {"onset": 0.42, "apex": 1.0, "offset": 0.24, "neutral": 0.1, "unknown": 0.0}
#: Text on the full colors (and on the veils over them), and on faint ones; the second follows light and dark.
_INK, _PAGE_TEXT = "#17191d", "var(--text)"
#: Units of the drawing that a letter and an abbreviation of two letters take.
_LETTER, _ABBREVIATION = 8, 14


@dataclass(frozen=True)
class Sample:
    """One face in one frame.

    Attributes:
        t: s from the start.
        scores: (K,) smoothed probabilities.
        emotion: label, "" = undecided.
        confidence: [0, 1].
        phase: JSON spelling.
        observed: False = carried over.
        valence: [-1, 1] or NaN.
        arousal: [-1, 1] or NaN.
    """

    t: float
    scores: NDArray[np.float64]
    emotion: str
    confidence: float
    phase: str
    observed: bool
    valence: float
    arousal: float


@dataclass(frozen=True)
class Look:
    """Style of a stretch of a strip.

    Attributes:
        color: of its area.
        opacity: [0, 1] of its area.
        name: what it is, in its tooltip and, where there is room, on it.
        ink: color of the name.
        short: stands on it where there is no room for the name; "" = nothing does.
    """

    color: str
    opacity: float
    name: str
    ink: str
    short: str = ""


def overview(rows: Sequence[tuple[str, Sequence[Sample]]], labels: Sequence[str], duration: float) -> str:
    """One colored strip of labels a face.

    Args:
        rows: face id and its samples, oldest first.
        labels: all classes, in the order of the scores.
        duration: s of the whole bag.
    """
    pitch, strip = 30, 18
    height = pitch * len(rows) + 26
    scale = _time_scale(duration)
    look = partial(_label_style, labels)
    parts = [_axis(duration, scale, 0, height - 22)]
    for row, (face_id, samples) in enumerate(rows):
        y = row * pitch + 6
        parts.append(_text(_LEFT - 8, y + strip - 4, face_id, anchor="end", kind="name"))
        for piece in _pieces(samples):
            parts += _runs(piece, lambda sample: sample.emotion, look, scale=scale, y=y, height=strip)
    return _svg(height, parts, f"labels of {len(rows)} {'face' if len(rows) == 1 else 'faces'} over time")


def scores(face_id: str, samples: Sequence[Sample], labels: Sequence[str], duration: float) -> str:
    """The smoothed scores of one face stacked to 1 over time, below them the label and the phase.

    Args:
        face_id: of the face, for those who have the page read to them.
        samples: of the face, oldest first.
        labels: order of the scores.
        duration: s of the whole bag.
    """
    top, chart, strip = 6, 150, 14
    label_y, phase_y = top + chart + 8, top + chart + 8 + strip + 6
    height = phase_y + strip + 26
    scale = _time_scale(duration)
    parts = [_axis(duration, scale, top, height - 22)]
    for share in (0.0, 0.5, 1.0):
        y = top + chart * (1 - share)
        parts.append(_text(_LEFT - 8, y + 4, f"{share:g}", anchor="end"))
    parts.append(_text(_LEFT - 8, top + chart / 4 + 4, "score", anchor="end"))
    for piece in _pieces(samples):
        parts += _stack(_thin(piece), labels, scale, top, chart)
        parts += _unseen(piece, scale, top, chart)
        label_look, phase_look = partial(_label_style, labels), partial(_phase_style, labels)
        parts += _runs(piece, lambda sample: sample.emotion, label_look, scale=scale, y=label_y, height=strip)
        parts += _runs(piece, lambda sample: sample.phase, phase_look, scale=scale, y=phase_y, height=strip)
    parts.append(_text(_LEFT - 8, label_y + strip - 3, "label", anchor="end"))
    parts.append(_text(_LEFT - 8, phase_y + strip - 3, "phase", anchor="end"))
    return _svg(height, parts, f"scores, label and phase of {face_id} over time")


def _svg(height: float, parts: Sequence[str], told: str) -> str:
    """The drawing in a box of its own, which scrolls where the page is narrower than the drawing is legible."""
    return (
        f'<div class="chart"><svg viewBox="0 0 {_WIDTH} {height:.0f}" role="img" '
        f'aria-label="{html.escape(told)}">{"".join(parts)}</svg></div>'
    )


def _time_scale(duration: float) -> Callable[[float], float]:
    span = max(duration, 1e-3)
    return lambda t: _LEFT + (_WIDTH - _LEFT - _RIGHT) * min(max(t / span, 0.0), 1.0)


def _axis(duration: float, scale: Callable[[float], float], top: float, bottom: float) -> str:
    """Vertical lines at round times with their numbers below."""
    span = max(duration, 1e-3)
    rough = span / 10
    magnitude = 10 ** math.floor(math.log10(rough))
    step = next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude >= rough)
    parts = []
    for index in range(int(span / step + 1e-9) + 1):
        x = scale(index * step)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top:.0f}" y2="{bottom:.0f}"/>')
        unit = " s" if index == 0 else ""
        anchor = "end" if x > _WIDTH - 30 else "middle"
        parts.append(_text(x, bottom + 15, f"{index * step:g}{unit}", anchor=anchor))
    return "".join(parts)


def _text(x: float, y: float, text: str, *, anchor: str, kind: str = "") -> str:
    name = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{name}>{html.escape(text)}</text>'


def _pieces(samples: Sequence[Sample]) -> Iterator[list[Sample]]:
    """Stretches without a gap."""
    pauses = np.diff([sample.t for sample in samples])
    # A camera with one image every few seconds has pauses, not gaps.
    gap = stale_after(GAP, float(np.median(pauses)) if len(pauses) else 0.0)
    piece: list[Sample] = []
    for sample in samples:
        if piece and not 0 <= sample.t - piece[-1].t <= gap:
            yield piece
            piece = []
        piece.append(sample)
    if piece:
        yield piece


def _runs(
    piece: Sequence[Sample],
    key: Callable[[Sample], str],
    style: Callable[[str, Sample], Look],
    *,
    scale: Callable[[float], float],
    y: float,
    height: float,
) -> list[str]:
    """Rectangles over the stretches with the same key, with as much of its name as there is room for and a tooltip."""
    parts = []
    begin = 0
    for index in range(1, len(piece) + 1):
        if index < len(piece) and key(piece[index]) == key(piece[begin]):
            continue
        first = piece[begin]
        last = piece[index] if index < len(piece) else piece[-1]
        look = style(key(first), first)
        x0, x1 = scale(first.t), scale(last.t)
        width = max(x1 - x0, 1.0)
        tip = html.escape(f"{look.name}, {first.t:.2f} to {last.t:.2f} s")
        parts.append(
            f'<rect x="{x0:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.0f}" rx="2" '
            f'fill="{look.color}" fill-opacity="{look.opacity:g}"><title>{tip}</title></rect>'
        )
        shown = look.name if width > _LETTER * len(look.name) else look.short if width > _ABBREVIATION else ""
        if shown:
            parts.append(
                f'<text x="{(x0 + x1) / 2:.1f}" y="{y + height - 3.5:.1f}" text-anchor="middle" '
                f'style="fill:{look.ink}" pointer-events="none">{html.escape(shown)}</text>'
            )
        begin = index
    return parts


def _unseen(piece: Sequence[Sample], scale: Callable[[float], float], top: float, height: float) -> list[str]:
    """Veils over the stretches in which the face was carried over from an earlier frame."""
    veils = _runs(
        piece, lambda sample: "" if sample.observed else "not seen", _veil_style, scale=scale, y=top, height=height
    )
    return [veil for veil in veils if "not seen" in veil]


def _veil_style(name: str, _sample: Sample) -> Look:
    return Look("#fff", 0.35, name, _INK)


def _label_style(labels: Sequence[str], emotion: str, _sample: Sample) -> Look:
    # Two letters tell all classes apart for those who cannot tell the colors apart.
    name = emotion or UNDECIDED
    return Look(hex_color(emotion, labels), 1.0, name, _INK, name[:2])


def _phase_style(labels: Sequence[str], phase: str, sample: Sample) -> Look:
    opacity = _PHASES.get(phase, 0.0)
    return Look(hex_color(sample.emotion, labels), opacity, phase, _INK if opacity > 0.5 else _PAGE_TEXT)


def _thin(piece: Sequence[Sample]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Times (M,) and scores (M, K) of a piece, averaged down to `MAX_POINTS`."""
    times = np.array([sample.t for sample in piece])
    values = np.array([sample.scores for sample in piece])
    if len(times) <= MAX_POINTS:
        return times, values
    edges = np.linspace(0, len(times), MAX_POINTS + 1).astype(int)[:-1]
    counts = np.diff([*edges, len(times)])
    return np.add.reduceat(times, edges) / counts, np.add.reduceat(values, edges, axis=0) / counts[:, None]


def _stack(
    curve: tuple[NDArray[np.float64], NDArray[np.float64]],
    labels: Sequence[str],
    scale: Callable[[float], float],
    top: float,
    height: float,
) -> list[str]:
    times, values = curve
    xs = [scale(float(t)) for t in times]
    if len(xs) == 1:
        xs, values = [xs[0], xs[0] + 1.5], np.repeat(values, 2, axis=0)
    below = np.zeros(len(xs))
    parts = []
    for column, label in enumerate(labels):
        above = below + values[:, column]
        outline = [f"{x:.1f},{top + height * (1 - v):.1f}" for x, v in zip(xs, above, strict=True)]
        back = [f"{x:.1f},{top + height * (1 - v):.1f}" for x, v in zip(xs[::-1], below[::-1], strict=True)]
        color = hex_color(label, labels)
        parts.append(
            f'<polygon points="{" ".join(outline + back)}" fill="{color}" fill-opacity="0.88">'
            f"<title>{html.escape(label)}</title></polygon>"
        )
        below = above
    return parts
