"""`fer-train export`, `evaluate` and `card` as a user types them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import typer
from full_disk import fill_the_disk
from rich.cells import cell_len
from typer.testing import CliRunner

from fer_perception.errors import ConfigError, FerError, ModelError
from fer_perception.model_files.onnx_file import read_metadata
from fer_training.checkpoint import Checkpoint, CheckpointError, save_checkpoint
from fer_training.cli import card as cli_card
from fer_training.cli import evaluate as cli_evaluate
from fer_training.cli import export as cli_export
from fer_training.cli.app import build_app
from fer_training.deployed_network import as_batch
from fer_training.export.export import probe_images
from fer_training.onnx_file import run_onnx
from fer_training.report.results_table import read_result


@pytest.fixture(scope="module")
def run() -> Callable[..., str]:
    """Run a command line and return its stdout; the error it ends with is raised."""
    app = typer.Typer()
    for module in (cli_card, cli_evaluate, cli_export):
        module.register(app)

    def call(*arguments: object) -> str:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    return call


@pytest.fixture(scope="module")
def shipped(
    run: Callable[..., str],
    untrained: Callable[..., Checkpoint],
    drawn_npz: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """What `fer-train export --fp16 --calibrate` leaves."""
    directory = tmp_path_factory.mktemp("shipped")
    save_checkpoint(directory / "weights.safetensors", untrained())
    model = directory / "arch1_drawn.onnx"
    weights = directory / "weights.safetensors"
    printed = run("export", "--checkpoint", weights, "--out", model, "--fp16", "--calibrate", "--data", drawn_npz)
    assert "arch1_drawn@" in printed
    assert "arch1_drawn_fp16.onnx" in printed
    return model


def test_export_writes_both_precisions_with_the_fitted_temperature(shipped: Path) -> None:
    assert {path.name for path in shipped.parent.glob("*.onnx")} == {"arch1_drawn.onnx", "arch1_drawn_fp16.onnx"}
    props = {entry.key: entry.value for entry in onnx.load(shipped).metadata_props}
    assert props["fer.name"] == "arch1_drawn"
    assert float(props["fer.temperature"]) != 1.3
    assert json.loads(props["fer.metrics"])["validation"]["n"] == 59


def test_int8_is_written_and_both_accuracies_said(
    run: Callable[..., str], shipped: Path, drawn_npz: Path, tmp_path: Path
) -> None:
    weights = shipped.with_name("weights.safetensors")
    printed = run("export", "--checkpoint", weights, "--out", tmp_path / "m.onnx", "--int8", "--data", drawn_npz)
    single, quantized = (
        json.loads(run("evaluate", "--model", tmp_path / name, "--data", drawn_npz, "--json", "-"))
        for name in ("m.onnx", "m_int8.onnx")
    )
    assert f"accuracy {quantized['accuracy']:.4f} against {single['accuracy']:.4f} in FP32" in printed
    assert (tmp_path / "m_int8.onnx").stat().st_size < 0.4 * (tmp_path / "m.onnx").stat().st_size


def test_int8_is_judged_by_the_targets_asked_for(
    run: Callable[..., str], shipped: Path, drawn_npz: Path, tmp_path: Path
) -> None:
    weights = shipped.with_name("weights.safetensors")
    by_votes = ("--data", drawn_npz, "--targets", "ferplus_majority")
    printed = run("export", "--checkpoint", weights, "--out", tmp_path / "m.onnx", "--int8", *by_votes)
    figures = json.loads(run("evaluate", "--model", tmp_path / "m_int8.onnx", *by_votes, "--json", "-"))
    by_labels = json.loads(run("evaluate", "--model", tmp_path / "m_int8.onnx", "--data", drawn_npz, "--json", "-"))
    assert figures["n"] != by_labels["n"], "the targets must differ, or it shows nothing"
    assert f"accuracy {figures['accuracy']:.4f} against" in printed
    assert f"(n {figures['n']})" in printed


def test_figures_of_the_fp32_file_are_not_passed_off_as_those_of_its_versions(
    run: Callable[..., str], shipped: Path, drawn_npz: Path, tmp_path: Path
) -> None:
    half, card = shipped.with_name("arch1_drawn_fp16.onnx"), tmp_path / "card.md"
    with pytest.raises(ModelError, match="name its own with --evaluation"):
        run("card", "--model", half, "--out", card)
    with pytest.raises(ModelError, match="repeats the figures of the FP32 file"):
        read_result(half)
    run("evaluate", "--model", half, "--data", drawn_npz, "--json", tmp_path / "half.json")
    run("card", "--model", half, "--out", card, "--evaluation", tmp_path / "half.json")
    assert "arch1_drawn_fp16.onnx" in card.read_text()


def test_an_export_is_never_written_over_its_checkpoint(run: Callable[..., str], shipped: Path) -> None:
    weights = shipped.with_name("weights.safetensors")
    before = weights.read_bytes()
    for out in (weights, shipped.with_name("arch1")):
        with pytest.raises(ConfigError, match=r"would be no \.onnx file by its name; call it \w+\.onnx"):
            run("export", "--checkpoint", weights, "--out", out)
    assert weights.read_bytes() == before


def test_an_exported_file_is_exported_again_with_other_classes_and_another_prior(
    run: Callable[..., str], shipped: Path, drawn_npz: Path, tmp_path: Path
) -> None:
    kept = ("neutral", "happy", "sad")
    out, shares = tmp_path / "again.onnx", "0.5,0.25,0.25"
    words = ["export", "--checkpoint", str(shipped), "--out", str(out), "--trained-prior", "uniform"]
    done = CliRunner().invoke(build_app(), [*words, "--classes", ",".join(kept), "--prior", shares])
    assert done.exit_code == 0, done.output
    assert "class prior neutral 0.500, happy 0.250, sad 0.250" in done.stderr
    assert read_metadata(out).labels == kept
    assert read_metadata(out).class_prior == pytest.approx((0.5, 0.25, 0.25))
    images = probe_images((1, 48, 48))
    before = run_onnx(shipped, images)[:, [read_metadata(shipped).labels.index(label) for label in kept]]
    expected = before * [2.0, 1.0, 1.0]
    measured = run_onnx(out, images)
    np.testing.assert_allclose(measured, expected / expected.sum(axis=1, keepdims=True), atol=1e-5)
    done = CliRunner().invoke(build_app(), ["export", "--checkpoint", str(out), "--out", str(out)])
    assert (done.exit_code, "give it another name" in done.output) == (2, True)


def test_calibration_with_biases_states_the_prior_of_its_targets(
    run: Callable[..., str], untrained: Callable[..., Checkpoint], drawn_npz: Path, tmp_path: Path
) -> None:
    weights, out = tmp_path / "w.safetensors", tmp_path / "m.onnx"
    save_checkpoint(weights, untrained())
    words = ["export", "--checkpoint", str(weights), "--out", str(out), "--biases"]
    done = CliRunner().invoke(build_app(), [*words, "--calibrate", "--data", str(drawn_npz)])
    assert done.exit_code == 0, done.output
    assert "and biases angry " in done.stderr
    metadata = read_metadata(out)
    with np.load(drawn_npz) as data:
        images, labels = data["validation_images"], data["validation_labels"]
    known = labels < 7
    frequencies = np.bincount(labels[known], minlength=7) / known.sum()
    assert metadata.class_prior == pytest.approx(frequencies, abs=1e-6)
    mean = run_onnx(out, as_batch(images[known], (1, 48, 48))).mean(axis=0)
    np.testing.assert_allclose(mean, frequencies, atol=1e-3)
    assert CliRunner().invoke(build_app(), words).exit_code == 2


def test_checkpoints_and_models_are_told_apart(run: Callable[..., str], shipped: Path, tmp_path: Path) -> None:
    weights, model = shipped.with_name("weights.safetensors"), tmp_path / "m.onnx"
    with pytest.raises(ModelError, match=r"is a checkpoint; expected an \.onnx file, which `fer-train export` makes"):
        run("card", "--model", weights, "--out", tmp_path / "card.md")
    with pytest.raises(CheckpointError, match=r"did you mean .*weights\.safetensors\?"):
        run("export", "--checkpoint", weights.parent, "--out", model)


def test_places_that_cannot_be_written_are_named_before_the_work(
    run: Callable[..., str], shipped: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    for option, place, words in (
        ("--json", tmp_path / "file" / "f.json", "cannot be made"),
        ("--report", tmp_path, "cannot be written: it is a directory"),
    ):
        with pytest.raises(FerError, match=words):
            run("evaluate", "--model", shipped, "--data", tmp_path / "no data set", option, place)


def test_evaluate_prints_a_table_and_writes_json_and_page(
    run: Callable[..., str], shipped: Path, drawn_npz: Path, tmp_path: Path
) -> None:
    printed = run(
        "evaluate", "--model", shipped, "--data", drawn_npz, "--split", "validation", "--cross-fit",
        "--json", tmp_path / "a" / "figures.json", "--report", tmp_path / "report.html",
    )  # fmt: skip
    figures = json.loads((tmp_path / "a" / "figures.json").read_text())
    page = (Path(__file__).parents[3] / "docs" / "evaluation.md").read_text(encoding="utf-8")
    explained = set(re.findall(r"\w+", " ".join(re.findall(r"^\| ([a-z0-9_, ]+) \|", page, re.MULTILINE))))
    assert figures.keys() - explained == set(), "docs/evaluation.md, 'What the JSON holds', lacks them"
    assert f"accuracy {figures['accuracy']:.4f}" in printed
    assert f"cross-fitted ECE {figures['cross_fit']['ece']:.4f}" in printed
    assert "without 2 images that are also in training" in printed
    assert "1 images skipped" in printed
    assert f"<td>{figures['accuracy']:.4f}</td>" in (tmp_path / "report.html").read_text()


def test_json_on_stdout_is_nothing_but_json(run: Callable[..., str], shipped: Path, drawn_npz: Path) -> None:
    figures = json.loads(run("evaluate", "--model", shipped, "--data", drawn_npz, "--json", "-"))
    assert figures["split"] == "validation"


def test_a_checkpoint_is_evaluated_too(run: Callable[..., str], shipped: Path, drawn_npz: Path) -> None:
    weights = shipped.with_name("weights.safetensors")
    figures = json.loads(run("evaluate", "--model", weights, "--data", drawn_npz, "--split", "train", "--json", "-"))
    assert figures["n"] == 40
    assert figures["temperature"] == 1.3


def test_card(run: Callable[..., str], shipped: Path, tmp_path: Path) -> None:
    run("card", "--model", shipped, "--out", tmp_path / "cards" / "arch1_drawn.md")
    assert (tmp_path / "cards" / "arch1_drawn.md").read_text().startswith("# arch1_drawn\n")


@pytest.mark.parametrize("option", ["--calibrate", "--int8"])
def test_what_needs_data_is_wrong_usage_without_it(shipped: Path, tmp_path: Path, option: str) -> None:
    weights = shipped.with_name("weights.safetensors")
    words = ["export", "--checkpoint", str(weights), "--out", str(tmp_path / "a" / "m.onnx"), option]
    done = CliRunner().invoke(build_app(), words)
    assert done.exit_code == 2
    assert "--data" in done.output
    assert list(tmp_path.iterdir()) == []


def test_versions_of_an_earlier_export_are_named(
    run: Callable[..., str], untrained: Callable[..., Checkpoint], tmp_path: Path
) -> None:
    save_checkpoint(tmp_path / "w.safetensors", untrained())
    words = ["export", "--checkpoint", str(tmp_path / "w.safetensors"), "--out", str(tmp_path / "m.onnx")]
    for name in ("m_fp16.onnx", "m_int8.onnx"):
        (tmp_path / name).touch()
    done = CliRunner().invoke(build_app(), words)
    assert done.exit_code == 0
    unstated, *said = done.stderr.splitlines()
    assert "does not say under which class prior its probabilities are posteriors" in unstated
    assert said == [
        f"{tmp_path / f'm_{name}.onnx'} is of an earlier export: delete it, or export with --{name}"
        for name in ("fp16", "int8")
    ]


def test_a_model_in_capitals_is_evaluated(
    run: Callable[..., str], shipped: Path, drawn_npz: Path, tmp_path: Path
) -> None:
    run("export", "--checkpoint", shipped.with_name("weights.safetensors"), "--out", tmp_path / "M.ONNX")
    assert json.loads(run("evaluate", "--model", tmp_path / "M.ONNX", "--data", drawn_npz, "--json", "-"))["n"] == 59


def test_the_table_and_the_page_say_what_judged(
    run: Callable[..., str], shipped: Path, drawn_npz: Path, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    words = ("evaluate", "--model", shipped, "--data", drawn_npz, "--report", page)
    printed = run(*words, "--targets", "ferplus_majority")
    assert printed.startswith("arch1_drawn on drawn.npz, split validation, FER+ majority: 60 images")
    assert "<h1>arch1_drawn on drawn.npz, validation, FER+ majority</h1>" in page.read_text()
    assert "FER+ majority:" not in run(*words)
    assert "<h1>arch1_drawn on drawn.npz, validation</h1>" in page.read_text()


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    fill_the_disk(monkeypatch)


@pytest.mark.parametrize("option", ["--json", "--report", "--out"])
@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_leaves_the_earlier_file(
    run: Callable[..., str], shipped: Path, drawn_npz: Path, tmp_path: Path, option: str
) -> None:
    path = tmp_path / "file"
    path.write_text("by hand")
    words = ("card", "--model", shipped) if option == "--out" else ("evaluate", "--model", shipped, "--data", drawn_npz)
    with pytest.raises(FerError, match=rf"cannot write {path} \(No space left on device\)"):
        run(*words, option, path)
    assert path.read_text() == "by hand"


def test_a_missing_crop_image_is_refused(run: Callable[..., str], shipped: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no image"):
        run("card", "--model", shipped, "--out", tmp_path / "card.md", "--crop-image", tmp_path / "absent.png")


def test_columns_of_the_table_stand_below_one_another_whatever_the_classes_are_called() -> None:
    row = {"precision": 0.5, "recall": None, "f1": 0.25, "support": 4}
    names = ("happy", "disgustedly surprised", "怒り")
    numbers = ("accuracy", "balanced_accuracy", "macro_f1", "nll", "brier", "temperature", "ece", "ece_perfect")
    figures = dict.fromkeys(numbers, 0.5) | {
        "model": "mine", "data": "own", "split": "validation", "protocol": "clean", "targets": "labels", "n": 12,
        "ece_interval": [0.1, 0.2], "per_class": dict.fromkeys(names, row), "skipped": {}, "notes": [],
        "trained_images": 0, "trained_images_known": True,
    }  # fmt: skip
    *_, head, first, second, third = cli_evaluate.table(figures).splitlines()
    assert head.split() == ["class", "precision", "recall", "F1", "n"]
    assert {cell_len(line) for line in (head, first, second, third)} == {len(head)}
    assert {cell_len(line.partition("0.500")[0]) for line in (first, second, third)} == {
        head.index("precision") + len("precision") - 5
    }
