"""Models as the command line writes them, and what they say."""

from __future__ import annotations

import doctest
from pathlib import Path

import numpy as np
import onnx
import pytest
from tiny_model import metadata, tiny_model

from fer_perception.errors import ModelError
from fer_perception.labels import LABELS, LABELS_WITH_CONTEMPT
from fer_training.evaluation import model_specs
from fer_training.evaluation.model_specs import Networks, parse_model_spec, training_frequencies


def test_the_example() -> None:
    assert doctest.testmod(model_specs).failed == 0


@pytest.mark.parametrize("text", ["", "a@", "a@nobody", "a@votes^x", "mix:a+", "a@votes^nan"])
def test_what_does_not_parse_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(ModelError, match="expected MODEL, MODEL@PRIOR"):
        parse_model_spec(text)


def quarters(count: int = 9) -> np.ndarray:
    """Images of one gray level in each quarter, so that they are the same at any size."""
    levels = np.random.default_rng(0).integers(0, 255, (count, 2, 2))
    return np.kron(levels, np.ones((24, 24))).astype(np.uint8)


def write_model(
    path: Path, labels: tuple[str, ...] = LABELS, *, size: int = 48, seed: int = 0, prior: tuple[float, ...] = ()
) -> Path:
    weights = np.random.default_rng(seed).normal(0, 0.02, (4, len(labels))).astype(np.float32)
    props = metadata(labels=labels, input_shape=(1, size, size), class_prior=prior).to_props()
    onnx.save(tiny_model(classes=len(labels), size=size, props=props, weights=weights), path)
    return path


def logits(images: np.ndarray, classes: int, seed: int = 0) -> np.ndarray:
    weights = np.random.default_rng(seed).normal(0, 0.02, (4, classes)).astype(np.float32)
    return images[:, ::24, ::24].reshape(len(images), 4).astype(np.float64) @ weights


def softmax(values: np.ndarray) -> np.ndarray:
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def test_contempt_is_left_out_and_a_prior_divided_out(tmp_path: Path) -> None:
    path = write_model(tmp_path / "eight.onnx", LABELS_WITH_CONTEMPT)
    frequencies = {"votes": np.array([0.1, 0.02, 0.03, 0.3, 0.15, 0.1, 0.3])}
    seven = softmax(logits(quarters(), 8)[:, :7])
    networks = Networks(frequencies)
    np.testing.assert_allclose(
        networks.probabilities(parse_model_spec(str(path)), quarters(), "plain"), seven, atol=1e-5
    )
    divided = seven / frequencies["votes"] ** 0.5
    np.testing.assert_allclose(
        networks.probabilities(parse_model_spec(f"{path}@votes^0.5"), quarters(), "plain"),
        divided / divided.sum(axis=1, keepdims=True),
        atol=1e-5,
    )


def test_a_mixture_is_the_mean_of_probabilities_whatever_the_size_of_the_input(tmp_path: Path) -> None:
    first = write_model(tmp_path / "first.onnx")
    second = write_model(tmp_path / "second.onnx", size=64, seed=1)
    said = Networks({}).probabilities(parse_model_spec(f"mix:{first}+{second}"), quarters(), "plain")
    mean = (softmax(logits(quarters(), 7)) + softmax(logits(quarters(), 7, seed=1))) / 2
    np.testing.assert_allclose(said, mean, atol=0.02)


def test_a_prior_that_is_not_known_and_a_model_of_other_classes_are_refused(tmp_path: Path) -> None:
    path = write_model(tmp_path / "seven.onnx")
    with pytest.raises(ModelError, match="frequencies of training images"):
        Networks({}).probabilities(parse_model_spec(f"{path}@votes"), quarters(), "plain")
    few = write_model(tmp_path / "few.onnx", ("happy", "sad", "neutral"))
    with pytest.raises(ModelError, match="no class angry, disgusted, scared, surprised"):
        Networks({}).probabilities(parse_model_spec(str(few)), quarters(), "plain")


def test_frequencies_of_training_images() -> None:
    votes = np.zeros((2, 10), np.uint8)
    votes[0, [0, 7]] = 4, 6  # four for neutral, six for contempt
    votes[1, 1] = 6  # happy
    frequencies = training_frequencies(np.array([3, 3, 6, -1]), votes)
    assert frequencies["votes"][[3, 6]].round(2).tolist() == [0.4, 0.27]
    assert frequencies["labels"][3] == pytest.approx(2 / 8)
    np.testing.assert_allclose(frequencies["mean"], (frequencies["votes"] + frequencies["labels"]) / 2)
    assert min(value.min() for value in frequencies.values()) > 0
    assert list(training_frequencies(np.array([0]), None)) == ["labels"]


def test_a_model_is_divided_by_the_prior_its_file_states(tmp_path: Path) -> None:
    prior = (0.1, 0.05, 0.05, 0.3, 0.1, 0.1, 0.2, 0.1)
    path = write_model(tmp_path / "eight.onnx", LABELS_WITH_CONTEMPT, prior=prior)
    divided = softmax(logits(quarters(), 8)[:, :7]) / np.array(prior[:7])
    said = Networks({}).probabilities(parse_model_spec(f"{path}@own"), quarters(), "plain")
    np.testing.assert_allclose(said, divided / divided.sum(axis=1, keepdims=True), atol=1e-5)
    silent = write_model(tmp_path / "silent.onnx")
    with pytest.raises(ModelError, match="states no class prior"):
        Networks({}).probabilities(parse_model_spec(f"{silent}@own"), quarters(), "plain")
