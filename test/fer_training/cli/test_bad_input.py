"""Bad data and bad recipes through the command line: one clear sentence and status 1, or a counted, listed skip."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_training.cli.app import main
from fer_training.data.load import load_dataset

CLASSES = ("angry", "disgusted", "scared", "happy", "sad", "surprised", "neutral")

Failure = Callable[..., str]


@pytest.fixture
def fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Failure:
    """Runs `fer-train`, expects status 1 without a stack of calls, returns the sentence."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", ["fer-train", *map(str, arguments)])
        with pytest.raises(SystemExit) as ending:
            main()
        assert ending.value.code == 1
        output = capsys.readouterr()
        assert "Traceback" not in output.err
        last = output.err.strip().splitlines()[-1]
        assert last.startswith("fer-train: ")
        assert not output.out
        return last

    return run


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A recipe of one short epoch."""
    path = tmp_path / "quick.yaml"
    path.write_text(json.dumps({
        "architecture": "lenet", "epochs": 1, "batch_size": 4, "precision": "32-true", "folds": 2,
        "optimizer": {"name": "adam", "lr": 1e-4},
    }))  # fmt: skip
    return path


def class_folders(root: Path, *, each: int = 3, classes: tuple[str, ...] = CLASSES) -> Path:
    """Noise images, the same number of each class, no split."""
    random = np.random.default_rng(0)
    for name in classes:
        (root / name).mkdir(parents=True)
        for index in range(each):
            cv2.imwrite(str(root / name / f"{index}.png"), random.integers(0, 256, (48, 48), dtype=np.uint8))
    return root


def test_a_subject_split_needs_subjects(fails: Failure, recipe: Path, tmp_path: Path) -> None:
    data = class_folders(tmp_path / "set")
    said = fails("fit", "--recipe", recipe, "--data", data, "split_by=subject")
    assert "21 of 21 images have no subject" in said
    assert "manifest with a subject column" in said


def test_a_subject_split_of_what_is_split_already(fails: Failure, recipe: Path, tiny_npz: Path) -> None:
    said = fails("fit", "--recipe", recipe, "--data", tiny_npz, "split_by=subject")
    assert "has a split of its own" in said
    said = fails("fit", "--recipe", recipe, "--data", tiny_npz, "split_by=face")
    assert "split_by is 'face'; expected one of: , subject, video, image" in said


def test_damaged_images_are_left_out_and_counted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], recipe: Path, tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    data = class_folders(tmp_path / "set")
    whole = (data / "happy" / "0.png").read_bytes()
    (data / "happy" / "torn.png").write_bytes(whole[:100])
    (data / "sad" / "text.jpg").write_text("not an image")
    words = ["fer-train", "fit", "--recipe", str(recipe), "--data", str(data), "--out", str(tmp_path / "run")]
    monkeypatch.setattr(sys, "argv", words)
    caplog.set_level("INFO")
    with pytest.raises(SystemExit) as ending:
        main()
    assert ending.value.code == 0
    notes = [message for message in caplog.messages if "left out" in message]
    assert any(note.startswith("2 images left out: ") for note in notes), notes
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["train_pictures"] == 10
    assert "validation accuracy" in capsys.readouterr().out


def test_unknown_and_missing_classes(fails: Failure, recipe: Path, tmp_path: Path) -> None:
    bored = class_folders(tmp_path / "bored", classes=(*CLASSES, "bored"))
    assert "class 'bored'" in fails("fit", "--recipe", recipe, "--data", bored)
    few = class_folders(tmp_path / "few", classes=CLASSES[:5])
    said = fails("fit", "--recipe", recipe, "--data", few)
    assert "no training image shows surprised, neutral" in said
    # What it says to write is what helps.
    (entry,) = re.findall(r"`(- \{path: .*?\})`", said)
    (tmp_path / "few.yaml").write_text(entry.replace("...", str(few)), encoding="utf-8")
    assert load_dataset(tmp_path / "few.yaml").label_names == ("angry", "disgusted", "scared", "happy", "sad")


def test_classes_that_yaml_would_take_for_something_else(fails: Failure, recipe: Path, tmp_path: Path) -> None:
    data = class_folders(tmp_path / "some", classes=("no", "1"))
    said = fails("fit", "--recipe", recipe, "--data", data, "label_map=['no', '1', awake]")
    assert "no training image shows awake" in said
    (entry,) = re.findall(r"`(- \{path: .*?\})`", said)
    (tmp_path / "some.yaml").write_text(entry.replace("...", str(data)), encoding="utf-8")
    assert load_dataset(tmp_path / "some.yaml").label_names == ("no", "1")


def test_networks_that_cannot_be_built_are_refused_before_the_data_is_read(fails: Failure, recipe: Path) -> None:
    base = ("fit", "--recipe", recipe, "--data", "nowhere.npz")
    assert "in_channels is 2; expected 1 (gray) or 3 (color)" in fails(*base, "in_channels=2")
    said = fails(*base, "architecture=arch1", "arguments.dropout=7")
    assert "arch1 cannot be built with dropout=7" in said


def test_damaged_tables(fails: Failure, recipe: Path, tmp_path: Path, tiny_npz: Path) -> None:
    csv = tmp_path / "fer2013.csv"
    csv.write_text("emotion,pixels,Usage\n3,1 2 3,Training\n9," + " ".join(["7"] * 2304) + ",Training\n")
    said = fails("fit", "--recipe", recipe, "--data", csv)
    assert "the pixel row has 3 values, expected 2304" in said
    assert "unknown label '9', expected 0 to 7" in said
    torn = tmp_path / "torn.npz"
    torn.write_bytes(tiny_npz.read_bytes()[:5000])
    assert str(torn) in fails("fit", "--recipe", recipe, "--data", torn)
    assert "there is no data set" in fails("fit", "--recipe", recipe, "--data", tmp_path / "nowhere.npz")


def test_models_of_another_kind(fails: Failure, recipe: Path, tmp_path: Path, tiny_npz: Path) -> None:
    from fer_training import architectures
    from fer_training.checkpoint import Checkpoint, save_checkpoint

    arguments = {"in_channels": 1, "input_size": 48, "num_classes": 7}
    other = tmp_path / "arch1.safetensors"
    state = architectures.create("arch1", **arguments).state_dict()
    save_checkpoint(other, Checkpoint(architecture="arch1", arguments=arguments, labels=CLASSES, state=state))
    said = fails("fit", "--recipe", recipe, "--data", tiny_npz, f"initial={other}")
    assert "holds a network of architecture 'arch1', expected 'lenet'" in said
    # The weights of one network under the name of another.
    false = tmp_path / "false.safetensors"
    save_checkpoint(false, Checkpoint(architecture="arch2", arguments=arguments, labels=CLASSES, state=state))
    said = fails("evaluate", "--model", false, "--data", tiny_npz, "--split", "validation")
    assert "do not fit architecture 'arch2'" in said
    assert "do not fit" in fails("export", "--checkpoint", false, "--out", tmp_path / "x.onnx")
    assert not (tmp_path / "x.onnx").exists()
    torn = tmp_path / "torn.safetensors"
    torn.write_bytes(other.read_bytes()[:1000])
    assert "damaged" in fails("evaluate", "--model", torn, "--data", tiny_npz, "--split", "validation")
    assert "damaged" in fails("export", "--checkpoint", torn, "--out", tmp_path / "x.onnx")


def test_teachers(fails: Failure, recipe: Path, tmp_path: Path, tiny_npz: Path) -> None:
    base = ("fit", "--recipe", recipe, "--data", tiny_npz)
    assert "loss.teacher names no file" in fails(*base, "loss.teacher_weight=0.5")
    said = fails(*base, "loss.teacher_weight=0.5", "loss.teacher=none.npz")
    assert "there is no teacher file none.npz" in said
    assert "fer-train distill" in said
    said = fails(*base, "loss.teacher_weight=0.5", f"loss.teacher={tiny_npz}")
    assert "is no teacher file" in said


def test_targets_made_of_votes_that_are_not_there(fails: Failure, tmp_path: Path) -> None:
    data = class_folders(tmp_path / "set")
    assert "ferplus_soft needs FER+ votes" in fails("fit", "--recipe", "arch1_ferplus", "--data", data, "folds=2")


def test_recipes(fails: Failure, tmp_path: Path, tiny_npz: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("epochs: [1\n")
    assert "not readable YAML" in fails("fit", "--recipe", broken, "--data", tiny_npz)
    assert "did you mean epochs" in fails("fit", "--recipe", "arch1_fer2013", "--data", tiny_npz, "epoch=3")
    assert "there is no recipe 'arch9'" in fails("fit", "--recipe", "arch9", "--data", tiny_npz)


@pytest.mark.parametrize("written", ["recipe", "data"])
def test_aliases_that_unfold_to_gigabytes(fails: Failure, recipe: Path, tmp_path: Path, written: str) -> None:
    lists = "".join(f"- &a{n} [{', '.join([f'*a{n - 1}' if n else 'x'] * 10)}]\n" for n in range(9))
    (tmp_path / "bomb.yaml").write_text(lists if written == "data" else f"epochs:\n{lists}")
    if written == "data":
        said = fails("fit", "--recipe", recipe, "--data", tmp_path / "bomb.yaml")
    else:
        said = fails("fit", "--recipe", tmp_path / "bomb.yaml", "--data", class_folders(tmp_path / "set"))
    assert "write it without aliases" in said
