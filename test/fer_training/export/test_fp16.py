"""The FP16 graph: which part of it is FP16, and that it still says the same."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from fer_perception.errors import ModelError
from fer_perception.model_files.onnx_file import version_path
from fer_training.checkpoint import Checkpoint
from fer_training.export.export import ExportError, export_checkpoint, probe_images
from fer_training.export.fp16 import HalfExport, convert_to_half, export_fp16
from fer_training.onnx_file import run_onnx

Untrained = Callable[..., Checkpoint]


@pytest.fixture(scope="module")
def single(untrained: Untrained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("half") / "arch1.onnx"
    export_checkpoint(untrained(), path, name="arch1_test")
    return path


@pytest.fixture(scope="module")
def half(single: Path) -> HalfExport:
    return export_fp16(single)


def element_types(path: Path) -> dict[str, int]:
    """Element type of every tensor, as ONNX itself infers it."""
    graph = onnx.shape_inference.infer_shapes(onnx.load(path), strict_mode=True).graph
    values = (*graph.input, *graph.output, *graph.value_info)
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    return types | {tensor.name: tensor.data_type for tensor in graph.initializer}


def test_it_lies_beside_the_fp32_file(single: Path, half: HalfExport) -> None:
    assert half.path == version_path(single, "fp16") == single.with_name("arch1_fp16.onnx")
    assert half.path.stat().st_size < 0.55 * single.stat().st_size


def test_convolutions_are_fp16_and_the_delicate_part_fp32(half: HalfExport) -> None:
    types = element_types(half.path)
    model = onnx.load(half.path)
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    assert len(convolutions) == 15
    for node in convolutions:
        assert {types[name] for name in (*node.input, *node.output)} == {TensorProto.FLOAT16}
    for node in model.graph.node:
        if node.op_type in {"AveragePool", "ReduceMean", "Sqrt", "Div", "Softmax"}:
            assert {types[name] for name in (*node.input, *node.output)} == {TensorProto.FLOAT}, node.name
    assert types["images"] == types["probabilities"] == types["temperature"] == TensorProto.FLOAT
    # Into the network and out of it, and around the mean in front of the last convolution.
    assert [node.op_type for node in model.graph.node].count("Cast") == 4


def test_it_keeps_the_contract(half: HalfExport) -> None:
    model = onnx.load(half.path)
    assert model.ir_version == 8
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 17)]


def test_it_runs_and_agrees_with_fp32(single: Path, half: HalfExport) -> None:
    images = np.random.default_rng(3).uniform(0, 255, (20, 1, 48, 48)).astype(np.float32)
    difference = np.abs(run_onnx(half.path, images) - run_onnx(single, images)).max()
    assert 0 < difference < 5e-3
    assert half.max_difference < 5e-3


def test_the_variance_of_extreme_pixels_does_not_overflow(single: Path, half: HalfExport) -> None:
    rows, columns = np.mgrid[0:48, 0:48]
    checkerboard = (((rows + columns) % 2) * 255.0).astype(np.float32)[None, None]
    # Its variance in gray levels squared alone is a quarter of FP16's range, the sum of squares far beyond it.
    assert (checkerboard**2).sum() > np.finfo(np.float16).max
    measured = run_onnx(half.path, checkerboard)
    assert np.isfinite(measured).all()
    assert measured == pytest.approx(run_onnx(single, checkerboard), abs=5e-3)


def test_metadata_names_the_precision_and_the_fp32_file(single: Path, half: HalfExport) -> None:
    before = {entry.key: entry.value for entry in onnx.load(single).metadata_props}
    after = {entry.key: entry.value for entry in onnx.load(half.path).metadata_props}
    assert after.pop("fer.precision") == "float16"
    assert after.pop("fer.fp32_sha256") == hashlib.sha256(single.read_bytes()).hexdigest()
    assert after == before
    assert half.sha256 == hashlib.sha256(half.path.read_bytes()).hexdigest()


def test_equal_input_gives_equal_bytes(single: Path, half: HalfExport, tmp_path: Path) -> None:
    again = export_fp16(single, tmp_path / "again.onnx")
    assert again.path.read_bytes() == half.path.read_bytes()


def dense(weight: float) -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["images", "weight"], ["out"])],
        "dense",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 2])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["N", 2])],
        [numpy_helper.from_array(np.full((2, 2), weight, np.float32), "weight")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_a_weight_beyond_fp16_is_refused() -> None:
    with pytest.raises(ExportError, match=r"weight.*65504"):
        convert_to_half(dense(1e5))


def test_the_given_graph_is_left_alone() -> None:
    model = dense(1.0)
    before = model.SerializeToString()
    _, count = convert_to_half(model)
    assert count == 1
    assert model.SerializeToString() == before


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"not a model")
    with pytest.raises(ModelError, match=r"m\.onnx is damaged"):
        export_fp16(tmp_path / "m.onnx")
    with pytest.raises(ModelError, match="no model"):
        export_fp16(tmp_path / "absent.onnx")


def test_synthetic_images_hold_more_than_noise() -> None:
    spread = probe_images((1, 48, 48)).std(axis=(1, 2, 3))
    assert spread.min() == 0
    assert spread.max() > 120
