from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime.quantization.shape_inference
import pytest
import torch

from fer_perception.classification.create import create_classifier
from fer_perception.errors import ModelError, SourceError
from fer_perception.labels import LABELS
from fer_perception.model_files.onnx_file import read_metadata, version_path
from fer_training.architectures.registry import create
from fer_training.checkpoint import Checkpoint
from fer_training.export.export import export_checkpoint
from fer_training.export.int8 import full_precision_nodes, quantize_int8, rectify_before_pooling
from fer_training.onnx_file import get_metadata, onnx_sha256


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """(80, 48, 48) uint8: blobs at random places, of random size and contrast."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[0:48, 0:48]
    cx, cy, width, contrast = (random.uniform(a, b, (80, 1, 1)) for a, b in ((10, 38), (10, 38), (3, 15), (20, 120)))
    return (120 + contrast * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / width**2)).astype(np.uint8)


@pytest.fixture(scope="module")
def exported(tmp_path_factory, images):
    """An arch1 with random weights whose batch norms have seen images."""
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # on a busy machine two threads wait for each other most of the time
    arguments = {"in_channels": 1, "input_size": 48, "num_classes": 7}
    network = create("arch1", **arguments).train()
    with torch.no_grad():
        for _ in range(10):
            batch = torch.from_numpy(images[:, None].astype(np.float32))
            network((batch - batch.mean((1, 2, 3), keepdim=True)) / 40)
    torch.set_num_threads(threads)
    path = tmp_path_factory.mktemp("export") / "arch1.onnx"
    checkpoint = Checkpoint(
        architecture="arch1", arguments=arguments, labels=LABELS, state=network.state_dict(), temperature=1.3
    )
    export_checkpoint(checkpoint, path, name="arch1_random")
    return path


@pytest.fixture(scope="module")
def out(exported, images):
    path = version_path(exported, "int8")
    quantize_int8(exported, path, images)
    return path


def test_the_int8_version_answers_nearly_the_same(exported, out, images):
    batch = images[:, None].astype(np.float32)
    expected = create_classifier(exported, backend="onnxruntime", threads=1).classify(batch)
    actual = create_classifier(out, backend="onnxruntime", threads=1).classify(batch)
    assert np.abs(actual - expected).mean() < 0.02
    assert (actual.argmax(1) == expected.argmax(1)).mean() > 0.8
    assert np.abs(actual - expected).max() > 0


def test_the_file_keeps_its_metadata_and_form(exported, out):
    quantized, single = onnx.load(out), onnx.load(exported)
    onnx.checker.check_model(quantized)
    assert read_metadata(out).to_props() == read_metadata(exported).to_props()
    added = {"fer.precision": "int8", "fer.fp32_sha256": onnx_sha256(exported.read_bytes())}
    assert get_metadata(quantized) == get_metadata(single) | added
    assert quantized.ir_version == single.ir_version
    assert {entry.domain: entry.version for entry in quantized.opset_import}[""] == 17
    assert out.stat().st_size < exported.stat().st_size / 2
    producers = {output: node.op_type for node in quantized.graph.node for output in node.output}
    weights = [producers.get(node.input[1], "") for node in quantized.graph.node if node.op_type == "Conv"]
    assert len(weights) == 15
    assert weights.count("DequantizeLinear") == 15 - 4  # the first, the two depthwise ones and the last stay in FP32
    assert producers["probabilities"] == "Softmax"


def test_which_nodes_stay_in_full_precision(exported):
    model = onnx.load(exported)
    kept = full_precision_nodes(model, exported)
    kinds = [node.op_type for node in model.graph.node if node.name in kept]
    assert kinds.count("Conv") == 4
    assert kinds.count("Relu") == 1
    assert kinds.count("Softmax") == 1
    assert "MaxPool" not in kinds


def test_rectifying_first_changes_nothing(exported, images, tmp_path):
    model = onnx.load(exported)
    rectify_before_pooling(model)
    producers = {output: node.op_type for node in model.graph.node for output in node.output}
    assert all(producers[n.input[0]] != "MaxPool" for n in model.graph.node if n.op_type == "Relu")
    changed = tmp_path / "changed.onnx"
    onnx.save(model, changed)
    batch = images[:8, None].astype(np.float32)
    before, after = (
        create_classifier(p, backend="onnxruntime", threads=1).classify(batch) for p in (exported, changed)
    )
    np.testing.assert_allclose(before, after, atol=1e-6)


@pytest.mark.parametrize("shape", [(0, 48, 48), (4, 32, 32), (4, 3, 48, 48)])
def test_images_that_do_not_fit(exported, tmp_path, shape):
    with pytest.raises(ModelError, match=r"arch1.onnx is calibrated on images of shape \[1, 48, 48\]"):
        quantize_int8(exported, tmp_path / "out.onnx", np.zeros(shape, np.uint8))
    assert not (tmp_path / "out.onnx").exists()


def test_gray_images_calibrate_a_model_of_three_channels(images, tmp_path):
    torch.manual_seed(0)
    arguments = {"in_channels": 3, "input_size": 48, "num_classes": 7}
    state = create("lenet", **arguments).state_dict()
    checkpoint = Checkpoint(architecture="lenet", arguments=arguments, labels=LABELS, state=state)
    export_checkpoint(checkpoint, tmp_path / "m.onnx", name="m")
    quantize_int8(tmp_path / "m.onnx", tmp_path / "gray.onnx", images)
    quantize_int8(tmp_path / "m.onnx", tmp_path / "repeated.onnx", np.repeat(images[:, None], 3, axis=1))
    assert (tmp_path / "gray.onnx").read_bytes() == (tmp_path / "repeated.onnx").read_bytes()
    assert read_metadata(tmp_path / "gray.onnx").input_shape == (3, 48, 48)


@pytest.mark.parametrize("kept", [0, 100_000])
def test_a_folder_for_temporary_files_that_runs_full_is_named(exported, images, tmp_path, monkeypatch, kept):
    """ONNX Runtime writes what fits and says nothing."""
    whole = onnxruntime.quantization.shape_inference.quant_pre_process

    def truncated(source, prepared, **options):
        whole(source, prepared, **options)
        with Path(prepared).open("r+b") as file:
            file.truncate(kept)

    monkeypatch.setattr(onnxruntime.quantization.shape_inference, "quant_pre_process", truncated)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(SourceError, match=rf"temporary files {tmp_path} cannot be used \(.*came back truncated\)"):
        quantize_int8(exported, tmp_path / "out.onnx", images)
    assert list(tmp_path.iterdir()) == []
