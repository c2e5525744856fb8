"""The teacher's probabilities that come along fit the recipes that name them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fer_perception.labels import LABELS
from fer_training.data.readers.npz import read_npz
from fer_training.distillation.teacher_file import read_teacher
from fer_training.recipe import OWN_RECIPES, beside_recipes, load_recipe

FER2013 = Path(__file__).resolve().parents[4] / "shared" / "data" / "fer2013_trainval.npz"
RECIPES = Path(__file__).resolve().parents[3] / "training" / "fer_training" / "recipes"


def test_recipes_name_files_that_come_along() -> None:
    taught = [name for name in RECIPES.glob("*.yaml") if load_recipe(str(name)).loss.teacher]
    assert {path.stem for path in taught} >= {"arch1_distilled", "ires_separable"}
    for path in taught:
        assert (RECIPES / load_recipe(str(path)).loss.teacher).stat().st_size < 1_000_000


@pytest.mark.parametrize("name", ["teacher_fer2013.npz", "recipes/teacher_fer2013.npz"])
def test_it_is_found_by_the_names_that_recipes_and_pages_give_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert beside_recipes(name) == OWN_RECIPES / "teacher_fer2013.npz"


@pytest.mark.skipif(not FER2013.is_file(), reason=f"{FER2013} is not here")
def test_the_teacher_knows_every_training_image() -> None:
    samples = read_npz(FER2013)
    samples = samples.take((samples.splits == "train") & (samples.labels >= 0))
    found = read_teacher(Path("teacher_fer2013.npz"), samples.hashes(), labels=LABELS)
    assert np.allclose(found.sum(axis=1), 1, atol=1e-5)
    # Better than the votes alone (0.68), and no copy of the labels.
    assert 0.7 < (found.argmax(axis=1) == samples.labels).mean() < 0.75
