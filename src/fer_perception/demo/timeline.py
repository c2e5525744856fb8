"""Timeline image of a clip: one row of smoothed scores per face."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fer_perception.errors import SourceError
from fer_perception.pipeline_types import FaceResult, FrameResult
from fer_perception.results.drawing import UNDECIDED, hex_color


def write_timeline(path: Path, results: Sequence[FrameResult], title: str) -> None:
    """Draw the smoothed scores of every face over time, the reported label as a colored strip below.

    Args:
        path: .png file.
        results: frames of one camera, oldest first.
        title: heading.

    Raises:
        SourceError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        msg = "the timeline needs matplotlib: pip install matplotlib"
        raise SourceError(msg) from None

    tracks: dict[str, list[tuple[float, FaceResult]]] = {}
    start = results[0].stamp_ns if results else 0
    for result in results:
        for face in result.faces:
            tracks.setdefault(face.face_id, []).append(((result.stamp_ns - start) / 1e9, face))
    labels = results[0].labels if results else ()
    end = (results[-1].stamp_ns - start) / 1e9 if results else 1.0

    rows = max(len(tracks), 1)
    figure = Figure(figsize=(12, 1.4 + 1.9 * rows), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
    figure.suptitle(title, fontsize=13, fontweight="bold", x=0.01, ha="left")
    for axis, (face_id, points) in zip(axes, tracks.items(), strict=False):
        _draw_track(axis, points, labels, max(end, 0.1))
        axis.set_ylabel(face_id, rotation=0, ha="right", va="center", fontweight="bold")
    for axis in axes:
        axis.set_xlim(0, max(end, 0.1))
        axis.set_ylim(-0.14, 1.02)
        axis.set_yticks([0, 0.5, 1], ["0", "", "1"])
        axis.grid(axis="x", color="#e6e6ea", linewidth=0.8)
        axis.spines[["top", "right"]].set_visible(False)
    axes[-1].set_xlabel("time, s")
    handles = [axes[0].plot([], [], color=hex_color(label, labels), linewidth=3, label=label)[0] for label in labels]
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=len(labels), frameon=False, fontsize=9)
    figure.savefig(path, dpi=110)


def _draw_track(axis: object, points: list[tuple[float, FaceResult]], labels: Sequence[str], end: float) -> None:
    times = np.array([t for t, _ in points])
    scores = np.array([face.scores for _, face in points])
    for column, label in enumerate(labels):
        axis.plot(times, scores[:, column], color=hex_color(label, labels), linewidth=1.8)  # type: ignore[attr-defined]
    begin = 0
    for index in range(1, len(points) + 1):
        if index < len(points) and points[index][1].emotion == points[begin][1].emotion:
            continue
        stop = times[index] if index < len(points) else times[-1]
        emotion = points[begin][1].emotion
        color = hex_color(emotion, labels)
        axis.axvspan(times[begin], stop, ymin=0.0, ymax=0.09, color=color, linewidth=0)  # type: ignore[attr-defined]
        # A tenth of the row has room for every name, a seventieth for two letters, which tell the classes apart, too.
        name, room = emotion or UNDECIDED, (stop - times[begin]) / end
        shown = name if room > 0.008 * len(name) else name[:2] if room > 0.014 else ""
        if shown:
            middle = (times[begin] + stop) / 2
            axis.text(middle, -0.09, shown, ha="center", va="center", fontsize=8)  # type: ignore[attr-defined]
        begin = index
