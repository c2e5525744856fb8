"""`fer benchmark`: speed of this machine, as a table and as JSON."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fer_perception.benchmark import Progress


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("benchmark")(benchmark)


def benchmark(
    parts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PART",
            help="Any of classifier, crops, detector, pipeline, temporal, ros; several may be named. Default: all.",
        ),
    ] = None,
    *,
    json_file: Annotated[
        str,
        typer.Option("--json", metavar="FILE", help="Write one flat JSON object there; - writes only that, to stdout."),
    ] = "",
    full: Annotated[bool, typer.Option("--full", help="Measure longer: minutes a part instead of seconds.")] = False,
) -> None:
    """Measure this machine. Units are at the end of each name; .ms is the median, p95_ms and p99_ms are percentiles.

    Without a part all are measured, and those whose packages or models are missing are named and left out.
    """
    from fer_perception.benchmark import PARTS

    unknown = [part for part in parts or () if part not in PARTS]
    if unknown:
        msg = f"there is no part {unknown[0]!r}; expected: {', '.join(PARTS)}"
        raise typer.BadParameter(msg)
    _require_writable(json_file)
    figures: dict[str, float] = {}
    failed: list[str] = []
    for part in parts or PARTS:
        found = _measure(part, full=full)
        failed += [part] if found is None else []
        figures.update(found or {})
    figures["machine.cores.count"] = float(os.cpu_count() or 0)
    _show(figures, json_file)
    # Asked for everything, what a machine lacks is no failure; asked for one part, it is.
    if failed and (parts or len(failed) == len(PARTS)):
        raise typer.Exit(1)


def _require_writable(json_file: str) -> None:
    """Refuse a place nothing can be written to before minutes of measuring, not after."""
    from fer_perception.system.files import require_writable

    if json_file not in {"", "-"}:
        require_writable(Path(json_file))


def _measure(part: str, *, full: bool) -> dict[str, float] | None:
    from fer_perception.benchmark import load_part
    from fer_perception.errors import FerError

    say = _sayer(part)
    try:
        return load_part(part)(quick=not full, progress=say)
    except (FerError, ImportError) as err:
        say(f"not measured: {err}")
        return None


def _sayer(part: str) -> Progress:
    return lambda line: print(f"{part}: {line.removeprefix(f'{part}: ')}", file=sys.stderr, flush=True)


def _show(figures: dict[str, float], json_file: str) -> None:
    from rich.console import Console

    from fer_perception.benchmark.table import figures_table
    from fer_perception.system.files import write_atomically

    text = json.dumps({name: _rounded(value) for name, value in figures.items()}, indent=2) + "\n"
    if json_file == "-":
        sys.stdout.write(text)
        return
    # First, so that a disk that is full by now does not cost what was measured.
    Console(width=None if sys.stdout.isatty() else 160).print(figures_table(figures))
    if json_file:
        write_atomically(Path(json_file), text)


def _rounded(value: float) -> float | None:
    """Six significant digits; NaN is null."""
    return float(f"{value:.6g}") if value == value else None  # noqa: PLR0124  (not a number)
