from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from fer_perception.benchmark.table import figures_table, number, rows


def test_keys_are_grouped_by_what_they_are_about():
    figures = {"a.b.ms": 1.0, "a.b.p95_ms": 2.0, "a.c.ms": 3.0}
    assert rows(figures) == {"a.b": {"ms": 1.0, "p95_ms": 2.0}, "a.c": {"ms": 3.0}}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.01234, "0.0123"),
        (0.1604, "0.160"),
        (3.14159, "3.14"),
        (41.04, "41.0"),
        (123456.7, "123,457"),
        (0, "0.0000"),
        (-2.5, "-2.50"),
        (float("nan"), "-"),
    ],
)
def test_numbers(value, text):
    assert number(value) == text


def test_the_table_shows_every_figure():
    out = StringIO()
    Console(file=out, width=100).print(figures_table({"detector.haar.vga.ms": 41.04, "detector.haar.vga.p95_ms": 45.5}))
    assert "detector.haar.vga" in out.getvalue()
    assert "ms 41.0  p95_ms 45.5" in out.getvalue()
