"""Measurement of durations by repeated calls, and their statistics."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class Durations:
    """Statistics of repeated measurements, in s.

    Attributes:
        median: 50th percentile.
        p95: 95th percentile.
        p99: 99th percentile.
        count: number of measurements.
    """

    median: float
    p95: float
    p99: float
    count: int

    def figures(self, prefix: str) -> dict[str, float]:
        """Flat figures in ms: `<prefix>.ms` (the median), `<prefix>.p95_ms` and `<prefix>.p99_ms`."""
        return {
            f"{prefix}.ms": self.median * 1e3,
            f"{prefix}.p95_ms": self.p95 * 1e3,
            f"{prefix}.p99_ms": self.p99 * 1e3,
        }


def summarize(seconds: Sequence[float]) -> Durations:
    """Statistics of durations measured elsewhere.

    Args:
        seconds: at least one duration, in s.
    """
    median, p95, p99 = np.percentile(np.asarray(seconds, dtype=np.float64), [50, 95, 99])
    return Durations(float(median), float(p95), float(p99), len(seconds))


def measure(call: Callable[[], object], *, seconds: float, warm_up: int = 3, at_least: int = 5) -> Durations:
    """Time repeated calls with the monotonic clock.

    Args:
        call: what is timed.
        seconds: go on for about this long.
        warm_up: calls before the clock starts.
        at_least: measure this many even where they take longer than `seconds`.
    """
    for _ in range(warm_up):
        call()
    durations: list[float] = []
    begin = time.perf_counter()
    while len(durations) < at_least or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        call()
        durations.append(time.perf_counter() - start)
    return summarize(durations)


def measure_in_turn(
    calls: Mapping[K, Callable[[], object]], *, seconds: float, warm_up: int = 2, rounds: int = 10
) -> dict[K, Durations]:
    """Time several things in turn, so that a busy machine slows all of them alike and their ratios hold.

    Args:
        calls: what is timed, by name.
        seconds: in total, for all of them.
        warm_up: calls of each before the clock starts.
        rounds: how often to change from one to the next; each gets the same time a round, and at least one call.

    Returns:
        Statistics by name.
    """
    for call in calls.values():
        for _ in range(warm_up):
            call()
    durations: dict[K, list[float]] = {name: [] for name in calls}
    share = seconds / (rounds * len(calls))
    for _ in range(rounds):
        for name, call in calls.items():
            begin = time.perf_counter()
            while True:
                start = time.perf_counter()
                call()
                end = time.perf_counter()
                durations[name].append(end - start)
                if end - begin >= share:
                    break
    return {name: summarize(values) for name, values in durations.items()}
