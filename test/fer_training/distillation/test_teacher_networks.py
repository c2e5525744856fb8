"""Teacher networks: asked about the very images the student sees, each about its share of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from quick_recipe import QUICK
from random_teacher import random_teacher
from torch import Tensor

from fer_perception.labels import LABELS, LABELS_WITH_CONTEMPT
from fer_training.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from fer_training.deployed_network import DeployedNetwork, load_network, standardize
from fer_training.distillation.teacher_networks import TeacherNetworks
from fer_training.fit.fit import fit
from fer_training.fit.module import ExpressionModule
from fer_training.recipe import RecipeError, recipe_from_mapping

SHAPE = (1, 48, 48)


def made_images(count: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (count, *SHAPE)).astype(np.float32))


def answers(path: Path, images: Tensor) -> Tensor:
    with torch.inference_mode():
        return DeployedNetwork(load_network(load_checkpoint(path)), 1.0)(images)


def test_over_many_draws_the_answer_is_the_mean_of_all_networks_and_both_views(tmp_path: Path) -> None:
    paths = [random_teacher(tmp_path / f"{seed}.safetensors", seed) for seed in (1, 2, 3)]
    images = made_images(10)
    single = torch.stack([answers(path, view) for path in paths for view in (images, images.flip(3))])
    teachers = TeacherNetworks([str(path) for path in paths], labels=LABELS, shape=SHAPE)
    draws = torch.stack([teachers(images, seed) for seed in range(600)])
    # Every answer is that of one network for one view ...
    distance = (draws[:, None] - single[None]).abs().amax(dim=3).amin(dim=1)
    assert float(distance.max()) < 1e-5
    # ... and together they are the mean: within five standard errors.
    error = draws.std(dim=0) / 600**0.5
    assert bool(((draws.mean(dim=0) - single.mean(dim=0)).abs() < 5 * error + 1e-5).all())
    assert float((single[0] - single[2]).abs().max()) > 1e-2, "the teachers agree: this test shows nothing"


def test_the_same_seed_gives_the_same_answers_and_more_networks_than_images_do_no_harm(tmp_path: Path) -> None:
    paths = [str(random_teacher(tmp_path / f"{seed}.safetensors", seed)) for seed in (1, 2, 3)]
    teachers = TeacherNetworks(paths, labels=LABELS, shape=SHAPE)
    images = made_images(2)
    assert torch.equal(teachers(images, 7), teachers(images, 7))
    assert torch.allclose(teachers(images, 7).sum(dim=1), torch.ones(2))


def test_a_teacher_answers_at_its_own_temperature(tmp_path: Path) -> None:
    """At temperature 3 the probabilities are the cube roots of those at 1."""
    sharp = random_teacher(tmp_path / "sharp.safetensors", 1)
    mild = tmp_path / "mild.safetensors"
    save_checkpoint(mild, replace(load_checkpoint(sharp), temperature=3.0))
    images = made_images(6)
    one, three = (TeacherNetworks([str(path)], labels=LABELS, shape=SHAPE)(images, 0) for path in (sharp, mild))
    roots = one ** (1 / 3)
    assert torch.allclose(three, roots / roots.sum(dim=1, keepdim=True), atol=1e-5)
    assert float((three - one).abs().max()) > 1e-2, "the teacher is unsure anyway: this test shows nothing"


def test_a_step_asks_about_the_mixed_image_and_trains_the_student_alone(tiny_npz: Path, tmp_path: Path) -> None:
    path = random_teacher(tmp_path / "t.safetensors", 1)
    loss = {"teacher_networks": [str(path)], "teacher_weight": 1.0, "teacher_temperature": 1.0}
    seen: list[Tensor] = []

    class Watched(TeacherNetworks):
        def __call__(self, images: Tensor, seed: int) -> Tensor:
            seen.append(images)
            return super().__call__(images, seed)

    recipe = recipe_from_mapping(
        {**QUICK, "loss": loss, "augmentation": {"mixup": 1.0, "mixup_probability": 1.0}, "data": str(tiny_npz)}
    )
    module = ExpressionModule(
        recipe,
        classes=7,
        in_channels=1,
        input_size=48,
        steps_per_epoch=1,
        teachers=Watched([str(path)], labels=LABELS, shape=SHAPE),
    )
    assert not any("teacher" in name for name in module.state_dict())
    student: list[Tensor] = []
    module.network.register_forward_pre_hook(lambda _, inputs: student.append(inputs[0]))
    module._record = lambda *_: None  # type: ignore[method-assign]  # it reports to a trainer, which is not here
    batch = {
        "images": made_images(8),
        "labels": torch.arange(8) % 7,
        "votes": torch.zeros(8, 8),
        "expected": torch.zeros(8, 7),
        "teacher": torch.zeros(8, 7),
    }
    module.training_step(batch, 0).backward()
    assert torch.allclose(standardize(seen[0]), student[0])
    assert not torch.allclose(seen[0], batch["images"])


def test_a_run_differs_by_its_teachers(tiny_npz: Path, tmp_path: Path) -> None:
    path = random_teacher(tmp_path / "t.safetensors", 1)
    loss = {"teacher_networks": [str(path)], "teacher_weight": 0.5}
    fit({**QUICK, "epochs": 2, "loss": loss}, data=tiny_npz, out=tmp_path / "taught", progress=False)
    fit({**QUICK, "epochs": 2}, data=tiny_npz, out=tmp_path / "alone", progress=False)
    taught, alone = (load_checkpoint(tmp_path / name / "weights.safetensors").state for name in ("taught", "alone"))
    assert any(not torch.equal(taught[name], alone[name]) for name in taught)


def test_teachers_that_do_not_fit(tmp_path: Path) -> None:
    other = str(random_teacher(tmp_path / "t.safetensors", 1, labels=LABELS_WITH_CONTEMPT))
    with pytest.raises(RecipeError, match=r"has the classes \['angry'.*the recipe's are"):
        TeacherNetworks([other], labels=LABELS, shape=SHAPE)
    same = str(random_teacher(tmp_path / "s.safetensors", 1))
    with pytest.raises(RecipeError, match=r"images \(C, H, W\) \(1, 48, 48\), the recipe has \(1, 64, 64\)"):
        TeacherNetworks([same], labels=LABELS, shape=(1, 64, 64))
    with pytest.raises(CheckpointError, match="nowhere"):
        TeacherNetworks(["nowhere.safetensors"], labels=LABELS, shape=SHAPE)
    with pytest.raises(RecipeError, match=r"loss\.teacher and loss\.teacher_networks are both set"):
        recipe_from_mapping({"loss": {"teacher": "a.npz", "teacher_networks": [same], "teacher_weight": 0.5}})
