"""Weights read back from exported files."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from changed_model import with_metadata
from quick_recipe import QUICK

from fer_perception.errors import ModelError
from fer_training.checkpoint import Checkpoint, load_checkpoint
from fer_training.deployed_network import deploy, load_network, run_torch, standardize
from fer_training.evaluation.evaluate import run_model
from fer_training.export.export import export_checkpoint, probe_images
from fer_training.export.fp16 import export_fp16
from fer_training.export.read_back import checkpoint_from_onnx, load_weights, settle_batch_norms
from fer_training.fit.fit import fit
from fer_training.onnx_file import run_onnx

Untrained = Callable[..., Checkpoint]
IMAGES = probe_images((1, 48, 48), count=40, seed=2)


def exported(checkpoint: Checkpoint, path: Path) -> Path:
    recipe = json.dumps({"architecture": checkpoint.architecture, "arguments": {}})
    export_checkpoint(replace(checkpoint, recipe=recipe), path, name=path.stem)
    return path


@pytest.mark.parametrize("name", ["arch1_fer2013", "arch1_ferplus", "ires_separable"])
def test_shipped_files(repository: Path, name: str) -> None:
    path = repository / "models" / f"{name}.onnx"
    checkpoint = checkpoint_from_onnx(path)
    np.testing.assert_allclose(run_torch(deploy(checkpoint), IMAGES), run_onnx(path, IMAGES), atol=1e-5)
    assert checkpoint.class_prior
    assert checkpoint.architecture == name.partition("_fer")[0]
    assert checkpoint.metrics["validation"]["accuracy"] > 0.6


@pytest.mark.parametrize(
    "name", ["arch2", "arch3", "arch4", "sepconv_attention", "mini_xception", "simple_cnn", "simpler_cnn", "lenet"]
)
def test_every_small_network(untrained: Untrained, tmp_path: Path, name: str) -> None:
    checkpoint = untrained(name)
    path = exported(checkpoint, tmp_path / "m.onnx")
    back = checkpoint_from_onnx(path)
    np.testing.assert_allclose(run_torch(deploy(back), IMAGES), run_torch(deploy(checkpoint), IMAGES), atol=1e-5)
    assert back.labels == checkpoint.labels
    assert back.temperature == checkpoint.temperature


def test_biases_and_prior_come_back(untrained: Untrained, tmp_path: Path) -> None:
    prior, biases = (0.1,) * 6 + (0.4,), tuple(np.linspace(-1.0, 1.0, 7).tolist())
    checkpoint = replace(untrained(), biases=biases, class_prior=prior)
    back = load_weights(exported(checkpoint, tmp_path / "m.onnx"), architecture="arch1")
    assert back.biases == pytest.approx(biases, abs=1e-6)
    assert back.class_prior == pytest.approx(prior)
    np.testing.assert_allclose(run_torch(deploy(back), IMAGES), run_torch(deploy(checkpoint), IMAGES), atol=1e-5)


def test_settled_batch_norms_answer_the_same_and_are_fit_for_training(untrained: Untrained, tmp_path: Path) -> None:
    network = load_network(checkpoint_from_onnx(exported(untrained(), tmp_path / "m.onnx")))
    images = standardize(torch.from_numpy(IMAGES))
    with torch.no_grad():
        before = network(images)
        unsettled = network.train()(images)
        network = load_network(checkpoint_from_onnx(tmp_path / "m.onnx"))
        settle_batch_norms(network, images)
        after = network(images)
        trained = network.train()(images)
    np.testing.assert_allclose(after.numpy(), before.numpy(), atol=1e-4)
    np.testing.assert_allclose(trained.numpy(), before.numpy(), atol=1e-2)
    assert (unsettled - before).abs().max() > 0.1, "else there was nothing to settle"


def test_fine_tuning_starts_from_an_exported_file(untrained: Untrained, tiny_npz: Path, tmp_path: Path) -> None:
    path = exported(untrained(), tmp_path / "arch1_made.onnx")
    still = {"name": "sgd", "lr": 1e-12, "momentum": 0.0, "weight_decay": 0.0}
    # The statistics of the batch norms follow the images: only unchanged ones can leave the answers as they were.
    still_images = dict.fromkeys(("flip", "rotation", "zoom", "shift", "blur", "erasing"), 0.0)
    recipe = {**QUICK, "architecture": "arch1", "epochs": 1, "initial": str(path), "optimizer": still, "ema": 0.0}
    fit(recipe | {"augmentation": still_images}, data=tiny_npz, out=tmp_path / "run", progress=False)
    with np.load(tiny_npz) as data:
        images = data["validation_images"]
    tuned, before = (run_model(each, images) for each in (tmp_path / "run" / "weights.safetensors", path))
    # The logits that the file gives are log-probabilities: up to one constant an image.
    first, second = (each.logits - each.logits.mean(axis=1, keepdims=True) for each in (tuned, before))
    np.testing.assert_allclose(first, second, atol=0.2 * np.abs(second).max())
    # Class frequencies of the training images.
    assert load_checkpoint(tmp_path / "run" / "weights.safetensors").class_prior == pytest.approx((1 / 7,) * 7)


def test_another_architecture_is_refused(untrained: Untrained, tmp_path: Path) -> None:
    path = exported(untrained("lenet"), tmp_path / "m.onnx")
    with pytest.raises(ModelError, match="holds a network of architecture 'lenet', expected 'arch1'"):
        load_weights(path, architecture="arch1")


def test_a_version_in_another_precision_is_refused(untrained: Untrained, tmp_path: Path) -> None:
    half = export_fp16(exported(untrained(), tmp_path / "m.onnx")).path
    with pytest.raises(ModelError, match="holds float16 weights; expected the FP32 file"):
        checkpoint_from_onnx(half)


def test_a_file_without_a_recipe_is_refused(untrained: Untrained, tmp_path: Path) -> None:
    path = exported(untrained("lenet"), tmp_path / "m.onnx")
    other = with_metadata(path, tmp_path / "other.onnx", "fer.recipe", "by hand")
    with pytest.raises(ModelError, match="does not say of which architecture it is"):
        checkpoint_from_onnx(other)


def test_a_graph_of_another_network_is_refused(untrained: Untrained, tmp_path: Path) -> None:
    path = exported(untrained("lenet"), tmp_path / "m.onnx")
    other = with_metadata(path, tmp_path / "other.onnx", "fer.recipe", {"architecture": "simple_cnn"})
    with pytest.raises(ModelError, match=r"is not the one that simple_cnn .* makes"):
        checkpoint_from_onnx(other)


def test_a_changed_graph_is_refused(untrained: Untrained, tmp_path: Path) -> None:
    graph = onnx.load(exported(untrained("lenet"), tmp_path / "m.onnx"))
    relu = next(node for node in graph.graph.node if node.op_type == "Relu")
    relu.op_type = "Sigmoid"
    onnx.save(graph, tmp_path / "other.onnx")
    with pytest.raises(ModelError, match="answer differently"):
        checkpoint_from_onnx(tmp_path / "other.onnx")
