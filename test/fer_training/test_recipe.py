"""Recipes: defaults, overrides and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from fer_perception.system.files import parse_yaml
from fer_training.recipe import RecipeError, load_recipe, recipe_from_mapping, recipe_to_yaml, without_folders


def test_shipped_recipe_loads_by_name_and_by_documented_path() -> None:
    by_name = load_recipe("arch1_fer2013")
    assert by_name == load_recipe("recipes/arch1_fer2013.yaml")
    assert by_name.architecture == "arch1"
    assert by_name.protocol == "clean"


def test_overrides_reach_into_groups() -> None:
    recipe = load_recipe("arch1_fer2013", ["optimizer.lr=5e-3", "epochs=7", "loss.label_smoothing=0.1"])
    assert recipe.optimizer.lr == 0.005
    assert recipe.epochs == 7
    assert recipe.loss.label_smoothing == 0.1


def test_resolved_recipe_is_the_recipe(tmp_path: Path) -> None:
    recipe = load_recipe("arch1_fer2013", ["seed=3"])
    path = tmp_path / "resolved.yaml"
    path.write_text(recipe_to_yaml(recipe))
    assert load_recipe(str(path)) == recipe


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"epoch": 3}, "did you mean epochs"),
        ({"optimizer": {"learning_rate": 3}}, r"no recipe key optimizer\.learning_rate"),
        ({"optimizer": 3}, "expected a group"),
        ({"optimizer": {"name": "lion"}}, "expected one of: sgd, adam, adamw, muon"),
        ({"epochs": "many"}, "expected int"),
        ({"epochs": True}, "expected int"),
        ({"epochs": 0}, "above 0"),
        ({"ema": 1.0}, r"ema is 1\.0; expected a number from 0 to below 1"),
        ({"loss": {"votes_weight": 1.5}}, "from 0 to 1"),
        ({"limit_train": -5}, "limit_train is -5; expected 0 or a number above it"),
        ({"early_stopping": -1}, "expected 0 or a number above it"),
        ({"optimizer": {"weight_decay": -1.0}}, r"optimizer\.weight_decay is -1\.0; expected 0 or"),
        ({"optimizer": {"lr": float("nan")}}, r"optimizer\.lr is nan; expected a number above 0"),
        ({"optimizer": {"momentum": 1.0}}, "from 0 to below 1"),
        ({"augmentation": {"zoom": 1.5}}, "from 0 to below 1"),
        ({"augmentation": {"rotation": -10.0}}, "expected 0 or a number above it"),
        ({"seed": -1}, "seed is -1; expected 0 to 4294967295"),
        ({"seed": 99_999_999_999}, "expected 0 to 4294967295"),
        ({"input_size": 20}, "input_size is 20; expected 32 to 1024 pixels"),
        ({"input_size": 10**9}, "input_size is 1000000000; expected 32 to 1024 pixels"),
        ({"held_out": [1]}, r"held_out is \[1\]; expected a list of names"),
        ({"loss": {"teacher_networks": [None]}}, r"loss\.teacher_networks is \[None\]; expected a list of names"),
        ({"arguments": {1: 2}}, "expected names and their values"),
        ({"arguments": {"dropout": float("nan")}}, "expected numbers, words and lists of them"),
        ({"arguments": {"in_channels": 3}}, r"arguments\.in_channels would have no effect: set the key in_channels"),
        ({"arguments": {"name": "arch2"}}, r"arguments\.name would have no effect: set the key architecture"),
        ({"precision": "bf16-true"}, "expected one of: 32-true, bf16-mixed, 16-mixed"),
        ({"architecture": "arch9"}, "architecture is 'arch9'; expected one of arch1"),
        ({"loss": {"teacher_weight": 0.5}}, "fer-train distill"),
        ({"optimizer": {"lr": "fast"}}, "expected a number"),
    ],
)
def test_mistakes_are_named(values: dict[str, object], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        recipe_from_mapping(values)


def test_unreadable_recipes_are_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"arch1_fer2013\.yaml"):
        load_recipe("no_such_recipe")
    broken = tmp_path / "broken.yaml"
    broken.write_text("epochs: [1")
    with pytest.raises(RecipeError, match="not readable YAML"):
        load_recipe(str(broken))
    with pytest.raises(RecipeError, match="key=value"):
        load_recipe("arch1_fer2013", ["epochs"])


@pytest.mark.parametrize("key", ["arguments=&x {y: *x}", "held_out=&x [*x]", "loss.teacher_networks=&x [*x]"])
def test_a_value_that_holds_itself(key: str) -> None:
    with pytest.raises(RecipeError, match=r"it unfolds to more than .* values; write it without aliases"):
        load_recipe("arch1_fer2013", [key])


def test_a_recipe_that_is_handed_on_names_no_folder_of_this_machine() -> None:
    networks = ["/home/someone/runs/a/weights.safetensors", "b.safetensors"]
    recipe = recipe_from_mapping(
        {
            "data": "/home/someone/fer2013.csv",
            "initial": "/home/someone/runs/first/weights.safetensors",
            "loss": {"teacher_networks": networks, "teacher_weight": 0.5},
        }
    )
    text = recipe_to_yaml(without_folders(recipe))
    assert "someone" not in text
    handed_on = without_folders(recipe)
    assert handed_on.data == "fer2013.csv"
    assert handed_on.initial == "first/weights.safetensors"
    assert handed_on.loss.teacher_networks == ["a/weights.safetensors", "b.safetensors"]
    assert handed_on.loss.teacher_weight == 0.5
    plain = recipe_from_mapping({"data": "fer2013.csv", "loss": {"teacher": "/home/someone/teacher.npz"}})
    assert without_folders(plain).loss.teacher == "teacher.npz"
    assert without_folders(plain).initial == ""


def test_classes_by_name_or_as_a_list() -> None:
    assert recipe_from_mapping({"label_map": "own"}).label_map == "own"
    recipe = load_recipe("arch1_fer2013", ["label_map=[wütend, awake, 'no']"])
    assert recipe.label_map == ["wütend", "awake", "no"]
    assert recipe_from_mapping(parse_yaml(recipe_to_yaml(recipe))) == recipe


@pytest.mark.parametrize("written", ["no", "[no, yes]", "3", "{a: b}"])
def test_classes_that_are_no_names(written: str) -> None:
    with pytest.raises(RecipeError, match=r"label_map is .*; expected a name or a list of names .*in quotes \('no'\)"):
        load_recipe("arch1_fer2013", [f"label_map={written}"])
