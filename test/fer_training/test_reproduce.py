"""`fer-train reproduce` in its smallest form: one epoch on a handful of images, all the way to table and chart."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

from fer_perception.errors import ConfigError, FerError
from fer_perception.labels import LABELS, LABELS_WITH_CONTEMPT
from fer_training import architectures
from fer_training.cli import reproduce as cli_reproduce
from fer_training.data.samples import DatasetError
from fer_training.recipe import load_recipe
from fer_training.report.layer_table import count_parameters
from fer_training.report.published import PUBLISHED, only_cited, published_for
from fer_training.reproduce import DATA_SETS, FAMILIES, Result, chart, pair_recipe, reproduce, table

SMOKE = ("epochs=1", "batch_size=32", "precision=32-true", "limit_train=40", "early_stopping=0")


def result(architecture: str, data_set: str, accuracy: float) -> Result:
    return Result(
        architecture=architecture,
        data_set=data_set,
        accuracy=accuracy,
        accuracy_without_leaks=accuracy - 0.01,
        parameters=293_951,
        seconds=7_200.0,
        folds=1,
        images=3_579,
        protocol="paper: as it was",
        confusion=[[1, 0], [0, 1]],
        labels=["happy", "sad"],
    )


@pytest.fixture
def jaffe(tmp_path: Path) -> Path:
    """Three people with the seven expressions each, named as in JAFFE."""
    root = tmp_path / "jaffe"
    root.mkdir()
    random = np.random.default_rng(0)
    for number, subject in enumerate(("KA", "KL", "YM")):
        for index, code in enumerate(("AN", "DI", "FE", "HA", "SA", "SU", "NE")):
            image = random.integers(0, 256, (48, 48), dtype=np.uint8)
            cv2.imwrite(str(root / f"{subject}.{code}1.{10 * number + index}.tiff"), image)
    return root


def test_one_epoch_of_two_networks_on_two_sets(tiny_npz: Path, jaffe: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    out = tmp_path / "out"
    said: list[str] = []
    data = {"jaffe": str(jaffe), "fer2013": str(tiny_npz)}
    overrides = [*SMOKE, "protocol=clean", "folds=3"]

    def run(names: Sequence[str] = ("arch1", "sepconv_attention")) -> list[Result]:
        return reproduce(data, names=names, out=out, overrides=overrides, max_folds=2, say=said.append)

    results = run()
    pairs = [(r.architecture, r.data_set, r.folds, r.images) for r in results]
    assert pairs == [
        ("arch1", "fer2013", 1, 42),
        ("sepconv_attention", "fer2013", 1, 42),
        ("arch1", "jaffe", 2, 14),
        ("sepconv_attention", "jaffe", 2, 14),
    ]
    assert "whole subjects" in results[2].protocol
    for r in results:
        assert np.sum(r.confusion) == r.images
        assert np.trace(np.array(r.confusion)) / r.images == pytest.approx(r.accuracy)
        assert r.seconds > 0
    assert results[0].parameters == 293_951
    # The second family is fine-tuned from what it learned on FER2013, the first is not.
    recipes = {path.parent.parent.name: path.read_text() for path in out.glob("*/fold0/recipe.yaml")}
    assert "sepconv_attention_fer2013/fold0/weights.safetensors" in recipes["sepconv_attention_jaffe"]
    assert "initial: ''" in recipes["arch1_jaffe"]
    for name in ("table.md", "results.json", "chart.png"):
        assert (out / name).stat().st_size > 100
    for pair in ("arch1_fer2013", "arch1_jaffe"):
        assert (out / pair / "confusion.png").is_file()
        assert (out / pair / "fold0" / "curves.png").is_file()
    assert len(json.loads((out / "results.json").read_text())) == 4

    # Nothing is trained twice, and figures of another recipe are not taken for these.
    weights = out / "arch1_jaffe" / "fold1" / "weights.safetensors"
    before = weights.stat().st_mtime_ns
    assert run() == results
    assert weights.stat().st_mtime_ns == before
    overrides.append("optimizer.lr=0.5")
    with pytest.raises(ConfigError, match="holds the result of another recipe"):
        run(["arch1"])
    (out / "arch1_fer2013" / "result.json").write_text("{")
    with pytest.raises(ConfigError, match=r"is damaged .* delete it to train this pair again"):
        run(["arch1"])


def test_folds_of_unequal_size_are_pooled_by_their_images(
    jaffe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares = iter([(0.5, 10, 0.25, 4), (1.0, 30, None, 0), (0.0, 10, 0.5, 8)])

    def made_up(*_: object, **__: object) -> dict[str, object]:
        accuracy, images, without, count = next(shares)
        return {
            "n": images, "validation_accuracy": accuracy, "validation_accuracy_without_leaks": without,
            "without_leaks": count, "training_seconds": 1.0, "protocol": "made up", "confusion": np.eye(7).tolist(),
            "per_class": dict.fromkeys(LABELS),
        }  # fmt: skip

    monkeypatch.setattr("fer_training.reproduce.fit", made_up)
    found = reproduce(
        {"jaffe": str(jaffe)}, names=["lenet"], out=tmp_path / "out", overrides=["protocol=clean", "folds=3"]
    )
    assert found[0].accuracy == pytest.approx(35 / 50)
    assert found[0].accuracy_without_leaks == pytest.approx(5 / 12)


def test_table_sets_ours_beside_theirs_and_marks_what_is_cited() -> None:
    text = table([result("arch1", "fer2013", 0.695), result("mini_xception", "fer2013", 0.66)])
    lines = text.splitlines()
    arch1 = next(line for line in lines if line.startswith("| arch1"))
    assert arch1 == "| arch1 | 69.5 % | 68.5 % | 70.3 % | 293,951 | 293,951 | 2.0 h |"
    assert "| 66 % † |" in next(line for line in lines if line.startswith("| mini_xception"))
    assert "| VGGNet | - | - | 73.28 % † | - | - | - |" in lines
    assert "- arch1: 3579 images, folds: 1; paper: as it was" in lines
    assert lines[-1].startswith("†")


def test_table_of_a_set_without_printed_figures() -> None:
    text = table([replace(result("arch1", "jaffe", 0.9), seconds=30.0, accuracy_without_leaks=None)])
    assert "| arch1 | 90.0 % | - | - | 293,951 | - | 30 s |" in text


def test_chart_has_a_bar_for_every_result() -> None:
    results = [result(f"arch{i}", s, 0.5 + i / 10) for i in (1, 2, 3, 4) for s in ("fer2013", "ckplus", "imed")]
    axes = chart(results).axes[0]
    assert sorted(round(float(bar.get_height())) for bar in axes.patches) == sorted([60, 70, 80, 90] * 3)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["arch1", "arch2", "arch3", "arch4"]
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["fer2013", "ckplus", "imed"]


def test_published_figures_name_their_source() -> None:
    assert all(row.source for row in PUBLISHED)
    ours = published_for("arch1", "fer2013")
    assert ours is not None
    assert (ours.accuracy, ours.cited) == (70.3, False)
    assert all(row.cited for row in only_cited("fer2013"))
    assert published_for("arch1", "jaffe") is None


@pytest.mark.parametrize("name", ["simple_cnn", "simpler_cnn", "ires_separable", "mini_xception"])
def test_our_counts_agree_with_the_printed_ones(name: str) -> None:
    printed = published_for(name, "fer2013")
    assert printed is not None
    assert printed.parameters is not None
    assert abs(count_parameters(architectures.create(name))[0] - printed.parameters) < 100


class TestPaperRecipes:
    @pytest.mark.parametrize("name", FAMILIES)
    @pytest.mark.parametrize("data_set", DATA_SETS)
    def test_every_pair_has_a_recipe_its_network_takes(self, name: str, data_set: str) -> None:
        recipe = pair_recipe(name, data_set)
        assert recipe.architecture == name
        architectures.create(name, **recipe.arguments)

    @pytest.mark.parametrize("name", FAMILIES)
    def test_sets_without_a_split_of_their_own_are_not_asked_for_one(self, name: str) -> None:
        assert {pair_recipe(name, data_set).protocol for data_set in ("ckplus", "jaffe", "imed")} == {"paper"}
        assert pair_recipe(name, "imed").label_map == "imed"

    def test_arch_family_is_as_stated(self) -> None:
        recipe = load_recipe("paper/arch_fer2013")
        assert (recipe.optimizer.name, recipe.optimizer.lr, recipe.batch_size) == ("adam", 0.01, 256)
        assert (recipe.schedule.name, recipe.schedule.factor) == ("plateau", 0.1)
        assert recipe.epochs == 200
        assert recipe.early_stopping > 0
        assert recipe.augmentation.rotation == 20.0
        assert load_recipe("paper/arch_ckplus").batch_size == 10
        assert load_recipe("paper/arch_ckplus").label_map == "paper"
        assert load_recipe("paper/arch_imed").label_map == "imed"

    @pytest.mark.parametrize("data_set", ["fer2013", "ckplus", "imed"])
    def test_the_dense_heads_differ_in_the_learning_rate_alone(self, data_set: str) -> None:
        plain, dense = pair_recipe("arch1", data_set), pair_recipe("arch2", data_set)
        assert (plain.optimizer.lr, dense.optimizer.lr) == (0.01, 0.001)
        assert replace(dense, architecture="arch1", optimizer=plain.optimizer) == plain
        assert replace(dense.optimizer, lr=0.01) == plain.optimizer

    def test_other_families_are_as_stated(self) -> None:
        assert load_recipe("paper/xu_fer2013").epochs == 100
        khani = [load_recipe(f"paper/khani_{name}") for name in ("fer2013", "ckplus", "jaffe")]
        assert [recipe.batch_size for recipe in khani] == [32, 64, 16]
        assert {(recipe.epochs, recipe.optimizer.name, recipe.optimizer.lr) for recipe in khani} == {(20, "adam", 1e-3)}

    def test_overrides_reach_every_recipe(self) -> None:
        assert pair_recipe("arch3", "imed", ["epochs=2"]).epochs == 2


def test_unknown_names_are_clear_errors(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no data set 'affectnet'; expected one of fer2013, ckplus"):
        reproduce({"affectnet": "x"}, names=["arch1"], out=tmp_path)
    with pytest.raises(ConfigError, match="the papers do not train 'teacher'"):
        reproduce({"fer2013": "x"}, names=["teacher"], out=tmp_path)


def test_a_pair_without_its_classes_is_refused_before_any_other_is_trained(tmp_path: Path) -> None:
    """CK+ in folders has no neutral faces, which one of the two papers asks for."""
    random = np.random.default_rng(0)
    for name in LABELS_WITH_CONTEMPT:
        if name != "neutral":
            (tmp_path / "CK+48" / name).mkdir(parents=True)
            for number in range(12):
                image = random.integers(0, 255, (48, 48)).astype(np.uint8)
                cv2.imwrite(str(tmp_path / "CK+48" / name / f"{number}.png"), image)
    said: list[str] = []
    with pytest.raises(DatasetError, match="no training image shows neutral"):
        reproduce(
            {"ckplus": str(tmp_path / "CK+48")},
            names=["lenet", "sepconv_attention"],
            out=tmp_path / "out",
            overrides=["epochs=1", "precision=32-true"],
            say=said.append,
        )
    assert said == []
    assert not (tmp_path / "out").exists()


class TestCommand:
    def app(self) -> typer.Typer:
        app = typer.Typer()
        app.callback()(lambda: None)
        cli_reproduce.register(app)
        return app

    def test_prints_the_table(self, tiny_npz: Path, tmp_path: Path) -> None:
        arguments = ["--data", f"fer2013={tiny_npz}", "--architecture", "lenet", "--out", str(tmp_path / "out")]
        run = CliRunner().invoke(self.app(), ["reproduce", *arguments, "--threads", "1", *SMOKE])
        assert run.exit_code == 0, run.output
        assert "| lenet | " in run.stdout
        assert "1,587,000 †" in run.stdout
        assert (tmp_path / "out" / "table.md").read_text() in run.stdout

    def test_data_needs_a_name(self, tmp_path: Path) -> None:
        run = CliRunner().invoke(self.app(), ["reproduce", "--data", "fer2013.npz", "--out", str(tmp_path)])
        assert isinstance(run.exception, FerError)
        assert "not of the form SET=PATH" in str(run.exception)


def test_labels_of_a_run_are_those_of_the_set(tiny_npz: Path, tmp_path: Path) -> None:
    (only,) = reproduce({"fer2013": str(tiny_npz)}, names=["lenet"], out=tmp_path / "out", overrides=SMOKE)
    assert tuple(only.labels) == LABELS
