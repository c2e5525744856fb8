"""Progress and remaining time of an engine build, from the phases TensorRT reports."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class _Phase:
    parent: str | None
    steps: int
    done: int = 0


class BuildProgress:
    """Turns phases and steps into a line such as "building: 40 %, 25 s so far, about 38 s left".

    The three methods are those of TensorRT's `IProgressMonitor` (10.0 and later); it calls them from several threads.

    Args:
        report: gets the lines.
        expected_seconds: duration of earlier builds, used until the phases say more; None where unknown.
        interval: at least this long between two lines, in s.
        clock: in s.
    """

    def __init__(
        self,
        report: Callable[[str], None],
        *,
        expected_seconds: float | None = None,
        interval: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._report = report
        self._expected = expected_seconds
        self._interval = interval
        self._clock = clock
        self._start = clock()
        self._last = self._start
        self._phases: dict[str, _Phase] = {}
        self._best = 0.0
        self._lock = threading.Lock()

    def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
        """A phase begins, within its parent's present step."""
        with self._lock:
            parent = parent_phase if parent_phase != phase_name else None
            self._phases[phase_name] = _Phase(parent, max(1, num_steps))

    def step_complete(self, phase_name: str, step: int) -> bool:
        """A step of a phase is done; the answer True lets TensorRT go on."""
        with self._lock:
            phase = self._phases.get(phase_name)
            if phase is not None:
                phase.done = min(max(phase.done, step + 1), phase.steps)
        self.tick()
        return True

    def phase_finish(self, phase_name: str) -> None:
        """A phase ends, whether or not all of its steps were reported."""
        with self._lock:
            phase = self._phases.pop(phase_name, None)
            if phase is not None and phase.parent is None:
                self._best = 1.0
        self.tick()

    @property
    def fraction(self) -> float:
        """Part of the build that is done, in [0, 1]; never falls."""
        with self._lock:
            for phase in self._phases.values():
                if phase.parent is None or phase.parent not in self._phases:
                    self._best = max(self._best, self._done(phase))
            return self._best

    def tick(self) -> None:
        """Report, if the last line is old enough; also called by a clock where TensorRT reports no phases."""
        now = self._clock()
        fraction = self.fraction
        with self._lock:
            if now - self._last < self._interval:
                return
            self._last = now
        elapsed = now - self._start
        percent = f"{fraction:.0%}, " if fraction else ""
        self._report(f"building the engine: {percent}{elapsed:.0f} s so far{self._remaining(elapsed, fraction)}")

    def _remaining(self, elapsed: float, fraction: float) -> str:
        if fraction >= 0.05:
            return f", about {elapsed * (1 - fraction) / fraction:.0f} s left"
        if self._expected is not None and self._expected > elapsed:
            return f", about {self._expected - elapsed:.0f} s left (as in earlier builds)"
        return ""

    def _done(self, phase: _Phase) -> float:
        name = next(key for key, value in self._phases.items() if value is phase)
        inner = max((self._done(child) for child in self._phases.values() if child.parent == name), default=0.0)
        return min(1.0, (phase.done + inner * (phase.done < phase.steps)) / phase.steps)


@contextmanager
def ticking(progress: BuildProgress, *, interval: float = 5.0) -> Iterator[None]:
    """Let a clock report as well while the body runs: TensorRT 8.6 reports no phases, and phases can take long.

    Args:
        progress: what reports.
        interval: between two ticks, in s.
    """
    done = threading.Event()

    def tick() -> None:
        while not done.wait(interval):
            progress.tick()

    thread = threading.Thread(target=tick, name="engine build clock", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
