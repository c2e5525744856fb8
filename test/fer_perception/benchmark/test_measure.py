from __future__ import annotations

import pytest

from fer_perception.benchmark import PARTS, load_part
from fer_perception.benchmark.measure import measure, measure_in_turn, summarize


def test_percentiles():
    durations = summarize([value / 1000 for value in range(1, 102)])
    assert durations.median == pytest.approx(0.051)
    assert durations.p95 == pytest.approx(0.096)
    assert durations.p99 == pytest.approx(0.1)
    assert durations.count == 101
    figures = durations.figures("part.thing")
    assert list(figures) == ["part.thing.ms", "part.thing.p95_ms", "part.thing.p99_ms"]
    assert figures["part.thing.ms"] == pytest.approx(51)


def test_measure_warms_up_and_counts():
    calls = []
    durations = measure(lambda: calls.append(1), seconds=0.0, warm_up=2, at_least=7)
    assert len(calls) == 9
    assert durations.count == 7
    assert durations.median >= 0


def test_in_turn_means_in_turn():
    order = []
    measured = measure_in_turn(
        {"a": lambda: order.append("a"), "b": lambda: order.append("b")}, seconds=0.0, warm_up=1, rounds=4
    )
    assert order == ["a", "b"] + ["a", "b"] * 4
    assert {name: durations.count for name, durations in measured.items()} == {"a": 4, "b": 4}


def test_every_part_of_the_contract_can_be_loaded():
    for part in PARTS:
        if part != "ros":
            assert callable(load_part(part))
    with pytest.raises(KeyError):
        load_part("measure")
