"""The script behind the numbers in crops.py measures those numbers again."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fer_perception.imaging.crops import BOX_TEMPLATE, LANDMARK_TEMPLATE


@pytest.fixture(scope="module")
def output(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What the script prints for 150 training images, and the image it draws."""
    root = Path(__file__).resolve().parents[2]
    image = tmp_path_factory.mktemp("image") / "mean.png"
    command = [sys.executable, str(root / "benchmarks" / "landmark_template.py"), "--data", str(archive)]
    command += ["--limit", "150", "--haar", "12", "--image", str(image)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return done.stdout, image


def numbers(line: str) -> np.ndarray:
    return np.array([float(text) for text in re.findall(r"-?\d+\.\d+", line)])


def line_of(text: str, start: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(start))


def test_template(output: tuple[str, Path]) -> None:
    measured = numbers(line_of(output[0], "template (symmetric)")).reshape(5, 2)
    np.testing.assert_allclose(measured, LANDMARK_TEMPLATE, atol=0.8)
    assert numbers(line_of(output[0], "asymmetry left out"))[0] < 0.6


def test_detection_rate_and_box(output: tuple[str, Path]) -> None:
    plain, mirrored = numbers(line_of(output[0], "faces found"))
    assert min(plain, mirrored) > 0.94
    np.testing.assert_allclose(numbers(line_of(output[0], "box x, y, w, h"))[:4], BOX_TEMPLATE, atol=3)


def test_image(output: tuple[str, Path]) -> None:
    assert output[1].read_bytes().startswith(b"\x89PNG")
