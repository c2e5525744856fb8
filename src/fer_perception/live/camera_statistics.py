"""Rates, ages and drop counts of one camera, for diagnostics."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

#: Rates and percentiles are over so many seconds.
WINDOW_S = 5.0


@dataclass(frozen=True)
class Ages:
    """Percentiles of ages in s; NaN where there was nothing."""

    p50: float = float("nan")
    p95: float = float("nan")
    largest: float = float("nan")

    @classmethod
    def of(cls, values: Iterable[float]) -> Ages:
        """Percentiles of the values."""
        found = np.fromiter(values, dtype=np.float64)
        if not found.size:
            return cls()
        p50, p95 = np.percentile(found, (50, 95))
        return cls(float(p50), float(p95), float(found.max()))


@dataclass(frozen=True)
class CameraSnapshot:
    """One camera at one moment.

    Attributes:
        received_hz: frames that arrived, in the window.
        published_hz: results that left, in the window.
        received: frames since the start.
        published: results since the start.
        dropped: frames since the start by cause.
        dropped_recently: the same, in the window.
        received_recently: frames in the window.
        age_at_dequeue: s from receipt to the start of the work.
        age_at_publish: s from receipt to the publication of the result.
        stages: mean s of each stage, in the window.
        faces: in the last result.
        last_received_age: s since the last frame arrived; None = never.
        last_error: of the last frame that could not be used.
        interval: mean s between two frames, in the window; 0 for fewer than two.
        noticed_recently: what was odd about the stamps, by cause ("restart", "standing_stamp"), in the window.
        awaited_for: s since frames can be expected; None = as long as the node is active.
    """

    received_hz: float
    published_hz: float
    received: int
    published: int
    dropped: Mapping[str, int]
    dropped_recently: Mapping[str, int]
    received_recently: int
    age_at_dequeue: Ages
    age_at_publish: Ages
    stages: Mapping[str, float]
    faces: int
    last_received_age: float | None
    last_error: str
    interval: float = 0.0
    noticed_recently: Mapping[str, int] = field(default_factory=dict)
    awaited_for: float | None = None


@dataclass(frozen=True)
class _Published:
    time_s: float
    age_s: float
    stages: Mapping[str, float] = field(default_factory=dict)


class CameraStatistics:
    """Counts what happens to the frames of one camera, from any thread; times are monotonic, in s."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._start_s: float | None = None
        self._awaited_s: float | None = None
        self._last_received_s: float | None = None
        self._received: deque[float] = deque()
        self._dequeued: deque[tuple[float, float]] = deque()
        self._published: deque[_Published] = deque()
        self._dropped_recently: deque[tuple[float, str]] = deque()
        self._noticed_recently: deque[tuple[float, str]] = deque()
        self._received_total = 0
        self._published_total = 0
        self._dropped: Counter[str] = Counter()
        self._faces = 0
        self._last_error = ""

    def awaited(self, now: float) -> None:
        """Expect frames from now on: for a topic that appears while the node is active."""
        with self._lock:
            self._awaited_s = now

    def received(self, now: float) -> None:
        """A frame arrived."""
        with self._lock:
            if self._start_s is None:
                self._start_s = now
            self._last_received_s = now
            self._received_total += 1
            self._received.append(now)
            self._trim(now)

    def dropped(self, now: float, cause: str, error: str = "") -> None:
        """A frame was dropped; `error` says more where it was bad."""
        with self._lock:
            self._dropped[cause] += 1
            self._dropped_recently.append((now, cause))
            self._last_error = error or self._last_error

    def noticed(self, now: float, cause: str) -> None:
        """Something about a frame's stamp was odd, but the frame was used."""
        with self._lock:
            self._noticed_recently.append((now, cause))

    def dequeued(self, now: float, age_s: float) -> None:
        """Work on a frame begins."""
        with self._lock:
            self._dequeued.append((now, age_s))

    def published(self, now: float, age_s: float, stages: Mapping[str, float], faces: int) -> None:
        """A result left."""
        with self._lock:
            self._published_total += 1
            self._published.append(_Published(now, age_s, stages))
            self._faces = faces

    def tracks_ended(self) -> None:
        """No face is tracked any more."""
        with self._lock:
            self._faces = 0

    def snapshot(self, now: float) -> CameraSnapshot:
        """Statistics at this moment."""
        with self._lock:
            self._trim(now)
            # Rates of a camera that has just started are over the time it has run.
            span = WINDOW_S if self._start_s is None else min(max(now - self._start_s, 1.0), WINDOW_S)
            stages: dict[str, list[float]] = {}
            for item in self._published:
                for stage, seconds in item.stages.items():
                    stages.setdefault(stage, []).append(seconds)
            return CameraSnapshot(
                received_hz=len(self._received) / span,
                published_hz=len(self._published) / span,
                received=self._received_total,
                published=self._published_total,
                dropped=dict(self._dropped),
                dropped_recently=dict(Counter(cause for _, cause in self._dropped_recently)),
                received_recently=len(self._received),
                age_at_dequeue=Ages.of(age for _, age in self._dequeued),
                age_at_publish=Ages.of(item.age_s for item in self._published),
                stages={stage: sum(values) / len(values) for stage, values in stages.items()},
                faces=self._faces,
                last_received_age=None if self._last_received_s is None else now - self._last_received_s,
                last_error=self._last_error,
                interval=self._interval(),
                noticed_recently=dict(Counter(cause for _, cause in self._noticed_recently)),
                awaited_for=None if self._awaited_s is None else now - self._awaited_s,
            )

    def _interval(self) -> float:
        if len(self._received) < 2:
            return 0.0
        return (self._received[-1] - self._received[0]) / (len(self._received) - 1)

    def _trim(self, now: float) -> None:
        oldest = now - WINDOW_S
        while self._received and self._received[0] < oldest:
            self._received.popleft()
        while self._dequeued and self._dequeued[0][0] < oldest:
            self._dequeued.popleft()
        while self._published and self._published[0].time_s < oldest:
            self._published.popleft()
        for noted in (self._dropped_recently, self._noticed_recently):
            while noted and noted[0][0] < oldest:
                noted.popleft()
