"""A training run learns, resumes exactly, runs in two processes and refuses what cannot be."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from quick_recipe import QUICK

from fer_training import architectures
from fer_training.checkpoint import CheckpointError, load_checkpoint
from fer_training.evaluation.evaluate import run_model
from fer_training.fit.fit import fit
from fer_training.fit.module import NonFiniteLossError
from fer_training.recipe import RecipeError


def test_learns_and_leaves_a_complete_run_directory(tiny_npz: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    figures = fit({**QUICK, "loss": {"auxiliary_votes": 0.5}}, data=tiny_npz, out=out, progress=False)
    assert figures["validation_accuracy"] > 0.6  # chance is 0.14
    assert figures["n"] == 42
    assert json.loads((out / "metrics.json").read_text())["accuracy"] == figures["accuracy"]
    assert "lr: 0.002" in (out / "recipe.yaml").read_text()
    assert json.loads((out / "environment.json").read_text())["packages"]["torch"]
    for name in ("curves.png", "confusion.png"):
        assert (out / name).read_bytes().startswith(b"\x89PNG")
    # Whoever may read the recipe may use the weights.
    assert (out / "weights.safetensors").stat().st_mode == (out / "recipe.yaml").stat().st_mode
    # The auxiliary head is gone: the checkpoint fits the plain network.
    checkpoint = load_checkpoint(out / "weights.safetensors", architecture="lenet")
    network = architectures.create("lenet", **checkpoint.arguments)
    network.load_state_dict(checkpoint.state)
    with np.load(tiny_npz) as data:
        images, labels = data["validation_images"], data["validation_labels"]
    predicted = run_model(out / "weights.safetensors", images).logits.argmax(axis=1)
    assert (predicted == labels).mean() == pytest.approx(figures["validation_accuracy"])


def test_the_weights_that_are_saved_are_the_ones_that_were_measured(tiny_npz: Path, tmp_path: Path) -> None:
    """With a slow average the weights of the last step are far from the averaged ones."""
    fit({**QUICK, "ema": 0.97}, data=tiny_npz, out=tmp_path, progress=False)
    saved = load_checkpoint(tmp_path / "weights.safetensors").state
    # Lightning's checkpoint holds the average as the model's state, and the last step's beside it.
    resume = torch.load(tmp_path / "resume.ckpt", weights_only=False)
    averaged = {name.removeprefix("network."): value for name, value in resume["state_dict"].items()}
    last = {name.removeprefix("network."): value for name, value in resume["current_model_state"].items()}
    name = next(name for name in saved if name.endswith("weight"))
    assert torch.equal(saved[name], averaged[name])
    assert not torch.equal(saved[name], last[name])


def test_a_directory_whose_name_is_no_text(tiny_npz: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="has a name that is not UTF-8"):
        fit({**QUICK, "epochs": 1}, data=tiny_npz, out=tmp_path / os.fsdecode(b"r\xe4n"), progress=False)
    assert list(tmp_path.iterdir()) == [tiny_npz]


def test_another_recipe_does_not_take_over_a_run(tiny_npz: Path, tmp_path: Path) -> None:
    fit({**QUICK, "epochs": 1}, data=tiny_npz, out=tmp_path, progress=False)
    other = {**QUICK, "epochs": 2, "optimizer": {**QUICK["optimizer"], "lr": 1e-3}}
    expected = r"another recipe \(epochs is 1 there, 2 asked for, optimizer\.lr is 0\.002 there, 0\.001 asked for\)"
    with pytest.raises(RecipeError, match=expected):
        fit(other, data=tiny_npz, out=tmp_path, progress=False)
    fit(other, data=tiny_npz, out=tmp_path, resume=False, progress=False)


def test_fine_tuning_with_votes_keeps_the_head_of_the_same_classes(tiny_npz: Path, tmp_path: Path) -> None:
    """While training, the head has more outputs than were saved: those of the votes are new, the others go on."""
    votes = {**QUICK, "epochs": 1, "loss": {"auxiliary_votes": 0.3}}
    fit(votes, data=tiny_npz, out=tmp_path / "base", progress=False)
    initial = tmp_path / "base" / "weights.safetensors"
    still = {"name": "sgd", "lr": 1e-12, "momentum": 0.0, "weight_decay": 0.0}
    tuned = {**votes, "initial": str(initial), "optimizer": still, "ema": 0.0}
    fit(tuned, data=tiny_npz, out=tmp_path / "tuned", progress=False)
    before, after = (load_checkpoint(tmp_path / run / "weights.safetensors").state for run in ("base", "tuned"))
    head = [name for name, value in before.items() if value.ndim == 2 and len(value) == 7]
    assert head, "there must be a head, or it shows nothing"
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in head)


def test_an_attempt_that_failed_at_once_does_not_keep_the_directory(tiny_npz: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        fit({**QUICK, "epochs": 1, "initial": "nowhere.safetensors"}, data=tiny_npz, out=tmp_path, progress=False)
    assert (tmp_path / "recipe.yaml").is_file()
    fit({**QUICK, "epochs": 1}, data=tiny_npz, out=tmp_path, progress=False)


def test_divergence_is_an_error_that_names_the_learning_rate(tiny_npz: Path, tmp_path: Path) -> None:
    recipe = {**QUICK, "optimizer": {"name": "sgd", "lr": 1e30, "momentum": 0.0}}
    with pytest.raises(NonFiniteLossError, match=r"optimizer\.lr"):
        fit(recipe, data=tiny_npz, out=tmp_path, progress=False)


def test_divergence_in_the_last_step_is_an_error_too(tiny_npz: Path, tmp_path: Path) -> None:
    """One step an epoch: only the validation after it can see what it has done."""
    recipe = {**QUICK, "epochs": 1, "batch_size": 1000, "optimizer": {"name": "sgd", "lr": 1e38, "momentum": 0.0}}
    recipe["schedule"] = {"name": "constant", "warmup_epochs": 0.0}
    with pytest.raises(NonFiniteLossError, match=r"the validation loss is \w+ in epoch 0: training has diverged"):
        fit(recipe, data=tiny_npz, out=tmp_path, progress=False)
    assert not (tmp_path / "weights.safetensors").exists()


def test_fine_tuning_keeps_the_features_and_renews_the_head(tiny_npz: Path, tmp_path: Path) -> None:
    fit({**QUICK, "epochs": 1}, data=tiny_npz, out=tmp_path / "base", progress=False)
    initial = str(tmp_path / "base" / "weights.safetensors")
    tuned = {
        **QUICK, "epochs": 1, "initial": initial, "label_map": "fer8", "targets": "ferplus_majority",
        "optimizer": {"name": "sgd", "lr": 1e-12, "momentum": 0.0, "weight_decay": 0.0}, "ema": 0.0,
    }  # fmt: skip
    with pytest.raises(Exception, match="contempt"):  # nobody shows contempt in this data set
        fit(tuned, data=tiny_npz, out=tmp_path / "tuned", progress=False)
    with pytest.raises(CheckpointError, match="lenet"):
        fit({**QUICK, "architecture": "arch1", "initial": initial}, data=tiny_npz, out=tmp_path / "x", progress=False)


def test_teacher_is_found_by_image(tiny_npz: Path, tmp_path: Path) -> None:
    from fer_training.data.load import load_dataset
    from fer_training.distillation.teacher_file import read_teacher, write_teacher

    samples = load_dataset(tiny_npz, split="train")
    teacher = np.random.default_rng(0).dirichlet(np.ones(7), len(samples))
    path = tmp_path / "teacher.npz"
    write_teacher(path, samples.hashes(), teacher, labels=samples.label_names, source="a test")
    shuffled = samples.take(np.arange(len(samples))[::-1])
    found = read_teacher(path, shuffled.hashes(), labels=samples.label_names)
    assert np.abs(found - teacher[::-1]).max() < 1e-3
    assert read_teacher(path, ["00" * 32, *samples.hashes()[:1]], labels=samples.label_names)[0].sum() == 0
    with pytest.raises(RecipeError, match="classes"):
        read_teacher(path, samples.hashes(), labels=("a", "b"))
    figures = fit(
        {**QUICK, "loss": {"teacher": str(path), "teacher_weight": 1.0}, "epochs": 1}, data=tiny_npz,
        out=tmp_path / "run", progress=False,
    )  # fmt: skip
    assert np.isfinite(figures["nll"])


class Executed:
    """Unpickled, it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_somebody_elses_run_directory_executes_nothing(tiny_npz: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    fit({**QUICK, "epochs": 1}, data=tiny_npz, out=out, progress=False)
    torch.save({"epoch": Executed(tmp_path / "executed")}, out / "resume.ckpt")
    with pytest.raises(CheckpointError, match=r"resume\.ckpt holds more than tensors"):
        fit({**QUICK, "epochs": 1}, data=tiny_npz, out=out, progress=False)
    assert not (tmp_path / "executed").exists()
