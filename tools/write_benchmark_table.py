"""Write the table of speeds in benchmarks/RESULTS.md from a measurement of `fer benchmark --json`.

make bench                                                   measure (the machine should have nothing else to do)
python tools/write_benchmark_table.py build/benchmark.json   write the table; on the machine that was measured
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fer_perception.benchmark.table import number
from fer_perception.errors import FerError, SourceError
from fer_training.report.marked_blocks import write_block

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "benchmarks" / "RESULTS.md"
BLOCK = "speed"
Figures = Mapping[str, float | None]


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        what: for people.
        median: key of the middle value, ms.
        tail: key of the 99th percentile, ms; "" where there is none.
        note: makes the last cell; a KeyError leaves it empty.
    """

    what: str
    median: str
    tail: str = ""
    note: Callable[[Figures], str] = lambda _figures: ""


def rows() -> list[Row]:
    """Rows of the table, the most asked for first."""
    found = [
        Row(
            f"node, 640x480 at 30 Hz, {count} face{'s' if count > 1 else ''}: from publishing an image to the answer",
            f"{key}.p50_ms",
            f"{key}.p99_ms",
            lambda figures, key=key: (
                f"{value(figures, f'{key}.answered_percent')} % answered, "
                f"{value(figures, f'{key}.one_core_percent')} % of a core, "
                f"{value(figures, f'{key}.resident_mb')} MB"
            ),
        )
        for count, key in ((1, "ros.vga_1_face"), (4, "ros.vga_4_faces"), (16, "ros.vga_16_faces"))
    ]
    whole = "pipeline.vga_4_faces"
    found.append(
        Row(
            "pipeline, decoded 640x480 image with 4 faces to results",
            f"{whole}.ms",
            f"{whole}.p99_ms",
            lambda figures: f"{value(figures, f'{whole}.processor_ms')} ms of processor time",
        )
    )
    found += [
        Row(f"of that: {stage}", f"{whole}.{stage}.ms", f"{whole}.{stage}.p99_ms")
        for stage in ("detect", "track", "crop", "classify", "smooth")
    ]
    found += [
        Row(
            f"classifier, batch of {count}",
            f"classifier.arch1.batch{count}.ms",
            f"classifier.arch1.batch{count}.p99_ms",
            lambda figures, count=count: (
                f"{value(figures, f'classifier.arch1.batch{count}.images_per_s')} faces a second"
            ),
        )
        for count in (1, 4, 8, 16, 64)
    ]
    found += [
        Row(
            f"{name}, per face",
            f"classifier.{key}.ms_per_face",
            note=lambda figures, key=key: f"{value(figures, f'classifier.{key}_to_arch1.ratio')} times ARCH-1",
        )
        for name, key in (
            ("ARCH-1 in INT8", "arch1_int8"),
            ("mini_XCEPTION, 64x64 (random weights)", "mini_xception"),
            ("EfficientNet-B0, 224x224 (random weights)", "efficientnet_b0"),
        )
    ]
    found += [
        Row("cut out and align 16 faces", "crops.16_faces.ms", "crops.16_faces.p99_ms"),
        Row("YuNet through ONNX Runtime, 640x480", "detector.yunet_ort.vga.ms", "detector.yunet_ort.vga.p99_ms"),
        Row("YuNet through OpenCV, 640x480", "detector.yunet_cv2.vga.ms", "detector.yunet_cv2.vga.p99_ms"),
    ]
    return found


def value(figures: Figures, key: str) -> str:
    """A figure for people.

    Raises:
        KeyError: it was not measured.
    """
    measured = figures[key]
    if measured is None:
        raise KeyError(key)
    return number(measured)


def table(figures: Figures, machine: str) -> str:
    """The block's Markdown; what was not measured is left out.

    Args:
        figures: as `fer benchmark --json` writes them.
        machine: on what.

    Raises:
        SourceError: none of the figures is there.
    """
    lines = []
    for row in rows():
        if figures.get(row.median) is None:
            continue
        tail = f"{value(figures, row.tail)} ms" if figures.get(row.tail) is not None else ""
        lines.append(f"| {row.what} | {value(figures, row.median)} ms | {tail} | {note(row, figures)} |")
    if not lines:
        msg = "the file has none of the figures; write it with `fer benchmark --json FILE`"
        raise SourceError(msg)
    closing = []
    if figures.get("pipeline.start_to_first_frame.s") is not None:
        closing.append(
            f"From the first import to the first result: {value(figures, 'pipeline.start_to_first_frame.s')} s."
        )
    if figures.get("classifier.arch1.roofline.ratio") is not None:
        closing.append(
            f"The classifier calculates at {value(figures, 'classifier.arch1.gflops')} GFLOP/s, a large matrix product "
            f"on the same cores at {value(figures, 'classifier.machine.gflops')}. Ratios, and these two, were measured "
            "in turn, which the rows above were not."
        )
    header = ["| what | median | 99 % | more |", "|---|---|---|---|"]
    return "\n".join([f"Measured on {machine}, by `make bench`:", "", *header, *lines, "", *closing]).strip()


def note(row: Row, figures: Figures) -> str:
    """The last cell."""
    try:
        return row.note(figures)
    except KeyError:
        return ""


def this_machine(figures: Figures) -> str:
    """Cores, processor and software of the machine this runs on."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        found = None
    processor = found[1].strip() if found else platform.processor() or platform.machine()
    cores = int(figures.get("machine.cores.count") or 0)
    runtime = importlib.metadata.version("onnxruntime")
    return (
        f"{f'{cores} cores of ' if cores else ''}{processor} ({platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, ONNX Runtime {runtime})"
    )


def main() -> int:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", type=Path, help="the JSON file")
    parser.add_argument("--machine", default="", help="what was measured; default: the machine this runs on")
    parser.add_argument("--add", default="", help="a remark behind the machine, e.g. 'beside a training run'")
    parser.add_argument("--write", type=Path, default=PAGE, help="the page (default: benchmarks/RESULTS.md)")
    options = parser.parse_args()
    try:
        figures = read_figures(options.figures)
        machine = options.machine or this_machine(figures)
        write_block(options.write, BLOCK, table(figures, f"{machine}{', ' if options.add else ''}{options.add}"))
    except FerError as err:
        print(f"write_benchmark_table: {err}", file=sys.stderr)
        return 1
    return 0


def read_figures(path: Path) -> dict[str, float | None]:
    """Read what `fer benchmark --json` wrote.

    Raises:
        SourceError: no such file, or something else is in it.
    """
    try:
        figures = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        msg = f"cannot read {path} ({err}); write it with `fer benchmark --json {path}`"
        raise SourceError(msg) from err
    if not isinstance(figures, dict) or not all(isinstance(v, int | float | None) for v in figures.values()):
        msg = f"{path} is not a flat object of numbers; write it with `fer benchmark --json {path}`"
        raise SourceError(msg)
    return figures


if __name__ == "__main__":
    sys.exit(main())
