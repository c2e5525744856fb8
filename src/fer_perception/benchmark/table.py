"""Table of flat figures for the terminal."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table


def rows(figures: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Group flat figures by what they are about.

    Args:
        figures: e.g. {"detector.haar.vga.ms": 41.0, "detector.haar.vga.p95_ms": 45.0}.

    Returns:
        {"detector.haar.vga": {"ms": 41.0, "p95_ms": 45.0}}, in order of appearance.
    """
    grouped: dict[str, dict[str, float]] = {}
    for key, value in figures.items():
        about, _, measure = key.rpartition(".")
        grouped.setdefault(about, {})[measure] = value
    return grouped


def number(value: float) -> str:
    """Three significant digits, whole numbers above 100, without an exponent."""
    if value != value:  # noqa: PLR0124  (not a number)
        return "-"
    magnitude = abs(value)
    if magnitude >= 100:
        return f"{value:,.0f}"
    for limit, digits in ((10, 1), (1, 2), (0.1, 3)):
        if magnitude >= limit:
            return f"{value:.{digits}f}"
    return f"{value:.4f}"


def figures_table(figures: Mapping[str, float], *, title: str = "") -> Table:
    """A table with one row for each thing measured.

    Args:
        figures: flat, as a part's `run` returns them.
        title: above the table, e.g. the machine.
    """
    table = Table(title=title or None, title_justify="left", show_edge=False, pad_edge=False)
    table.add_column("measured", no_wrap=True)
    table.add_column("figures")
    for about, measures in rows(figures).items():
        table.add_row(about, "  ".join(f"{name} {number(value)}" for name, value in measures.items()))
    return table
