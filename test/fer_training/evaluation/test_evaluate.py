"""Evaluation of files on data sets: the JSON, the page, the choice of classes and images."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cv2
import numpy as np
import onnx
import pytest
from changed_model import with_metadata

from fer_perception.errors import ModelError
from fer_perception.labels import LABELS, LABELS_WITH_CONTEMPT
from fer_training.checkpoint import Checkpoint, save_checkpoint
from fer_training.data.samples import DatasetError
from fer_training.evaluation import metrics
from fer_training.evaluation.calibration import cross_fit, fit_temperature, image_hashes, softmax
from fer_training.evaluation.data import EvaluationData, load_evaluation_data
from fer_training.evaluation.evaluate import (
    ModelOutput,
    align_classes,
    calibrate_checkpoint,
    describe_model,
    evaluate_model,
    evaluate_output,
    evaluate_probabilities,
    ferplus_figures,
    run_checkpoint,
    run_model,
)
from fer_training.export.export import export_checkpoint
from fer_training.report.evaluation_page import write_report

Untrained = Callable[..., Checkpoint]

CONTRACT = {
    "accuracy", "balanced_accuracy", "macro_f1", "nll", "ece", "ece_perfect", "brier", "per_class", "confusion", "n",
}  # fmt: skip


@pytest.fixture(scope="module")
def exported(untrained: Untrained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("evaluate") / "arch1.onnx"
    export_checkpoint(untrained(), path, name="arch1_test")
    return path


@pytest.fixture(scope="module")
def validation(drawn_npz: Path) -> EvaluationData:
    return load_evaluation_data(drawn_npz, split="validation")


@pytest.fixture(scope="module")
def figures(exported: Path, validation: EvaluationData) -> dict[str, Any]:
    return evaluate_model(exported, validation, cross_fitted=True)


def test_keys_of_the_contract_and_plain_json(figures: dict[str, Any]) -> None:
    assert set(figures) >= CONTRACT
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures


def test_figures_belong_to_one_another(figures: dict[str, Any]) -> None:
    confusion = np.array(figures["confusion"])
    assert figures["n"] == confusion.sum() == 59
    assert figures["accuracy"] == pytest.approx(np.trace(confusion) / 59)
    assert list(figures["per_class"]) == figures["labels"] == list(LABELS)
    assert [row["support"] for row in figures["per_class"].values()] == confusion.sum(axis=1).tolist()
    assert sum(figures["reliability"]["count"]) == 59
    low, high = figures["ece_interval"]
    assert low <= high
    assert figures["protocol"] == "clean"
    assert figures["temperature"] == 1.3


def test_unknown_labels_are_counted(figures: dict[str, Any]) -> None:
    assert list(figures["skipped"].values()) == [1]


def test_images_that_are_also_in_training_are_set_apart(figures: dict[str, Any]) -> None:
    assert figures["training_duplicates"] == 2
    assert figures["without_training_duplicates"]["n"] == 57


def test_figures_without_duplicates_are_of_the_other_images(exported: Path, validation: EvaluationData) -> None:
    assert validation.in_training is not None
    whole = evaluate_model(exported, validation)
    fresh = ~validation.in_training
    alone = evaluate_model(
        exported,
        replace(
            validation, images=validation.images[fresh], labels=validation.labels[fresh], votes=None, in_training=None
        ),
    )
    assert whole["without_training_duplicates"]["nll"] == pytest.approx(alone["nll"])
    assert alone["nll"] != pytest.approx(whole["nll"])


def test_onnx_and_checkpoint_say_the_same(
    untrained: Untrained, exported: Path, validation: EvaluationData, tmp_path: Path
) -> None:
    save_checkpoint(tmp_path / "weights.safetensors", untrained())
    a = run_model(exported, validation.images)
    b = run_model(tmp_path / "weights.safetensors", validation.images)
    assert softmax(a.logits, a.temperature) == pytest.approx(softmax(b.logits, b.temperature), abs=2e-5)
    assert a.labels == b.labels
    assert a.sha256 != b.sha256


def test_the_temperature_of_an_onnx_file_is_that_of_its_logits(
    untrained: Untrained, exported: Path, validation: EvaluationData
) -> None:
    from_onnx = run_model(exported, validation.images)
    from_torch = run_checkpoint(untrained(), validation.images)
    expected = fit_temperature(from_torch.logits, validation.labels)
    assert fit_temperature(from_onnx.logits, validation.labels) == pytest.approx(expected, rel=1e-2)


def test_calibrating_a_checkpoint(untrained: Untrained, validation: EvaluationData) -> None:
    checkpoint = replace(untrained(), metrics={"epoch": 3})
    calibrated = calibrate_checkpoint(checkpoint, validation)
    logits = run_checkpoint(checkpoint, validation.images).logits
    assert calibrated.temperature == pytest.approx(fit_temperature(logits, validation.labels))
    recorded = calibrated.metrics["validation"]
    assert calibrated.metrics["epoch"] == 3
    assert set(recorded) >= CONTRACT
    assert len(recorded["temperatures"]) == 2
    before = metrics.expected_calibration_error(softmax(logits), validation.labels)
    assert recorded["ece_before_calibration"] == pytest.approx(before)
    assert recorded["temperature"] == calibrated.temperature


@pytest.fixture(scope="module")
def doubted(untrained: Untrained, validation: EvaluationData) -> EvaluationData:
    """Labels that the untrained network would give at a temperature of its own; the first one is unknown."""
    cumulative = softmax(run_checkpoint(untrained(), validation.images).logits, 2.0).cumsum(axis=1)
    drawn = np.random.default_rng(0).random(len(cumulative))
    labels = (drawn[:, None] > cumulative).sum(axis=1).clip(max=6)
    labels[0] = -1
    return replace(validation, labels=labels)


def test_recorded_figures_are_at_the_temperatures_of_the_other_half(
    untrained: Untrained, doubted: EvaluationData
) -> None:
    """Those at the temperature that was fitted on the very same images would be too good."""
    calibrated = calibrate_checkpoint(untrained(), doubted)
    recorded = calibrated.metrics["validation"]
    logits, labels = run_checkpoint(untrained(), doubted.images).logits[1:], doubted.labels[1:]
    fitted = cross_fit(logits, labels, image_hashes(doubted.images[1:]))
    expected = evaluate_probabilities(fitted.probabilities, labels, LABELS)
    optimistic = evaluate_probabilities(softmax(logits, fitted.shipped), labels, LABELS)
    for name in ("nll", "brier", "ece", "ece_perfect", "ece_interval"):
        assert recorded[name] == pytest.approx(expected[name]), name
    assert expected["nll"] > optimistic["nll"] + 1e-4, "the temperatures agree: this test shows nothing"
    assert recorded["temperatures"] == pytest.approx(fitted.temperatures)
    assert calibrated.temperature == pytest.approx(fitted.shipped)
    assert recorded["n"] == len(labels)
    assert recorded["skipped_unknown"] == 1


def test_a_image_without_a_label_takes_no_part_in_cross_fitting(untrained: Untrained, doubted: EvaluationData) -> None:
    output = run_checkpoint(untrained(), doubted.images)
    known = doubted.labels >= 0
    alone = replace(doubted, images=doubted.images[known], labels=doubted.labels[known], votes=None, in_training=None)
    measured = evaluate_output(output, doubted, cross_fitted=True)
    expected = evaluate_output(replace(output, logits=output.logits[known]), alone, cross_fitted=True)
    assert measured["cross_fit"] == expected["cross_fit"]
    assert measured["skipped_unknown"] == 1
    assert measured["n"] == expected["n"] == known.sum()


def test_cross_fitted_figures(figures: dict[str, Any]) -> None:
    pooled = figures["cross_fit"]
    assert pooled["n"] == 59
    # A temperature does not change who wins.
    assert pooled["accuracy"] == figures["accuracy"]
    assert len(pooled["temperatures"]) == 2


def test_known_probabilities_give_known_figures() -> None:
    probabilities = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.6, 0.1], [0.5, 0.25, 0.25]])
    result = evaluate_probabilities(probabilities, np.array([0, 1, 0, 255]), ["a", "b", "c"])
    assert result["n"] == 3
    assert result["skipped_unknown"] == 1
    assert result["accuracy"] == pytest.approx(2 / 3)
    assert result["confusion"] == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]
    assert result["nll"] == pytest.approx(-(math.log(0.7) + math.log(0.8) + math.log(0.3)) / 3)


@pytest.mark.parametrize(
    ("probabilities", "labels", "message"),
    [
        (np.full((2, 3), 1 / 3), [0, 1], "expected"),
        (np.full((2, 2), 0.9), [0, 1], "sum 1"),
        (np.array([[np.nan, 1.0], [0.5, 0.5]]), [0, 1], "finite"),
        (np.full((2, 2), 0.5), [255, -1], "known label"),
    ],
)
def test_what_is_no_evaluation_is_refused(probabilities: np.ndarray, labels: list[int], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        evaluate_probabilities(probabilities, np.array(labels), ["a", "b"])


def data_of(class_names: tuple[str, ...], labels: list[int]) -> EvaluationData:
    return EvaluationData(np.zeros((len(labels), 4, 4), np.uint8), np.array(labels), class_names, "drawn", "validation")


def test_contempt_is_left_out_on_seven_classes_and_the_rest_renormalized() -> None:
    logits = np.random.default_rng(0).normal(size=(5, 8))
    output = ModelOutput(logits, LABELS_WITH_CONTEMPT, 1.5, "m")
    data = data_of(LABELS, [0, 1, 2, 3, 4])
    aligned, labels, names = align_classes(output, data)
    whole = softmax(logits, 1.5)
    assert softmax(aligned, 1.5) == pytest.approx(whole[:, :7] / whole[:, :7].sum(axis=1, keepdims=True))
    assert labels.tolist() == [0, 1, 2, 3, 4]
    assert names == list(LABELS)
    assert "contempt" in evaluate_output(output, data)["notes"][0]


def test_classes_are_matched_by_name() -> None:
    output = ModelOutput(np.eye(3) * 5, ("sad", "happy", "angry"), 1.0, "m")
    data = data_of(("happy", "angry", "contempt", "sad"), [3, 0, 1])
    assert evaluate_output(output, data)["accuracy"] == 1.0


def test_images_of_a_class_the_model_lacks_are_skipped_and_said() -> None:
    output = ModelOutput(np.eye(3), ("sad", "happy", "angry"), 1.0, "m")
    data = data_of(("sad", "happy", "contempt"), [0, 1, 2])
    result = evaluate_output(output, data)
    assert result["n"] == 2
    assert any("1 images of contempt skipped" in note for note in result["notes"])


def test_nothing_in_common_is_refused() -> None:
    output = ModelOutput(np.eye(2), ("cat", "dog"), 1.0, "m")
    with pytest.raises(ModelError, match="fewer than two in common"):
        evaluate_output(output, data_of(LABELS, [0, 1]))


def test_agreement_with_the_votes() -> None:
    votes = np.zeros((4, 10), np.uint8)
    votes[0, 1] = 10  # happy
    votes[1, 3] = votes[1, 0] = 5  # sad and neutral: no majority
    votes[2, 7] = 10  # contempt: not one of seven classes
    votes[3, 4] = 8  # angry
    votes[3, 5] = 2
    probabilities = np.full((4, 7), 0.05)
    probabilities[np.arange(4), [3, 4, 3, 6]] = 0.7
    result = ferplus_figures(probabilities, LABELS, votes)
    assert result["n"] == 2
    assert result["agreement"] == 0.5
    assert result["kl_n"] == 3
    expected = [
        math.log(1 / 0.7),
        0.5 * math.log(0.5 / 0.7) + 0.5 * math.log(0.5 / 0.05),
        0.8 * math.log(0.8 / 0.05) + 0.2 * math.log(0.2 / 0.05),
    ]
    assert result["kl"] == pytest.approx(sum(expected) / 3)


def test_votes_are_shares_of_the_models_classes_in_its_order() -> None:
    votes = np.zeros((2, 10), np.uint8)
    votes[0, 1], votes[0, 7] = 6, 4  # six for happy; of four for contempt the model knows nothing
    votes[1, 3], votes[1, 4], votes[1, 0] = 6, 2, 2  # sad, angry and neutral
    probabilities = np.array([[0.5, 0.3, 0.2], [0.7, 0.2, 0.1]])
    result = ferplus_figures(probabilities, ("sad", "happy", "angry"), votes)
    of_first = math.log(1 / 0.3)
    of_second = 0.75 * math.log(0.75 / 0.7) + 0.25 * math.log(0.25 / 0.1)
    assert result["kl"] == pytest.approx((of_first + of_second) / 2)
    assert (result["kl_n"], result["n"], result["agreement"]) == (2, 2, 0.5)


def test_votes_are_compared_with_all_classes_of_the_model_at_its_temperature() -> None:
    """Also with contempt, which the labels of the set do not know, and for an image whose label is unknown."""
    names = ("contempt", "sad", "happy")
    probabilities = np.array([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.2, 0.3, 0.5]])
    votes = np.zeros((3, 10), np.uint8)
    votes[0, 7] = votes[1, 3] = votes[2, 3] = 10  # contempt, sad, sad
    data = replace(data_of(LABELS, [LABELS.index("sad"), -1, LABELS.index("happy")]), votes=votes)
    result = evaluate_output(ModelOutput(np.log(probabilities) * 2.5, names, 2.5, "m"), data)
    assert result["ferplus"] == {
        "agreement": pytest.approx(2 / 3), "n": 3,
        "kl": pytest.approx(-(math.log(0.6) + math.log(0.7) + math.log(0.3)) / 3), "kl_n": 3,
    }  # fmt: skip
    assert (result["n"], result["skipped_unknown"]) == (2, 1)
    assert result["nll"] == pytest.approx(-(math.log(0.3 / 0.4) + math.log(0.5 / 0.8)) / 2)


def test_ferplus_targets(drawn_npz: Path) -> None:
    data = load_evaluation_data(drawn_npz, split="validation", targets="ferplus_majority", contempt=True)
    assert data.class_names == LABELS_WITH_CONTEMPT
    assert data.labels.tolist() == [i % 7 for i in range(60)]
    assert data.targets == "ferplus_majority"


def test_the_targets_are_recorded(untrained: Untrained, exported: Path, drawn_npz: Path) -> None:
    for targets in ("labels", "ferplus_majority", "ferplus_plurality"):
        data = load_evaluation_data(drawn_npz, split="validation", targets=targets)
        assert evaluate_model(exported, data)["targets"] == targets
        assert calibrate_checkpoint(untrained(), data).metrics["validation"]["targets"] == targets


def test_the_ending_may_be_in_capitals(exported: Path, validation: EvaluationData, tmp_path: Path) -> None:
    capitals = tmp_path / "ARCH1.ONNX"
    capitals.write_bytes(exported.read_bytes())
    assert describe_model(capitals) == describe_model(exported)
    assert np.array_equal(run_model(capitals, validation.images).logits, run_model(exported, validation.images).logits)


@pytest.mark.parametrize("size", [1, 7, 100])
def test_a_graph_of_a_fixed_batch_is_evaluated(
    exported: Path, validation: EvaluationData, figures: dict[str, Any], tmp_path: Path, size: int
) -> None:
    model = onnx.load(exported)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = size
    onnx.save(model, tmp_path / "fixed.onnx")
    measured = evaluate_model(tmp_path / "fixed.onnx", validation)
    assert measured["nll"] == pytest.approx(figures["nll"], abs=1e-5)
    assert measured["n"] == figures["n"]


def test_a_graph_that_contradicts_its_metadata_is_refused(
    exported: Path, validation: EvaluationData, tmp_path: Path
) -> None:
    model = with_metadata(exported, tmp_path / "m.onnx", "fer.input_shape", [3, 48, 48])
    with pytest.raises(ModelError, match=r"m\.onnx takes images of shape \[1, 48, 48\], but was given \[3, 48, 48\]"):
        run_model(model, validation.images)


def test_another_image_size(drawn_npz: Path) -> None:
    assert load_evaluation_data(drawn_npz, split="train", size=64).images.shape == (40, 64, 64)


def test_folders_and_csv_files_give_the_same_figures(
    exported: Path, validation: EvaluationData, tmp_path: Path
) -> None:
    rows = ["emotion,pixels,Usage"]
    for index, (image, label) in enumerate(zip(validation.images[:21], validation.labels[:21], strict=True)):
        folder = tmp_path / "faces" / LABELS[label]
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{index:03}.png"), image)
        rows.append(f"{label},{' '.join(map(str, image.ravel()))},PublicTest")
    (tmp_path / "fer2013.csv").write_text("\n".join(rows) + "\n")
    first = replace(
        validation, images=validation.images[:21], labels=validation.labels[:21], votes=None, in_training=None
    )
    expected = evaluate_model(exported, first)
    for path, split in ((tmp_path / "faces", "all"), (tmp_path / "fer2013.csv", "validation")):
        measured = evaluate_model(exported, load_evaluation_data(path, split=split))
        assert measured["n"] == 21
        assert measured["nll"] == pytest.approx(expected["nll"], abs=1e-5)
        for name, row in expected["per_class"].items():
            assert measured["per_class"][name]["support"] == row["support"]


def test_a_missing_split_is_refused(drawn_npz: Path) -> None:
    with pytest.raises(DatasetError, match="no test split"):
        load_evaluation_data(drawn_npz, split="test")


def test_the_page_is_self_contained(figures: dict[str, Any], exported: Path, validation: EvaluationData) -> None:
    output = run_model(exported, validation.images)
    page = write_report(figures, output, validation, faces=False)
    assert not re.findall(r"(?:src|href)='(?!data:)", page)
    assert "http" not in page
    assert page.count("data:image/png;base64,") == 3
    assert f"{figures['ece_perfect']:.4f}" in page
    for image in re.findall(r"base64,([^']+)'", page):
        decoded = cv2.imdecode(np.frombuffer(base64.b64decode(image), np.uint8), cv2.IMREAD_COLOR)
        assert decoded is not None
        assert decoded.std() > 5


def test_what_the_images_of_the_page_show_stands_in_tables(
    figures: dict[str, Any], exported: Path, validation: EvaluationData
) -> None:
    page = write_report(figures, run_model(exported, validation.images), validation, faces=False)
    assert "<meta name='viewport'" in page
    assert all(re.findall(r"<img alt='([^']*)'", page))
    # Well-formed to the last tag, but for the void elements.
    closed = re.sub(r"(<(?:meta|img)[^>]*)>", r"\1/>", page.removeprefix("<!DOCTYPE html>\n"))
    body = ElementTree.fromstring(closed)  # noqa: S314 (our own page)
    tables = [
        [["".join(cell.itertext()) for cell in row] for row in table.findall("tr")] for table in body.iter("table")
    ]
    _, per_class, confusion, _ = tables
    assert per_class[0] == ["class", "precision", "recall", "F1", "images"]
    assert [(row[0], row[-1]) for row in per_class[1:]] == [
        (name, str(row["support"])) for name, row in figures["per_class"].items()
    ]
    assert [[int(cell) for cell in row[1:]] for row in confusion[1:]] == figures["confusion"]
    assert confusion[0][1:] == figures["labels"] == [row[0] for row in confusion[1:]]


def test_faces_are_shown_only_on_request(figures: dict[str, Any], exported: Path, validation: EvaluationData) -> None:
    output = run_model(exported, validation.images)
    page = write_report(figures, output, validation, faces=True)
    wrong = round(figures["n"] * (1 - figures["accuracy"]))
    images = re.findall(r"alt='image (\d+)' src='data:image/png;base64,([^']+)'", page)
    assert len(images) == min(wrong, 24)
    number, first = images[0]
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(first), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert np.array_equal(decoded, validation.images[int(number)])


def test_the_worst_mistake_comes_first() -> None:
    logits = np.array([[2.0, 0.0], [9.0, 0.0], [0.0, 3.0]])
    data = data_of(("happy", "sad"), [1, 1, 1])
    output = ModelOutput(logits, ("happy", "sad"), 1.0, "m")
    page = write_report(evaluate_output(output, data), output, data, faces=False)
    assert re.findall(r"<tr><td>(\d+)</td><td>sad</td><td>happy</td>", page) == ["1", "0"]


def test_another_number_of_classes_than_named_is_refused(
    exported: Path, validation: EvaluationData, tmp_path: Path
) -> None:
    model = with_metadata(exported, tmp_path / "m.onnx", "fer.labels", ["happy", "sad"])
    with pytest.raises(ModelError, match=r"m\.onnx gives \(7\) numbers an image but names 2 classes"):
        run_model(model, validation.images)
