"""`fer-train distill`: what teachers say of every training image, in a small file without images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from full_disk import fill_the_disk
from random_teacher import distill, random_teacher

from fer_perception.errors import SourceError
from fer_perception.labels import LABELS, LABELS_WITH_CONTEMPT
from fer_training.data.load import load_dataset
from fer_training.distillation.teacher_file import read_teacher, write_teacher
from fer_training.evaluation.calibration import softmax
from fer_training.evaluation.evaluate import run_model
from fer_training.fit.data import load_fit_data
from fer_training.fit.module import ExpressionModule
from fer_training.recipe import RecipeError, load_recipe, recipe_from_mapping


def test_several_teachers_are_averaged_over_image_and_mirror_image(tiny_npz: Path, tmp_path: Path) -> None:
    models = [random_teacher(tmp_path / f"{seed}.safetensors", seed) for seed in (1, 2)]
    out = tmp_path / "teacher.npz"
    said = distill("--model", models[0], "--model", models[1], "--data", tiny_npz, "--out", out)
    assert said.startswith(f"{out}  140 images, ")
    samples = load_dataset(tiny_npz, split="train")
    answers = [
        softmax(run_model(model, np.ascontiguousarray(images)).logits)
        for model in models
        for images in (samples.images, samples.images[:, :, ::-1])
    ]
    found = read_teacher(out, samples.hashes(), labels=LABELS)
    assert np.abs(found - np.mean(answers, axis=0)).max() < 1e-3
    assert np.abs(answers[0] - answers[2]).max() > 1e-2, "the teachers agree: this test shows nothing"
    assert np.abs(answers[0] - answers[1]).max() > 1e-3, "mirroring changes nothing: this test shows nothing"


def test_the_same_teachers_give_the_same_bytes(tiny_npz: Path, tmp_path: Path) -> None:
    model = random_teacher(tmp_path / "t.safetensors", 1)
    for name in ("a.npz", "b.npz"):
        distill("--model", model, "--data", tiny_npz, "--out", tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_the_file_of_a_whole_data_set_is_small_and_holds_no_image(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    hashes = [random.bytes(32).hex() for _ in range(28_500)]
    probabilities = random.dirichlet(np.full(7, 0.5), len(hashes))
    path = tmp_path / "teacher.npz"
    write_teacher(path, hashes, probabilities, labels=LABELS, source="a test")
    assert path.stat().st_size < 1_000_000
    with np.load(path, allow_pickle=False) as data:
        assert {name: data[name].shape for name in data.files} == {
            "hashes": (28_500, 8), "probabilities": (28_500, 7), "about": (),
        }  # fmt: skip
    assert [file.name for file in tmp_path.iterdir()] == ["teacher.npz"]


def test_repeats_of_a_image_get_one_row(tmp_path: Path) -> None:
    path = tmp_path / "teacher.npz"
    hashes = ["aa" * 32, "00" * 32, "aa" * 32]
    write_teacher(path, hashes, np.eye(7)[[1, 2, 1]], labels=LABELS, source="a test")
    with np.load(path, allow_pickle=False) as data:
        assert data["hashes"].shape == (2, 8)
    assert read_teacher(path, hashes, labels=LABELS).argmax(axis=1).tolist() == [1, 2, 1]


def test_a_run_finds_the_teachers_answers_by_image(tiny_npz: Path, tmp_path: Path) -> None:
    samples = load_dataset(tiny_npz, split="train")
    path = tmp_path / "teacher.npz"
    answers = np.random.default_rng(0).dirichlet(np.ones(7), len(samples))
    # One the teacher never saw.
    write_teacher(path, samples.hashes()[1:], answers[1:], labels=LABELS, source="a test")
    loss = {"teacher": str(path), "teacher_weight": 0.5}
    data = load_fit_data(recipe_from_mapping({"data": str(tiny_npz), "loss": loss}))
    assert np.abs(data.train.teacher[1:] - answers[1:]).max() < 1e-3
    assert not data.train.teacher[0].any()
    assert not data.validation.teacher.any()
    assert f"the teacher {path} knows 139 of 140 training images" in data.notes[-1]


def test_recipes_go_on_without_the_votes_and_the_teacher_and_say_so(tiny_npz: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare.npz"
    with np.load(tiny_npz) as arrays:
        np.savez(bare, **{name: arrays[name] for name in arrays.files if not name.endswith("votes")})
    taught = load_fit_data(load_recipe("arch1_distilled", [f"data={bare}"]))
    assert "has no FER+ votes" in taught.notes[-2]
    assert "knows 0 of 140 training images" in taught.notes[-1]
    voted = load_fit_data(load_recipe("arch1_fer2013", [f"data={bare}"]))
    assert "put fer2013new.csv beside fer2013.csv" in voted.notes[-1]
    assert not voted.train.expected.any()
    assert not any("FER+" in note for note in load_fit_data(load_recipe("arch1_fer2013", [f"data={tiny_npz}"])).notes)


def test_a_image_without_a_teacher_is_learned_at_full_weight(tiny_npz: Path) -> None:
    """The gradient of its logits is the same as with no teacher at all."""
    loss = {"teacher": "any.npz", "teacher_weight": 0.7, "teacher_temperature": 1.0}
    logits = torch.randn(4, 7, generator=torch.Generator().manual_seed(0))
    target, votes = torch.eye(7)[:4], torch.zeros(4, 8)
    teacher = torch.full((4, 7), 1 / 7)
    teacher[2:] = 0
    gradients = []
    for settings in (loss, {}):
        values = {"architecture": "lenet", "data": str(tiny_npz), "loss": settings}
        module = ExpressionModule(
            recipe_from_mapping(values), classes=7, in_channels=1, input_size=48, steps_per_epoch=1
        )
        own = logits.clone().requires_grad_()
        module._loss(own, target, votes, teacher).backward()
        gradients.append(own.grad)
    assert torch.allclose(gradients[0][2:], gradients[1][2:], atol=1e-6)
    expected = (logits.softmax(dim=1) - (0.3 * target + 0.7 / 7)) / 4
    assert torch.allclose(gradients[0][:2], expected[:2], atol=1e-6)


def test_a_known_image_mixed_into_an_unknown_one_counts_for_its_share(tiny_npz: Path) -> None:
    """Nine tenths of an image that the teacher does not know, one tenth of one it does."""
    values = {"architecture": "lenet", "data": str(tiny_npz)}
    values["loss"] = {"teacher": "any.npz", "teacher_weight": 1.0, "teacher_temperature": 1.0}
    module = ExpressionModule(recipe_from_mapping(values), classes=7, in_channels=1, input_size=48, steps_per_epoch=1)
    target = 0.9 * torch.eye(7)[:1] + 0.1 * torch.eye(7)[1:2]
    own = torch.zeros(1, 7, requires_grad=True)
    module._loss(own, target, torch.zeros(1, 8), 0.1 * torch.eye(7)[2:3]).backward()
    assert own.grad is not None
    effective = 1 / 7 - own.grad
    assert torch.allclose(effective[0, :3], torch.tensor([0.81, 0.09, 0.1]), atol=1e-4)


def test_a_teacher_of_other_classes(tiny_npz: Path, tmp_path: Path) -> None:
    model = random_teacher(tmp_path / "t.safetensors", 1, labels=LABELS_WITH_CONTEMPT)
    with pytest.raises(RecipeError, match=r"--label-map the teacher's classes"):
        distill("--model", model, "--data", tiny_npz, "--out", tmp_path / "teacher.npz")
    assert not (tmp_path / "teacher.npz").exists()


def test_a_teacher_of_larger_images_is_found_by_a_student_of_them(tiny_npz: Path, tmp_path: Path) -> None:
    """Images are known by their pixels at the size they are trained at."""
    model = random_teacher(tmp_path / "t.safetensors", 1, size=64)
    out = tmp_path / "teacher.npz"
    distill("--model", model, "--data", tiny_npz, "--out", out)
    loss = {"teacher": str(out), "teacher_weight": 0.5}
    data = load_fit_data(recipe_from_mapping({"data": str(tiny_npz), "loss": loss, "input_size": 64}))
    assert data.train.teacher.any(axis=1).all()
    assert not any("teacher" in note for note in data.notes)


def test_teachers_of_different_sizes(tiny_npz: Path, tmp_path: Path) -> None:
    models = [random_teacher(tmp_path / f"{size}.safetensors", 1, size=size) for size in (48, 64)]
    with pytest.raises(RecipeError, match=r"different sizes .*48.safetensors 48, .*64.safetensors 64 pixels"):
        distill("--model", models[0], "--model", models[1], "--data", tiny_npz, "--out", tmp_path / "teacher.npz")


def test_teachers_of_listed_classes(tmp_path: Path) -> None:
    """In the order in which the teacher was trained, not that of the data set."""
    labels = ("wütend und traurig", "awake")
    images = np.random.default_rng(0).integers(0, 255, (6, 48, 48)).astype(np.uint8)
    data, model = tmp_path / "own.npz", random_teacher(tmp_path / "t.safetensors", 1, labels=labels)
    np.savez(data, train_images=images, train_labels=np.arange(6) % 2, label_names=np.array(labels[::-1]))
    out = tmp_path / "teacher.npz"
    distill("--model", model, "--data", data, "--label-map", ", ".join(labels), "--out", out)
    assert read_teacher(out, load_dataset(data, label_map=labels).hashes(), labels=labels).any(axis=1).all()


def test_a_file_that_cannot_be_written_leaves_the_earlier_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "teacher.npz"
    write_teacher(path, ["aa" * 32], np.eye(7)[:1], labels=LABELS, source="first")
    before = path.read_bytes()
    fill_the_disk(monkeypatch)
    with pytest.raises(SourceError, match=r"cannot write .*No space.*untouched"):
        write_teacher(path, ["bb" * 32], np.eye(7)[:1], labels=LABELS, source="second")
    assert path.read_bytes() == before
