"""Figures of images that a network was trained on are told from held-out ones, from `fit` to the card."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from quick_recipe import QUICK
from typer.testing import CliRunner

from fer_training.checkpoint import load_checkpoint, save_checkpoint
from fer_training.cli.app import build_app
from fer_training.data.samples import DatasetError, short_hashes
from fer_training.evaluation.data import load_evaluation_data
from fer_training.fit.fit import fit
from fer_training.report.model_card import model_card, read_card_source

Run = Callable[..., str]


@pytest.fixture(scope="module")
def run() -> Run:
    def call(*arguments: object) -> str:
        result = CliRunner().invoke(build_app(), [str(argument) for argument in arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    return call


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images without splits, each at a height of its own class, no two alike."""
    random = np.random.default_rng(5)
    labels = (np.arange(70) % 7).astype(np.uint8)
    images = random.integers(0, 80, (70, 48, 48)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[3 + 6 * label : 8 + 6 * label] += 150
    path = tmp_path_factory.mktemp("whole") / "whole.npz"
    np.savez(path, images=images, labels=labels)
    return path


@pytest.fixture(scope="module")
def trained(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of fold 1 of 5: trained on 56 of the 70 images."""
    out = tmp_path_factory.mktemp("run")
    recipe = {**QUICK, "epochs": 1, "protocol": "clean", "split_by": "image", "folds": 5, "fold": 1}
    fit(recipe, data=whole, out=out, progress=False)
    return out / "weights.safetensors"


def test_a_checkpoint_knows_what_it_was_trained_on(trained: Path, whole: Path, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(trained)
    assert checkpoint.trained_images is not None
    assert len(checkpoint.trained_images) == 56
    with np.load(whole) as data:
        seen = np.isin(short_hashes(data["images"]), checkpoint.trained_images)
    assert seen.sum() == 56
    assert checkpoint.trained_before is False
    assert not any("trained" in name for name in checkpoint.state)
    save_checkpoint(tmp_path / "again.safetensors", replace(checkpoint, trained_before=True))
    again = load_checkpoint(tmp_path / "again.safetensors")
    np.testing.assert_array_equal(again.trained_images, checkpoint.trained_images)
    assert again.trained_before is True


def test_a_set_without_splits_is_evaluated_on_what_was_held_out(run: Run, trained: Path, whole: Path) -> None:
    printed = run("evaluate", "--model", trained, "--data", whole)
    assert printed.splitlines()[0].startswith("weights on whole.npz, split held-out: 14 images, protocol of training:")
    assert "56 images skipped: the model was trained on them" in printed
    figures = json.loads(CliRunner().invoke(build_app(), command(trained, whole)).stdout)
    assert (figures["n"], figures["trained_images"], figures["trained_images_known"]) == (14, 0, "all")


def command(model: Path, data: Path, *more: str) -> list[str]:
    return ["evaluate", "--model", str(model), "--data", str(data), "--json", "-", *more]


def test_figures_that_include_trained_images_say_so_first(run: Run, trained: Path, whole: Path) -> None:
    printed = run("evaluate", "--model", trained, "--data", whole, "--split", "all")
    assert "70 images, 56 of them TRAINED ON, protocol" in printed.splitlines()[0]
    figures = json.loads(CliRunner().invoke(build_app(), command(trained, whole, "--split", "all")).stdout)
    assert (figures["n"], figures["trained_images"]) == (70, 56)


def test_from_the_calibration_to_the_card(run: Run, trained: Path, whole: Path, tmp_path: Path) -> None:
    """Held out by default; with --split all the words are as plain as the figures are flattering."""
    honest, flattered = tmp_path / "honest.onnx", tmp_path / "flattered.onnx"
    words = ("export", "--checkpoint", trained, "--calibrate", "--data", whole, "--out")
    assert "fitted on held-out\n" in run(*words, honest)
    assert "fitted on all, 56 of its 70 images TRAINED ON" in run(*words, flattered, "--split", "all")
    card = model_card(read_card_source(honest, card=tmp_path / "card.md"))
    assert "### whole.npz, held-out\n\nNone of these images was trained on. One crop" in card
    assert "On whole.npz, held-out the confidence and the share of right answers differ by" in " ".join(card.split())
    card = model_card(read_card_source(flattered, card=tmp_path / "card.md"))
    assert (
        "### whole.npz, all\n\n**56 of these images were trained on: these are no figures of held-out images.**" in card
    )
    assert "was not measured" in " ".join(card.split())
    assert "can weigh the probabilities" not in " ".join(card.split())
    # The exported file does not know.
    printed = run("evaluate", "--model", honest, "--data", whole)
    assert "split all: 70 images, unknown which were trained on, protocol" in printed.splitlines()[0]


def test_held_out_images_of_a_model_that_does_not_say_or_has_seen_all(trained: Path, whole: Path) -> None:
    with pytest.raises(DatasetError, match="does not say which images it was trained on"):
        load_evaluation_data(whole, split="held-out")
    with np.load(whole) as data:
        everything = short_hashes(data["images"])
    with pytest.raises(DatasetError, match="trained on every image"):
        load_evaluation_data(whole, split="held-out", trained=everything)
    assert load_evaluation_data(whole).split == "all"
    nothing = load_evaluation_data(whole, trained=np.zeros(0, np.uint64))
    assert (nothing.split, len(nothing.images), nothing.skipped) == ("held-out", 70, {})


def test_a_set_with_splits_is_evaluated_on_validation_by_default(tiny_npz: Path) -> None:
    assert load_evaluation_data(tiny_npz, trained=np.zeros(0, np.uint64)).split == "validation"


def test_fine_tuning_adds_to_the_images_of_before(
    trained: Path, whole: Path, tiny_npz: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recipe = {**QUICK, "epochs": 1, "ema": 0.0}
    fit({**recipe, "initial": str(trained)}, data=tiny_npz, out=tmp_path / "known", progress=False)
    before, after = (load_checkpoint(path) for path in (trained, tmp_path / "known" / "weights.safetensors"))
    assert before.trained_images is not None
    assert after.trained_images is not None
    assert np.isin(before.trained_images, after.trained_images).all()
    assert len(after.trained_images) == 56 + 140
    silent = tmp_path / "silent.safetensors"
    save_checkpoint(silent, replace(before, trained_images=None))
    fit({**recipe, "initial": str(silent)}, data=tiny_npz, out=tmp_path / "unknown", progress=False)
    assert "does not say which images it was trained on" in caplog.text
    after = load_checkpoint(tmp_path / "unknown" / "weights.safetensors")
    assert after.trained_before is True
    assert after.trained_images is not None
    assert len(after.trained_images) == 140
