"""The card says what the file and its evaluation say."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fer_perception.errors import ModelError
from fer_training.checkpoint import Checkpoint
from fer_training.evaluation.data import load_evaluation_data
from fer_training.evaluation.evaluate import calibrate_checkpoint, evaluate_model
from fer_training.export.export import export_checkpoint
from fer_training.export.fp16 import export_fp16
from fer_training.export.int8 import quantize_int8
from fer_training.report.model_card import model_card, read_card_source

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
    fitted = "(two-fold cross-fitted temperature)"
    assert f"negative log-likelihood {fitted} | {recorded['nll']:.3f} nats |" in text
    assert f"Brier score {fitted} | {recorded['brier']:.3f} |" in text
    assert f"{fitted} | {recorded['ece']:.4f} |" in text
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
    assert "| images | 40 |" in text


def test_every_calibrated_figure_is_of_the_cross_fitted_temperature(
    untrained: Untrained, drawn_npz: Path, tmp_path: Path
) -> None:
    export_checkpoint(untrained(temperature=0.2), tmp_path / "m.onnx", name="m")
    figures = evaluate_model(
        tmp_path / "m.onnx", load_evaluation_data(drawn_npz, split="validation"), cross_fitted=True
    )
    pooled = figures["cross_fit"]
    assert pooled["nll"] < figures["nll"] - 0.1, "or the two could not be told apart"
    (tmp_path / "figures.json").write_text(json.dumps(figures))
    text = model_card(
        read_card_source(tmp_path / "m.onnx", card=tmp_path / "card.md", evaluations=[tmp_path / "figures.json"])
    )
    fitted = "(two-fold cross-fitted temperature)"
    assert f"| negative log-likelihood {fitted} | {pooled['nll']:.3f} nats |" in text
    assert f"| Brier score {fitted} | {pooled['brier']:.3f} |" in text
    assert f"15 bins {fitted} | {pooled['ece']:.4f} |" in text


def test_figures_by_labels_and_by_votes_stand_side_by_side(exported: Path, drawn_npz: Path, tmp_path: Path) -> None:
    files = []
    for targets in ("labels", "ferplus_majority"):
        data = load_evaluation_data(drawn_npz, split="validation", targets=targets)
        files.append(tmp_path / f"{targets}.json")
        files[-1].write_text(json.dumps(evaluate_model(exported, data)))
    text = model_card(read_card_source(exported, card=tmp_path / "card.md", evaluations=files))
    by_labels, by_votes = text.split("\n### ")[1:]
    assert by_labels.startswith("drawn.npz, validation\n")
    assert "| images | 59 |" in by_labels
    assert "Judged by" not in by_labels
    assert by_votes.startswith("drawn.npz, validation, FER+ majority\n")
    assert "| images | 60 |" in by_votes
    assert "Judged by the FER+ majority of ten votes, not by the data set's own labels." in by_votes
    with pytest.raises(ModelError, match=r"labels\.json is a second evaluation on drawn\.npz, validation; name one"):
        read_card_source(exported, card=tmp_path / "card.md", evaluations=[files[0], files[1], files[0]])


def test_the_weights_of_versions_are_counted_and_their_origin_is_named(
    exported: Path, drawn_npz: Path, tmp_path: Path
) -> None:
    data = load_evaluation_data(drawn_npz, split="train")
    single = read_card_source(exported, card=tmp_path / "card.md")
    assert "made from the FP32 file" not in model_card(single)
    quantize_int8(exported, tmp_path / "quick.onnx", data.images)
    export_fp16(exported, tmp_path / "half.onnx")
    for name, precision in (("quick", "int8"), ("half", "float16")):
        path, file = tmp_path / f"{name}.onnx", tmp_path / f"{name}.json"
        with pytest.raises(ModelError, match="name its own with --evaluation"):
            read_card_source(path, card=tmp_path / "card.md")
        file.write_text(json.dumps(evaluate_model(path, data)))
        source = read_card_source(path, card=tmp_path / "card.md", evaluations=[file])
        # But for a constant or two, the same numbers.
        assert source.graph_values == pytest.approx(single.graph_values, abs=2)
        assert f"| precision | {precision}, made from the FP32 file `{single.metadata.sha256}` |" in model_card(source)


def test_the_size_of_the_crops_is_the_models(exported: Path, tmp_path: Path) -> None:
    source = read_card_source(exported, card=tmp_path / "card.md")
    assert "Trained on 48x48 gray crops; profile views, faces below about 24 pixels" in model_card(source)
    larger = replace(source, metadata=replace(source.metadata, input_shape=(3, 96, 96)))
    assert "Trained on 96x96 gray crops; profile views, faces below about 48 pixels" in model_card(larger)


def test_a_image_is_linked_from_where_the_card_lies(exported: Path, tmp_path: Path) -> None:
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
