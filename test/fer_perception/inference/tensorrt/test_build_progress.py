from __future__ import annotations

import threading

from fer_perception.inference.tensorrt.build_progress import BuildProgress, ticking


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def started(expected: float | None = None):
    lines: list[str] = []
    clock = Clock()
    return BuildProgress(lines.append, expected_seconds=expected, clock=clock), lines, clock


def test_nested_phases_add_up():
    progress, _, _ = started()
    progress.phase_start("Building", None, 4)
    assert progress.fraction == 0
    progress.step_complete("Building", 0)
    assert progress.fraction == 0.25
    progress.phase_start("Tactics", "Building", 10)
    for step in range(5):
        assert progress.step_complete("Tactics", step) is True
    assert progress.fraction == 0.25 + 0.5 / 4
    progress.phase_finish("Tactics")
    progress.step_complete("Building", 1)
    assert progress.fraction == 0.5
    progress.phase_finish("Building")
    assert progress.fraction == 1


def test_the_fraction_never_falls():
    progress, _, _ = started()
    progress.phase_start("Building", None, 2)
    progress.phase_start("Tactics", "Building", 2)
    progress.step_complete("Tactics", 1)
    before = progress.fraction
    progress.phase_finish("Tactics")
    assert progress.fraction == before == 0.5


def test_steps_of_unknown_or_finished_phases_are_harmless():
    progress, _, _ = started()
    assert progress.step_complete("nobody", 3) is True
    progress.phase_finish("nobody")
    progress.phase_start("itself", "itself", 0)
    assert progress.fraction == 0


def test_lines_say_how_long_it_will_take():
    progress, lines, clock = started()
    progress.phase_start("Building", None, 10)
    clock.now = 30
    progress.step_complete("Building", 2)
    assert lines == ["building the engine: 30%, 30 s so far, about 70 s left"]
    clock.now = 31
    progress.step_complete("Building", 3)
    assert len(lines) == 1


def test_before_the_phases_say_anything_earlier_builds_do():
    progress, lines, clock = started(expected=90)
    clock.now = 20
    progress.tick()
    clock.now = 120
    progress.tick()
    assert lines == [
        "building the engine: 20 s so far, about 70 s left (as in earlier builds)",
        "building the engine: 120 s so far",
    ]


def test_the_clock_ticks_while_the_body_runs_and_stops_with_it():
    reported = threading.Event()
    progress = BuildProgress(lambda line: reported.set(), interval=0.0)
    before = threading.active_count()
    with ticking(progress, interval=0.001):
        assert reported.wait(10)
    assert threading.active_count() == before
