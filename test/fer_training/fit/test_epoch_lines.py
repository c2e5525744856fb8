"""The log of an unwatched run says every epoch where it is, with the figures that the file of all epochs has."""

from __future__ import annotations

import csv
import json
import logging
import re
import sys
from pathlib import Path

import pytest
from quick_recipe import QUICK
from run_in_terminal import run_in_terminal

from fer_training.fit.fit import fit

LINE = re.compile(
    r"epoch (?P<epoch>\d+) of 3: lr (?P<lr>[\d.e-]+); "
    r"train loss (?P<train_loss>[\d.]+), accuracy (?P<train_accuracy>[\d.]+) %; "
    r"validation loss (?P<validation_loss>[\d.]+), accuracy (?P<validation_accuracy>[\d.]+) %; "
    r"(?P<pace>[\d.]+) s an epoch, (?P<left>\d+) min left"
)


def test_a_line_an_epoch(tiny_npz: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    recipe = {
        **QUICK, "epochs": 3, "schedule": {"name": "plateau", "factor": 0.3, "patience": 0},
        # Too slow to gain anything: the schedule acts at the end of the second epoch.
        "optimizer": {"name": "sgd", "lr": 1e-6, "momentum": 0.0},
    }  # fmt: skip
    with caplog.at_level(logging.INFO, logger="fer_training"):
        fit(recipe, data=tiny_npz, out=tmp_path / "run", progress=False)
    lines = [match for message in caplog.messages if (match := LINE.fullmatch(message))]
    with (tmp_path / "run" / "epochs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(line["epoch"]) for line in lines] == [1, 2, 3]
    assert len({row["lr"] for row in rows}) > 1, "the schedule must have acted, or it shows nothing"
    for line, row in zip(lines, rows, strict=True):
        assert float(line["lr"]) == pytest.approx(float(row["lr"]), rel=1e-3)
        for part in ("train", "validation"):
            assert float(line[f"{part}_loss"]) == pytest.approx(float(row[f"{part}_loss"]), abs=1e-4)
            assert float(line[f"{part}_accuracy"]) == pytest.approx(100 * float(row[f"{part}_accuracy"]), abs=0.01)
    assert int(lines[-1]["left"]) == 0


def test_the_bar_of_a_terminal_says_what_the_files_say(tiny_npz: Path, tmp_path: Path) -> None:
    """A process of its own with a terminal of 80 columns."""
    recipe = tmp_path / "quick.yaml"
    recipe.write_text(json.dumps({**QUICK, "epochs": 2}))
    command = [sys.executable, "-m", "fer_training.cli", "fit", "--recipe", recipe, "--data", tiny_npz]
    out = ["--out", str(tmp_path / "run"), "--threads", "1"]
    status, text = run_in_terminal([*map(str, command), *out], columns=80)
    assert status == 0, text
    assert "Epoch 1/2" in text
    assert "Epoch 2/2" in text
    assert "Epoch 0" not in text
    assert re.search(r"val_loss: \d\.\d", text)
    assert re.search(r"val_acc: \d\.\d", text)
    assert "v_num" not in text
    assert "\u2026" not in text
