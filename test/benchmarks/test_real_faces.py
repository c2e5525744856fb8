"""The script that compares models: one table with a column for each, JSON with everything, on drawn images."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs PyTorch (extra [train])")

from fer_perception.labels import LABELS

Script = Callable[..., SimpleNamespace]
SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "real_faces.py"
#: FER+'s column of each class.
COLUMN = (4, 5, 6, 1, 3, 2, 0)
MODELS = ("ires_separable", "ires_separable@votes", "mix:ires_separable+arch1_fer2013@mean^0.6")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., SimpleNamespace]:
    """Runs the script in this process: PyTorch is imported once."""
    spec = importlib.util.spec_from_file_location("real_faces_script", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)

    def call(*arguments: str | Path) -> SimpleNamespace:
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, arguments)])
        code = 0
        try:
            script.main()
        except SystemExit as done:
            code = done.code
        output = capsys.readouterr()
        return SimpleNamespace(returncode=code, stdout=output.out, stderr=output.err)

    return call


def write_data(folder: Path, *, voted: bool = True) -> tuple[Path, Path]:
    """Noise with votes in two splits, and a folder like CK+48 of three people."""
    random = np.random.default_rng(0)
    arrays = {}
    for split, count in (("train", 21), ("validation", 42)):
        arrays[f"{split}_images"] = random.integers(0, 255, (count, 48, 48)).astype(np.uint8)
        arrays[f"{split}_labels"] = (np.arange(count) % 7).astype(np.uint8)
        votes = np.zeros((count, 10), np.uint8)
        for vote, label in zip(votes, arrays[f"{split}_labels"], strict=True):
            vote[COLUMN[label]] = 8
            vote[0] += 2
        if voted:
            arrays[f"{split}_votes"] = votes
    data = folder / "some.npz"
    np.savez(data, **arrays)
    for index, name in enumerate(("anger", "happy", "sadness", "contempt")):
        (folder / "posed" / name).mkdir(parents=True)
        for frame in range(3):
            image = random.integers(0, 255, (48, 48)).astype(np.uint8)
            cv2.imwrite(str(folder / "posed" / name / f"S00{index}_001_0000001{frame}.png"), image)
    return data, folder / "posed"


def test_a_table_and_json_of_several_models(run: Script, tmp_path: Path) -> None:
    data, posed = write_data(tmp_path)
    done = run(*MODELS, "--data", data, "--ck", posed, "--json", tmp_path / "all.json", "--draws", "20")
    assert done.returncode == 0, done.stderr
    header, _, *lines = [line.strip("| ").split(" | ") for line in done.stdout.splitlines()]
    assert header == ["%", *MODELS]
    assert all(len(line) == 4 for line in lines)
    rows = {line[0]: line[1:] for line in lines}
    measured = json.loads((tmp_path / "all.json").read_text(encoding="utf-8"))
    assert measured["images"] == measured["clusters"] == 42
    assert measured["posed_subjects"] == 3
    assert measured["frequencies"]["votes"]["neutral"] == pytest.approx((2 * 21 + 3 * 8) / 210)
    for column, model in enumerate(measured["models"]):
        assert model["model"] == MODELS[column]
        assert model["majority"]["n"] == 42
        assert sum(model["majority"]["recall"][name]["count"] for name in LABELS) == 42
        text = rows["accuracy, majority of ten (42)"][column]
        assert text.startswith(f"{100 * model['majority']['accuracy']:.1f} [")
        assert model["posed"]["n"] == 9
        assert set(model["corruptions"]) == set(measured["corruptions"])
        assert model["never_trained"]["worst"] <= model["never_trained"]["mean"]
        (five, eight) = model["majority"]["operating_curve"]["read_at"]
        assert (five["false_alarms"], eight["false_alarms"]) == (0.05, 0.08)
        assert five["negatives_named_rightly"] <= eight["negatives_named_rightly"]


def test_the_quick_way_with_a_limit_and_no_posed_faces(run: Script, tmp_path: Path) -> None:
    data, _ = write_data(tmp_path)
    done = run(
        "ires_separable", "--data", data, "--limit", "12", "--draws", "5", "--quick", "--json", tmp_path / "some.json"
    )
    assert done.returncode == 0, done.stderr
    assert "no figures of posed faces" in done.stderr
    measured = json.loads((tmp_path / "some.json").read_text(encoding="utf-8"))
    assert measured["images"] == 12
    model = measured["models"][0]
    assert (model["posed"], model["found_again"], model["corruptions"], model["face_sizes"]) == (None, None, {}, {})
    assert not any(line.startswith("| spoiled") for line in done.stdout.splitlines())


@pytest.mark.parametrize("model", ["nobody", "ires_separable@nothing"])
def test_a_model_that_is_not_there_is_told(run: Script, model: str, tmp_path: Path) -> None:
    done = run(model, "--data", write_data(tmp_path)[0])
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert done.stdout == ""


def test_images_without_votes_are_told(run: Script, tmp_path: Path) -> None:
    done = run("ires_separable", "--data", write_data(tmp_path, voted=False)[0])
    assert done.returncode == 1
    assert "votes" in done.stderr
