"""Cross-fitted teachers: none is asked about an image it has trained on, and votes make their answers better."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from quick_recipe import QUICK
from random_teacher import distill, random_teacher

from fer_perception.labels import LABELS
from fer_training.checkpoint import load_checkpoint
from fer_training.data.load import load_dataset
from fer_training.distillation.cross_fitting import may_answer, part_of_images
from fer_training.distillation.teacher_file import read_teacher
from fer_training.distillation.vote_model import label_given_votes, label_given_votes_and_teacher
from fer_training.evaluation.calibration import softmax
from fer_training.evaluation.evaluate import run_model
from fer_training.fit.data import load_fit_data
from fer_training.fit.fit import fit
from fer_training.recipe import Recipe, RecipeError, recipe_from_mapping, recipe_to_yaml


def hashes_of(count: int) -> np.ndarray:
    random = np.random.default_rng(0)
    return np.array([random.bytes(32).hex() for _ in range(count)])


def teacher(path: Path, part: int | None) -> Path:
    """A network with random weights that claims to have been trained without a part."""
    if part is None:
        return random_teacher(path, 0)
    recipe = replace(Recipe(), cross_fit_parts=2, cross_fit_part=part)
    return random_teacher(path, part, recipe=recipe_to_yaml(recipe))


def test_parts_depend_on_the_image_alone() -> None:
    hashes = hashes_of(3000)
    parts = part_of_images(hashes, 3)
    assert np.bincount(parts).min() > 900
    order = np.random.default_rng(1).permutation(3000)
    assert np.array_equal(part_of_images(hashes[order], 3), parts[order])


def test_the_first_four_digits_decide_the_part() -> None:
    """Dealt out differently, the teachers of earlier runs would be asked about images that they have seen."""
    hashes = [digits + "5555" + "3" * 56 for digits in ("1234", "fffe", "a001")]
    assert part_of_images(hashes, 3).tolist() == [0x1234 % 3, 0xFFFE % 3, 0xA001 % 3] == [1, 2, 2]


def test_a_run_leaves_its_part_out_and_says_so(tiny_npz: Path) -> None:
    everything = load_fit_data(recipe_from_mapping({"data": str(tiny_npz)})).train.images
    remaining = []
    for part in range(3):
        values = {"data": str(tiny_npz), "cross_fit_parts": 3, "cross_fit_part": part}
        data = load_fit_data(recipe_from_mapping(values))
        remaining.append({image.tobytes() for image in data.train.images})
        assert f"cross-fitting: {140 - len(data.train)} training images left out (part {part} of 3" in data.notes[-1]
        assert len(data.validation) == 42
    whole = {image.tobytes() for image in everything}
    assert all(len(own) < len(whole) for own in remaining)
    assert not set.intersection(*remaining), "an image that every network saw has no teacher"
    assert set.union(*remaining) == whole


def test_the_weights_of_a_run_know_what_it_has_not_seen(tiny_npz: Path, tmp_path: Path) -> None:
    recipe = {**QUICK, "epochs": 1, "cross_fit_parts": 2, "cross_fit_part": 1}
    fit(recipe, data=tiny_npz, out=tmp_path / "run", progress=False)
    hashes = load_dataset(tiny_npz, split="train").hashes()
    mine = may_answer(load_checkpoint(tmp_path / "run" / "weights.safetensors").recipe, hashes)
    assert np.array_equal(mine, part_of_images(hashes, 2) == 1)


def test_each_image_is_answered_by_the_network_that_has_not_seen_it(tiny_npz: Path, tmp_path: Path) -> None:
    models = [teacher(tmp_path / f"{part}.safetensors", part) for part in (0, 1)]
    out = tmp_path / "teacher.npz"
    # The order on the command line does not matter.
    distill("--model", models[1], "--model", models[0], "--data", tiny_npz, "--out", out)
    samples = load_dataset(tiny_npz, split="train")
    found = read_teacher(out, samples.hashes(), labels=LABELS)
    answers = [
        (softmax(run_model(m, samples.images).logits) + softmax(run_model(m, samples.images[:, :, ::-1].copy()).logits))
        / 2
        for m in models
    ]
    parts = part_of_images(samples.hashes(), 2)
    expected = np.where(parts[:, None] == 0, answers[0], answers[1])
    assert np.abs(found - expected).max() < 1e-3
    assert np.abs(answers[0] - answers[1]).max() > 1e-2, "the teachers agree: this test shows nothing"


def test_a_image_that_every_teacher_has_seen(tiny_npz: Path, tmp_path: Path) -> None:
    model = teacher(tmp_path / "0.safetensors", 0)
    with pytest.raises(RecipeError, match=r"of 140 images were seen by every teacher .*cross_fit_part=0, 1"):
        distill("--model", model, "--data", tiny_npz, "--out", tmp_path / "teacher.npz")
    # One that was not cross-fitted may answer for all.
    other = teacher(tmp_path / "all.safetensors", None)
    distill("--model", model, "--model", other, "--data", tiny_npz, "--out", tmp_path / "teacher.npz")


def test_a_split_by_its_other_name(tiny_npz: Path, tmp_path: Path) -> None:
    model = teacher(tmp_path / "t.safetensors", None)
    for split in ("train", "Training"):
        distill(
            "--model", model, "--data", tiny_npz, "--out", tmp_path / f"{split}.npz", "--votes", "--split", split
        )  # fmt: skip
    with np.load(tmp_path / "train.npz") as one, np.load(tmp_path / "Training.npz") as other:
        assert np.array_equal(one["probabilities"], other["probabilities"])


def test_votes_asked_for_where_there_are_none(tiny_npz: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare.npz"
    with np.load(tiny_npz) as data:
        np.savez(bare, **{name: data[name] for name in data.files if not name.endswith("votes")})
    model = teacher(tmp_path / "t.safetensors", None)
    with pytest.raises(RecipeError, match=r"--votes needs FER\+ votes"):
        distill("--model", model, "--data", bare, "--out", tmp_path / "teacher.npz", "--votes")


def test_votes_and_teacher_together_foresee_more_than_either() -> None:
    """The teacher tells three groups of classes apart, the votes tell the classes of a group apart."""
    random = np.random.default_rng(0)
    count = 2000
    labels = random.integers(0, 7, count)
    answers = np.where(np.arange(7) // 3 == labels[:, None] // 3, 0.3, 0.02)
    answers /= answers.sum(axis=1, keepdims=True)
    votes = np.zeros((count, 10), np.uint8)
    votes[np.arange(count), labels % 3] = 10
    both = label_given_votes_and_teacher(votes, answers, labels, hashes_of(count))
    assert both.shape == (count, 7)
    assert np.allclose(both.sum(axis=1), 1, atol=1e-5)
    alone = label_given_votes(votes, labels, 7)
    assert max((p.argmax(axis=1) == labels).mean() for p in (alone, answers)) < 0.6
    assert (both.argmax(axis=1) == labels).mean() > 0.95


def test_a_images_own_label_does_not_decide_its_answer() -> None:
    """Without votes, and with a teacher that knows nothing, memory would be the only way to be right."""
    random = np.random.default_rng(0)
    count = 2000
    labels = random.integers(0, 7, count)
    answers = random.dirichlet(np.ones(7), count)
    votes = random.integers(0, 3, (count, 10)).astype(np.uint8)
    both = label_given_votes_and_teacher(votes, answers, labels, hashes_of(count))
    assert abs((both.argmax(axis=1) == labels).mean() - 1 / 7) < 0.04


def test_few_images() -> None:
    votes, answers = np.ones((1, 10), dtype=np.uint8), np.full((1, 7), 1 / 7)
    with pytest.raises(RecipeError, match=r"too few images \(1 whose labels may be used\)"):
        label_given_votes_and_teacher(votes, answers, np.zeros(1, dtype=np.int64), hashes_of(1))
    few = label_given_votes_and_teacher(votes.repeat(3, axis=0), answers.repeat(3, axis=0), np.arange(3), hashes_of(3))
    assert np.allclose(few.sum(axis=1), 1, atol=1e-5)


def test_labels_that_may_not_be_used_do_not_matter() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 7, 600)
    answers, votes = random.dirichlet(np.ones(7), 600), random.integers(0, 3, (600, 10)).astype(np.uint8)
    usable = np.arange(600) % 10 > 0
    first = label_given_votes_and_teacher(votes, answers, labels, hashes_of(600), fitted_on=usable)
    other = np.where(usable, labels, (labels + 3) % 7)
    assert np.array_equal(first, label_given_votes_and_teacher(votes, answers, other, hashes_of(600), fitted_on=usable))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"cross_fit_parts": 1}, "cross_fit_parts is 1; expected 0"),
        ({"cross_fit_parts": -2}, "cross_fit_parts is -2"),
        ({"cross_fit_parts": 3, "cross_fit_part": 3}, "cross_fit_part is 3; expected 0 to 2"),
        ({"cross_fit_part": 1}, "cross_fit_part is 1; expected 0 to 0 with cross_fit_parts=0"),
    ],
)
def test_parts_that_do_not_exist(values: dict[str, int], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        recipe_from_mapping(values)
