"""The log of an unwatched run says every epoch where it is, with the figures that the file of all epochs has."""

from __future__ import annotations

import csv
import logging
import re
from pathlib import Path

import pytest
from quick_recipe import QUICK

from fer_training.fit import fit

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
