"""Results of a replay as JSON Lines and as CSV."""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from fer_perception.errors import SourceError
from fer_perception.replay.replay import ReplayedFrame
from fer_perception.results.json_lines import frame_to_json, json_line
from fer_perception.system.process import drop_stdout
from fer_perception.system.result_file import ResultFile

#: What makes spreadsheets calculate a cell; no name of a ROS topic starts with any of it.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


class JsonLines:
    """One object a frame: the keys of `fer run --json`, and "camera" (the topic).

    Args:
        path: of the file, which takes its place when it is closed; an older one is replaced. None = stdout, which stays
            open.

    Attributes:
        reader_left: whoever read stdout has seen enough (`| head`); further lines go nowhere.

    Raises:
        SourceError: it cannot be written; from every method.
    """

    def __init__(self, path: Path | None) -> None:
        self.reader_left = False
        self._own = None if path is None else ResultFile(path)

    @property
    def complete(self) -> bool:
        """True once the file is in its place."""
        return self._own is not None and self._own.complete

    def add(self, frame: ReplayedFrame) -> None:
        """Write one line."""
        keys = {**frame_to_json(frame.index, frame.result), "camera": frame.result.camera}
        line = json_line(keys) + "\n"
        if self._own is not None:
            self._own.write(line)
        else:
            with self._stdout():
                sys.stdout.write(line)

    def close(self) -> None:
        """Finish the file; idempotent."""
        if self._own is not None:
            self._own.close()
        else:
            with self._stdout():
                sys.stdout.flush()

    def __enter__(self) -> JsonLines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and self._own is not None:
            self._own.discard()
        else:
            self.close()

    @contextmanager
    def _stdout(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            self.reader_left = True
            drop_stdout()
        except OSError as err:
            msg = f"stdout cannot be written: {err.strerror}"
            raise SourceError(msg) from None


class CsvTable:
    """One row a face and frame: camera, frame, stamp (s), face_id, emotion, confidence, ..., one column a score.

    A frame without faces has one row with an empty face_id. Numbers that are not estimated are empty. A name that a
    spreadsheet would take for a formula has an apostrophe before it.

    Args:
        path: of the file, which takes its place when it is closed; an older one is replaced.
        labels: K class names of the scores.

    Raises:
        SourceError: it cannot be written; from every method.
    """

    def __init__(self, path: Path, labels: Sequence[str]) -> None:
        self._labels = tuple(labels)
        heading = ["camera", "frame", "stamp", "face_id", "emotion", "confidence", "phase", "valence", "arousal"]
        heading += ["observed", "x", "y", "width", "height", "detection_confidence", "quality", "tracked_for"]
        heading += [f"score_{label}" for label in self._labels] + [f"raw_{label}" for label in self._labels]
        self._columns = len(heading)
        self._file = ResultFile(path)
        self._writer = csv.writer(self._file)
        self._writer.writerow(heading)

    @property
    def complete(self) -> bool:
        """True once the file is in its place."""
        return self._file.complete

    def add(self, frame: ReplayedFrame) -> None:
        """Write the rows of one frame."""
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
        self._file.close()

    def __enter__(self) -> CsvTable:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.__exit__(kind, error, trace)


def _text(name: str) -> str:
    """A name that no spreadsheet takes for a formula: topics of a bag and labels of a model may be somebody else's."""
    return f"'{name}" if name.startswith(_FORMULA_STARTS) else name


def _seconds(stamp_ns: int) -> str:
    """All nine digits of a stamp: a float of this size has fewer."""
    whole, rest = divmod(abs(stamp_ns), 10**9)
    return f"{'-' if stamp_ns < 0 else ''}{whole}.{rest:09d}"


def _number(value: float) -> str:
    return f"{value:.6g}" if math.isfinite(value) else ""
