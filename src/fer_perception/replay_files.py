"""Results of a replay as JSON Lines and as CSV."""

from __future__ import annotations

import csv
import math
import sys
from pathlib import Path
from typing import TextIO

from fer_perception.errors import SourceError
from fer_perception.replay import ReplayedFrame
from fer_perception.results_json import frame_to_json, json_line


class JsonLines:
    """One object a frame: the keys of `fer run --json`, and "camera" (the topic).

    Args:
        path: of the file; an older one is replaced. None = stdout, which stays open.

    Raises:
        SourceError: it cannot be written.
    """

    def __init__(self, path: Path | None) -> None:
        self._own = None if path is None else _create(path)
        self._file = self._own or sys.stdout

    def add(self, frame: ReplayedFrame) -> None:
        """Write one line."""
        self._file.write(json_line({**frame_to_json(frame.index, frame.result), "camera": frame.result.camera}) + "\n")

    def close(self) -> None:
        """Finish the file; idempotent."""
        if self._own is None:
            self._file.flush()
        else:
            self._own.close()


class CsvTable:
    """One row a face and frame: camera, frame, stamp (s), face_id, emotion, confidence, ..., one column a score.

    A frame without faces has one row with an empty face_id. Numbers that are not estimated are empty.

    Args:
        path: of the file; an older one is replaced.

    Raises:
        SourceError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._file = _create(path)
        self._writer = csv.writer(self._file)
        self._labels: tuple[str, ...] = ()
        self._columns = 0

    def add(self, frame: ReplayedFrame) -> None:
        """Write the rows of one frame, before the first one the heading."""
        result = frame.result
        if not self._labels:
            self._labels = result.labels
            heading = ["camera", "frame", "stamp", "face_id", "emotion", "confidence", "phase", "valence", "arousal"]
            heading += ["observed", "x", "y", "width", "height", "detection_confidence", "quality", "tracked_for"]
            heading += [f"score_{label}" for label in self._labels] + [f"raw_{label}" for label in self._labels]
            self._writer.writerow(heading)
            self._columns = len(heading)
        start = [result.camera, frame.index, f"{result.stamp_ns / 1e9:.9f}"]
        if not result.faces:
            self._writer.writerow([*start, *[""] * (self._columns - len(start))])
        for face in result.faces:
            raw = [""] * len(self._labels) if face.raw_scores is None else [_number(v) for v in face.raw_scores]
            row: list[object] = [
                face.face_id,
                face.emotion,
                _number(face.confidence),
                face.phase.value,
                _number(face.valence),
            ]
            row += [_number(face.arousal), int(face.observed), *face.roi, _number(face.detection_confidence)]
            row += [_number(face.quality), _number(face.tracked_for), *(_number(v) for v in face.scores), *raw]
            self._writer.writerow([*start, *row])

    def close(self) -> None:
        """Finish the file; idempotent."""
        self._file.close()


def _number(value: float) -> str:
    return f"{value:.6g}" if math.isfinite(value) else ""


def _create(path: Path) -> TextIO:
    try:
        return path.open("w", encoding="utf-8", newline="")
    except OSError as err:
        msg = f"{path} cannot be written: {err.strerror}"
        raise SourceError(msg) from None
