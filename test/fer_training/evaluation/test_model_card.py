"""The card says what the file and its evaluation say."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fer_perception.errors import ModelError
from fer_training.checkpoint import Checkpoint
from fer_training.evaluate import calibrate_checkpoint, evaluate_model
from fer_training.evaluation_data import load_evaluation_data
from fer_training.export import export_checkpoint
from fer_training.model_card import model_card, read_card_source

Untrained = Callable[..., Checkpoint]


@pytest.fixture(scope="module")
def exported(untrained: Untrained, drawn_npz: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with its figures recorded inside."""
    path = tmp_path_factory.mktemp("card") / "arch1.onnx"
    recipe = "architecture: arch1\nprotocol: clean\ndata: fer2013_trainval.npz\n"
    checkpoint = replace(untrained(), recipe=recipe)
    data = load_evaluation_data(drawn_npz, split="validation")
    export_checkpoint(calibrate_checkpoint(checkpoint, data), path, name="arch1_test")
    return path


def test_card_from_the_recorded_figures(exported: Path, tmp_path: Path) -> None:
    source = read_card_source(exported, card=tmp_path / "card.md")
    text = model_card(source)
    recorded = source.metadata.metrics["validation"]
    assert text.startswith("# arch1_test\n")
    assert source.metadata.sha256 in text
    assert f"| accuracy | {100 * recorded['accuracy']:.2f} % |" in text
    assert f"(two-fold cross-fitted temperature) | {recorded['ece']:.4f} |" in text
    assert f"perfectly calibrated model | {recorded['ece_perfect']:.4f} |" in text
    assert "arch1, 293,951 parameters" in text
    happy = recorded["per_class"]["happy"]
    assert f"| happy | {happy['precision']:.3f} | {happy['recall']:.3f} |" in text
    assert "| happy | " + " | ".join(map(str, recorded["confusion"][3])) + " |" in text
    assert f"temperature {source.metadata.temperature:.4f}" in text
    assert "An expression is not a feeling" in text
    assert "Goodfellow" in text
    assert "```yaml\narchitecture: arch1" in text


def test_equal_sources_give_equal_cards(exported: Path, tmp_path: Path) -> None:
    first, second = (model_card(read_card_source(exported, card=tmp_path / "card.md")) for _ in range(2))
    assert first == second


def test_card_from_an_evaluation_file(exported: Path, drawn_npz: Path, tmp_path: Path) -> None:
    figures = evaluate_model(exported, load_evaluation_data(drawn_npz, split="train"))
    (tmp_path / "figures.json").write_text(json.dumps(figures))
    text = model_card(read_card_source(exported, card=tmp_path / "card.md", evaluations=[tmp_path / "figures.json"]))
    assert "### drawn.npz, train" in text
    assert "(as shipped)" in text
    assert "| pictures | 40 |" in text


def test_a_picture_is_linked_from_where_the_card_lies(exported: Path, tmp_path: Path) -> None:
    source = read_card_source(
        exported, card=tmp_path / "models" / "card.md", crop_image=tmp_path / "docs" / "images" / "crops.png"
    )
    assert "](../docs/images/crops.png)" in model_card(source)


def test_other_data_does_not_get_the_limits_of_fer2013(untrained: Untrained, exported: Path, tmp_path: Path) -> None:
    source = read_card_source(exported, card=tmp_path / "card.md")
    other = replace(source, metadata=replace(source.metadata, recipe="architecture: arch1\ndata: faces.csv\n"))
    text = model_card(other)
    assert "Goodfellow" not in text
    assert "`faces.csv`" in text


def test_a_model_without_figures_is_refused(untrained: Untrained, tmp_path: Path) -> None:
    export_checkpoint(untrained(), tmp_path / "m.onnx", name="m")
    with pytest.raises(ModelError, match="records no figures"):
        read_card_source(tmp_path / "m.onnx", card=tmp_path / "card.md")


def test_figures_of_another_model_are_refused(exported: Path, drawn_npz: Path, tmp_path: Path) -> None:
    figures = evaluate_model(exported, load_evaluation_data(drawn_npz, split="train")) | {"model_sha256": "0" * 64}
    (tmp_path / "figures.json").write_text(json.dumps(figures))
    with pytest.raises(ModelError, match="another model file"):
        read_card_source(exported, card=tmp_path / "card.md", evaluations=[tmp_path / "figures.json"])


@pytest.mark.parametrize("content", ["{", "{}", "[]"])
def test_what_is_no_evaluation_is_refused(exported: Path, tmp_path: Path, content: str) -> None:
    (tmp_path / "figures.json").write_text(content)
    with pytest.raises(ModelError, match=r"figures\.json"):
        read_card_source(exported, card=tmp_path / "card.md", evaluations=[tmp_path / "figures.json"])
