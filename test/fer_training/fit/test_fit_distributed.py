"""Training in several processes under torchrun: one network, exact figures, no waiting for each other forever."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from quick_recipe import QUICK

from fer_training.fit.fit import fit
from fer_training.fit.run_directory import RESUME, sole_run

TWO_EPOCHS = {**QUICK, "epochs": 2, "batch_size": 10}


def torchrun(data: Path, out: Path, recipe: dict[str, Any], *options: str) -> subprocess.CompletedProcess[str]:
    """`fer-train fit` in two processes."""
    file = out.with_suffix(".yaml")
    file.write_text(json.dumps(recipe))
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"),
        *("-m", "fer_training.cli", "fit", "--recipe", str(file)),
        *("--data", str(data), "--out", str(out), *options),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


@pytest.mark.parametrize(("train", "validation"), [(140, 42), (43, 13)])
def test_two_processes_train_one_network(
    npz_of: Callable[[int, int], Path], tmp_path: Path, train: int, validation: int
) -> None:
    """Also where the images cannot be shared out evenly."""
    data = npz_of(train, validation)
    out = tmp_path / "run"
    done = torchrun(data, out, TWO_EPOCHS)
    assert done.returncode == 0, done.stderr
    figures = json.loads((out / "metrics.json").read_text())
    assert figures["n"] == validation
    assert figures["epochs"] == 2
    # Only the first process reports.
    assert done.stdout.count("validation accuracy") == 1
    with (out / "epochs.csv").open(newline="") as file:
        last = list(csv.DictReader(file))[-1]
    # The figures put together from both processes are those that one process finds with the written weights.
    assert float(last["validation_accuracy"]) == pytest.approx(figures["accuracy"], abs=1e-6)
    assert float(last["validation_loss"]) == pytest.approx(figures["nll"], abs=1e-4)


def test_more_processes_than_images_is_an_error(npz_of: Callable[[int, int], Path], tmp_path: Path) -> None:
    data = npz_of(140, 1)
    done = torchrun(data, tmp_path / "run", TWO_EPOCHS)
    assert done.returncode != 0
    assert "2 processes cannot share 140 training and 1 validation images" in done.stderr
    fit(TWO_EPOCHS, data=data, out=tmp_path / "one", progress=False)


def test_a_directory_where_somebody_trains_is_left_alone_by_all_processes(
    npz_of: Callable[[int, int], Path], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    with sole_run(out):
        (out / RESUME).write_text("of the other training")
        done = torchrun(npz_of(140, 42), out, TWO_EPOCHS, "--fresh")
        assert done.returncode != 0
        assert "another training" in done.stderr
        assert (out / RESUME).read_text() == "of the other training"
