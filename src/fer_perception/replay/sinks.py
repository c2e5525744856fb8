"""Results of a replay as JSON Lines and as CSV."""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fer_perception.errors import SourceError
from fer_perception.replay.replay import ReplayedFrame
from fer_perception.results.json_lines import frame_to_json, json_line
from fer_perception.system.process import drop_stdout

#: What makes spreadsheets calculate a cell; no name of a ROS topic starts with any of it.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


class JsonLines:
    """One object a frame: the keys of `fer run --json`, and "camera" (the topic).

    Args:
        path: of the file; an older one is replaced. None = stdout, which stays open.

    Attributes:
        reader_left: whoever read stdout has seen enough (`| head`); further lines go nowhere.

    Raises:
        SourceError: it cannot be written; from every method.
    """

    def __init__(self, path: Path | None) -> None:
        self.reader_left = False
        self._path = path or Path("stdout")
        with self._troubles():
            self._own = None if path is None else path.open("w", encoding="utf-8", newline="")
        self._file = self._own or sys.stdout

    def add(self, frame: ReplayedFrame) -> None:
        """Write one line."""
        line = json_line({**frame_to_json(frame.index, frame.result), "camera": frame.result.camera})
        with self._troubles():
            self._file.write(line + "\n")

    def close(self) -> None:
        """Finish the file; idempotent."""
        with self._troubles():
            if self._own is None:
                self._file.flush()
            else:
                self._own.close()

    @contextmanager
    def _troubles(self) -> Iterator[None]:
        with _told(self._path):
            try:
                yield
            except BrokenPipeError:
                if self._own is not None:
                    raise
                self.reader_left = True
                drop_stdout()


class CsvTable:
    """One row a face and frame: camera, frame, stamp (s), face_id, emotion, confidence, ..., one column a score.

    A frame without faces has one row with an empty face_id. Numbers that are not estimated are empty. A name that a
    spreadsheet would take for a formula has an apostrophe before it.

    Args:
        path: of the file; an older one is replaced.
        labels: K class names of the scores.

    Raises:
        SourceError: it cannot be written; from every method.
    """

    def __init__(self, path: Path, labels: Sequence[str]) -> None:
        self._path = path
        self._labels = tuple(labels)
        heading = ["camera", "frame", "stamp", "face_id", "emotion", "confidence", "phase", "valence", "arousal"]
        heading += ["observed", "x", "y", "width", "height", "detection_confidence", "quality", "tracked_for"]
        heading += [f"score_{label}" for label in self._labels] + [f"raw_{label}" for label in self._labels]
        self._columns = len(heading)
        with _told(path):
            self._file = path.open("w", encoding="utf-8", newline="")
            self._writer = csv.writer(self._file)
            self._writer.writerow(heading)

    def add(self, frame: ReplayedFrame) -> None:
        """Write the rows of one frame."""
        with _told(self._path):
            self._add(frame)

    def _add(self, frame: ReplayedFrame) -> None:
        result = frame.result
        start = [_text(result.camera), frame.index, _seconds(result.stamp_ns)]
        if not result.faces:
            self._writer.writerow([*start, *[""] * (self._columns - len(start))])
        for face in result.faces:
            raw = [""] * len(self._labels) if face.raw_scores is None else [_number(v) for v in face.raw_scores]
            row: list[object] = [
                face.face_id,
                _text(face.emotion),
                _number(face.confidence),
                face.phase.value,
                _number(face.valence),
            ]
            row += [_number(face.arousal), int(face.observed), *face.roi, _number(face.detection_confidence)]
            row += [_number(face.quality), _number(face.tracked_for), *(_number(v) for v in face.scores), *raw]
            self._writer.writerow([*start, *row])

    def close(self) -> None:
        """Finish the file; idempotent."""
        with _told(self._path):
            self._file.close()


def _text(name: str) -> str:
    """A name that no spreadsheet takes for a formula: topics of a bag and labels of a model may be somebody else's."""
    return f"'{name}" if name.startswith(_FORMULA_STARTS) else name


def _seconds(stamp_ns: int) -> str:
    """All nine digits of a stamp: a float of this size has fewer."""
    whole, rest = divmod(abs(stamp_ns), 10**9)
    return f"{'-' if stamp_ns < 0 else ''}{whole}.{rest:09d}"


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turns what the disk says into an error that names the file."""
    try:
        yield
    except OSError as err:
        msg = f"{path} cannot be written: {err.strerror}"
        raise SourceError(msg) from None


def _number(value: float) -> str:
    return f"{value:.6g}" if math.isfinite(value) else ""
