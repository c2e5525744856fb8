"""The command line as people run it: a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def run_fer(*arguments: str | Path, timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
    """Run `fer` with these arguments; stdout and stderr as text."""
    command = [sys.executable, "-c", "from fer_perception.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
