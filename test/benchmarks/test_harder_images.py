"""The script that asks models about harder images: the plain figures are right, the harder ones worse."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from fer_perception.classification.create import create_classifier

MODELS = ("arch1_fer2013", "ires_separable")


def test_each_model_has_a_line_of_figures(archive: Path, tmp_path: Path) -> None:
    with np.load(archive) as arrays:
        images, labels = arrays["validation_images"][:300], arrays["validation_labels"][:300]
    some = tmp_path / "some.npz"
    np.savez(some, validation_images=images, validation_labels=labels)
    script = Path(__file__).resolve().parents[2] / "benchmarks" / "harder_images.py"
    command = [sys.executable, str(script), "--data", str(some), *MODELS]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    header, _, *lines = [line.strip("| ").split(" | ") for line in done.stdout.splitlines()]
    assert header[1:4] == ["as they are", "by landmarks", "by box"]
    assert len(header) == 8
    accuracies = {}
    for name, line in zip(MODELS, lines, strict=True):
        assert line[0].startswith(f"{name}@")
        assert len(line) == len(header)
        accuracies[name] = dict(zip(header[1:], (float(cell.split(" / ")[0]) for cell in line[1:]), strict=True))
    known = labels != 255
    classifier = create_classifier("arch1_fer2013", backend="onnxruntime", threads=1)
    answers = classifier.classify(images[known, None].astype(np.float32))
    classifier.close()
    mine = answers.argmax(axis=1) == labels[known]
    likely = answers[np.arange(known.sum()), labels[known]].astype(np.float64)
    assert lines[0][1] == f"{100 * mine.mean():.1f} / {-np.log(likely).mean():.3f}"
    assert accuracies["arch1_fer2013"]["dark with noise"] < accuracies["arch1_fer2013"]["as they are"]
