"""The demo's live table on terminals of every width."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from made_results import make_face, make_result
from rich.console import Console

from fer_perception.demo.watcher import MEDIUM, WIDE, live_table
from fer_perception.labels import LABELS


def shown(width: int) -> list[str]:
    faces = [
        replace(make_face(f"f85c3e9ac_{index}", label, (9, 9, 50, 50), observed=index % 2 == 0), valence=-0.5)
        for index, label in enumerate((*LABELS, ""))
    ]
    page = io.StringIO()
    title = "/emotions     8.1 s   162 messages"
    Console(file=page, width=width).print(live_table(make_result(*faces), title, width))
    return page.getvalue().splitlines()


@pytest.mark.parametrize("width", [60, MEDIUM - 1, MEDIUM, WIDE - 1, WIDE, 200])
def test_nothing_is_cut_or_broken(width: int) -> None:
    lines = shown(width)
    assert "\u2026" not in "".join(lines)
    assert max(map(len, lines)) <= width
    rows = [line for line in lines if "f85c3e9ac" in line]
    assert len(rows) == len(LABELS) + 1 == len(lines) - 5
    for label, row in zip((*LABELS, "undecided"), rows, strict=True):
        assert f" {label} " in row
        assert " 90%" in row
        assert (row.count("\u2588"), row.count("\u2591")) == ((18, 2) if width >= MEDIUM else (7, 1))


def test_wide_terminals_show_everything() -> None:
    assert all(word in shown(WIDE)[2] for word in ("valence", "arousal", "seen for"))
    assert "seen for" in shown(MEDIUM)[2]
