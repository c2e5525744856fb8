"""Exports with fewer classes and under another class prior."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fer_perception.labels import LABELS, LABELS_WITH_CONTEMPT
from fer_perception.model_files.onnx_file import read_metadata
from fer_perception.settings.pipeline_settings import PipelineSettings
from fer_perception.temporal.smoother import create_smoother
from fer_training.checkpoint import Checkpoint
from fer_training.deployed_network import deploy, run_torch
from fer_training.export.class_prior import keep_classes, read_prior, with_prior
from fer_training.export.export import ExportError, export_checkpoint, probe_images
from fer_training.onnx_file import run_onnx

Untrained = Callable[..., Checkpoint]
IMAGES = probe_images((1, 48, 48))
TRAINED = (0.2, 0.05, 0.1, 0.25, 0.15, 0.1, 0.15)


@pytest.mark.parametrize("name", ["arch1", "lenet"])
def test_a_class_that_is_dropped_leaves_its_share_to_the_others(untrained: Untrained, name: str) -> None:
    eight = replace(
        untrained(name, classes=8), class_prior=(*TRAINED[:-1], 0.1, 0.05), biases=tuple(np.linspace(-1, 1, 8))
    )
    seven = keep_classes(replace(eight, metrics={"epoch": 3, "validation": {"accuracy": 0.5}}), LABELS)
    before, after = run_torch(deploy(eight), IMAGES)[:, :7], run_torch(deploy(seven), IMAGES)
    np.testing.assert_allclose(after, before / before.sum(axis=1, keepdims=True), atol=1e-6)
    assert seven.labels == LABELS
    assert seven.class_prior == pytest.approx(np.array((*TRAINED[:-1], 0.1)) / 0.95)
    assert seven.metrics == {"epoch": 3}, "figures of eight classes are not those of seven"


@pytest.mark.parametrize("labels", [("happy",), ("happy", "happy"), ("happy", "puzzled"), ()])
def test_classes_that_cannot_be_kept_are_refused(untrained: Untrained, labels: tuple[str, ...]) -> None:
    with pytest.raises(ExportError, match=r"expected at least two of angry, .*, each once"):
        keep_classes(untrained(), labels)


def test_another_prior_follows_bayes_and_is_stated(untrained: Untrained, tmp_path: Path) -> None:
    wanted = (0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.4)
    trained = replace(untrained(), class_prior=TRAINED)
    export_checkpoint(trained, tmp_path / "a.onnx", name="a")
    export_checkpoint(with_prior(trained, wanted), tmp_path / "b.onnx", name="b")
    before, after = (run_onnx(tmp_path / name, IMAGES) for name in ("a.onnx", "b.onnx"))
    expected = before * (np.array(wanted) / TRAINED)
    np.testing.assert_allclose(after, expected / expected.sum(axis=1, keepdims=True), atol=1e-5)
    assert read_metadata(tmp_path / "a.onnx").class_prior == pytest.approx(TRAINED)
    assert read_metadata(tmp_path / "b.onnx").class_prior == pytest.approx(wanted)


@pytest.mark.parametrize("name", ["none", "ema", "hmm"])
def test_two_exports_of_one_network_give_equal_scores_at_equal_neutral_share(
    untrained: Untrained, tmp_path: Path, name: str
) -> None:
    trained = replace(untrained(), class_prior=TRAINED)
    smoothers, answers = [], []
    for prior in ("uniform", "0.05,0.05,0.05,0.3,0.1,0.05,0.4"):
        path = tmp_path / "m.onnx"
        export_checkpoint(with_prior(trained, read_prior(prior, LABELS)), path, name="m")
        settings = PipelineSettings(filter=name, neutral_share=0.5)
        smoothers.append(create_smoother(LABELS, settings, prior=read_metadata(path).prior))
        answers.append(run_onnx(path, IMAGES))
    assert np.abs(answers[0] - answers[1]).max() > 0.05
    for i, rows in enumerate(zip(*answers, strict=True)):
        first, second = (s.update(row, 0.1 * i).scores for s, row in zip(smoothers, rows, strict=True))
        np.testing.assert_allclose(first, second, atol=1e-5)


def test_a_prior_that_is_not_known_cannot_be_left(untrained: Untrained) -> None:
    with pytest.raises(ExportError, match=r"does not say under which class prior.*--trained-prior"):
        with_prior(untrained(), (1 / 7,) * 7)


def test_a_prior_is_read_from_words_numbers_and_files(tmp_path: Path) -> None:
    assert read_prior("uniform", LABELS) == (1 / 7,) * 7
    assert read_prior("1,1,1,1,1,1,4", LABELS) == pytest.approx((0.1,) * 6 + (0.4,))
    (tmp_path / "list.json").write_text(json.dumps(TRAINED))
    (tmp_path / "names.yaml").write_text("neutral: 3\nhappy: 1\n")
    assert read_prior(str(tmp_path / "list.json"), LABELS) == pytest.approx(TRAINED)
    assert read_prior(str(tmp_path / "names.yaml"), ("happy", "neutral")) == (0.25, 0.75)


@pytest.mark.parametrize("text", ["", "1,2", "a,b", "0,1,1,1,1,1,1", "-1,1,1,1,1,1,1", "1,1,1,1,1,1,.inf", "no.json"])
def test_what_is_no_prior_is_refused(text: str) -> None:
    with pytest.raises(ExportError, match=r"cannot be used .*; expected uniform, 7 numbers above 0 for angry"):
        read_prior(text, LABELS)


def test_a_file_that_names_other_classes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "names.yaml").write_text("neutral: 3\nhappy: 1\n")
    with pytest.raises(ExportError, match="it names neutral, happy"):
        read_prior(str(tmp_path / "names.yaml"), LABELS_WITH_CONTEMPT)
