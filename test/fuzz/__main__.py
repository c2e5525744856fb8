"""Feeds mutated images, messages, models, bags and data files to whatever reads them: `python test/fuzz --help`.

Every case must end in a result or in an error of this project, within `MOST_SECONDS`, and without `MOST_MB` more of
memory than before (an accepted image: what its header announces, and 60 MB). The seed and the number of a case make it
again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
#: Kind -> cases of the long run, and of the short one that every change has to pass.
CASES = {
    "images": (5000, 150),
    "messages": (2000, 300),
    "models": (300, 15),
    "bags": (200, 15),
    "data": (200, 20),
}
MOST_SECONDS, MOST_MB = 10.0, 200.0
#: Time after which a child that says nothing more is taken to hang, in s.
_PATIENCE = 120


def main() -> int:
    """Run the kinds asked for, each in a process of its own; exit status 1 where a case failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", default=list(CASES), help=f"of {', '.join(CASES)}")
    parser.add_argument("--short", action="store_true", help="the few cases of a test run")
    parser.add_argument("--seed", type=int, default=0, help="of all cases (0)")
    parser.add_argument("--case", type=int, help="this one alone")
    parser.add_argument("--json", type=Path, help="file for the figures")
    asked = parser.parse_args()
    figures = {}
    for kind in asked.kinds:
        numbers = range(CASES[kind][asked.short]) if asked.case is None else range(asked.case, asked.case + 1)
        figures[kind] = told = run_kind(kind, asked.seed, numbers)
        print(f"{kind}: {summary(told)}", flush=True)
        for failure in told["failures"]:
            print(f"  case {failure['case']} of seed {asked.seed}: {failure['why']}", flush=True)
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return int(any(told["failures"] for told in figures.values()))


def run_kind(kind: str, seed: int, numbers: range) -> dict[str, Any]:
    """Run cases in a child, and in another one after each that has ended it.

    Returns:
        "cases", "refused" (ended in an error of this project), "seconds" (longest), "mb" (largest), "failures".
    """
    results: list[dict[str, Any]] = []
    while len(results) < len(numbers):
        first = numbers.start + len(results)
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, str(HERE / "cases.py"), kind, str(seed), str(first), str(numbers.stop), folder]
            child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            begun = time.monotonic()
            lines, said = child.communicate(timeout=_PATIENCE * (numbers.stop - first + 5))
        done = [json.loads(line) for line in lines.splitlines() if line.startswith("{")]
        results += done
        if len(results) < len(numbers):
            why = f"the process ended with {child.returncode} after {time.monotonic() - begun:.0f} s: {said[-2000:]}"
            results.append({"case": numbers.start + len(results), "why": why, "refused": 0, "seconds": 0, "mb": 0})
    return {
        "cases": len(results),
        "refused": sum(result["refused"] for result in results),
        "seconds": max(result["seconds"] for result in results),
        "mb": max(result["mb"] for result in results),
        "failures": [result for result in results if result["why"]],
    }


def summary(told: dict[str, Any]) -> str:
    """The figures of one kind in a line."""
    return (
        f"{told['cases']} cases, {told['refused']} refused, the longest {told['seconds']:.2f} s, the largest "
        f"+{told['mb']:.0f} MB, {len(told['failures'])} failed"
    )


if __name__ == "__main__":
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    sys.exit(main())
