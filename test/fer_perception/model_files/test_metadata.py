"""The class prior in a model file's metadata."""

from __future__ import annotations

import json

import pytest
from tiny_model import metadata

from fer_perception.errors import ModelError
from fer_perception.labels import LABELS
from fer_perception.model_files.metadata import CLASS_PRIOR_KEY, ModelMetadata

PRIOR = (0.1, 0.2, 0.1, 0.1, 0.1, 0.1, 0.3)


def read(**changes: str) -> ModelMetadata:
    return ModelMetadata.from_props(metadata(class_prior=()).to_props() | changes, path="m.onnx")


def test_the_prior_survives_writing_and_reading() -> None:
    written = metadata(class_prior=PRIOR).to_props()
    assert json.loads(written[CLASS_PRIOR_KEY]) == list(PRIOR)
    read_again = ModelMetadata.from_props(written, path="m.onnx")
    assert read_again.prior == read_again.class_prior == pytest.approx(PRIOR, abs=1e-12)
    assert read_again.prior_warning == ""


def test_a_prior_rounded_by_hand_is_read_with_the_sum_1() -> None:
    prior = read(**{CLASS_PRIOR_KEY: "[0.1, 0.2, 0.1, 0.1, 0.1, 0.1, 0.2996]"}).prior
    assert sum(prior) == pytest.approx(1.0, abs=1e-12)


def test_without_a_prior_it_is_uniform_and_told() -> None:
    unstated = read()
    assert CLASS_PRIOR_KEY not in unstated.to_props()
    assert unstated.prior == pytest.approx((1 / 7,) * 7)
    assert "tiny does not state its class prior (metadata 'fer.class_prior')" in unstated.prior_warning
    assert "fer-train export" in unstated.prior_warning


@pytest.mark.parametrize(
    "bad",
    [
        "[]",
        json.dumps([1 / 6] * 6),
        json.dumps([1 / 8] * 8),
        json.dumps([0.0, *PRIOR[1:-1], 0.4]),
        json.dumps([-0.1, *PRIOR[1:-1], 0.5]),
        json.dumps([float("nan"), *PRIOR[1:]]),
        json.dumps([float("inf"), *PRIOR[1:]]),
        json.dumps([0.2, *PRIOR[1:]]),
        json.dumps([v * 100 for v in PRIOR]),
    ],
    ids=["empty", "short", "long", "zero", "negative", "nan", "infinite", "sum", "percent"],
)
def test_what_is_no_prior_of_these_classes_is_refused(bad: str) -> None:
    with pytest.raises(ModelError, match=r"m\.onnx has the class prior .*expected 7 numbers above 0 with the sum 1"):
        read(**{CLASS_PRIOR_KEY: bad})


@pytest.mark.parametrize("bad", ["", "0.1, 0.9", '"a"', "[null]", '{"a": 1}', "7"])
def test_what_is_no_list_of_numbers_is_refused(bad: str) -> None:
    with pytest.raises(ModelError, match=r"m\.onnx has metadata that does not parse"):
        read(**{CLASS_PRIOR_KEY: bad})


def test_every_label_has_its_share() -> None:
    assert len(read().prior) == len(LABELS)
