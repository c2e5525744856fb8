"""The exported graph: what it promises to readers, and that it says what PyTorch says."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper

from fer_perception.errors import ModelError, SourceError
from fer_perception.imaging.crops import LANDMARK_TEMPLATE, landmark_template
from fer_perception.labels import LABELS
from fer_perception.model_files.metadata import ModelMetadata
from fer_training import architectures
from fer_training.checkpoint import Checkpoint, CheckpointError
from fer_training.deployed_network import standardize
from fer_training.export.export import ExportError, check_contract, export_checkpoint, probe_images
from fer_training.export.fp16 import export_fp16
from fer_training.export.graph_passes import constants_to_initializers, fold_batch_norms
from fer_training.onnx_file import run_onnx

Untrained = Callable[..., Checkpoint]


@pytest.fixture(scope="module")
def exported(untrained: Untrained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "arch1.onnx"
    export_checkpoint(untrained(), path, name="arch1_test")
    return path


def expected_probabilities(checkpoint: Checkpoint, images: np.ndarray) -> np.ndarray:
    """What PyTorch says, written out again here."""
    network = architectures.create(checkpoint.architecture, **checkpoint.arguments)
    network.load_state_dict(checkpoint.state)
    with torch.no_grad():
        logits = network.eval()(standardize(torch.from_numpy(images)))
        return torch.softmax(logits / checkpoint.temperature, dim=1).numpy()


def test_opset_ir_version_and_one_file(exported: Path) -> None:
    model = onnx.load(exported, load_external_data=False)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 17)]
    assert model.ir_version == 8
    assert {tensor.data_location for tensor in model.graph.initializer} == {onnx.TensorProto.DEFAULT}
    assert [path.name for path in exported.parent.iterdir()] == ["arch1.onnx"]


def test_batch_norms_are_folded_and_constants_shared_directly(exported: Path) -> None:
    operators = {node.op_type for node in onnx.load(exported).graph.node}
    assert not operators & {"BatchNormalization", "Constant", "Identity", "Dropout", "Shape"}
    assert {"Conv", "Softmax"} <= operators


def test_temperature_is_a_constant_in_the_graph(exported: Path) -> None:
    weights = {tensor.name: tensor for tensor in onnx.load(exported).graph.initializer}
    assert numpy_helper.to_array(weights["temperature"]) == pytest.approx(1.3)


def test_input_and_output(exported: Path) -> None:
    graph = onnx.load(exported).graph
    (images,), (probabilities,) = graph.input, graph.output
    assert (images.name, probabilities.name) == ("images", "probabilities")
    assert [d.dim_param or d.dim_value for d in images.type.tensor_type.shape.dim] == ["N", 1, 48, 48]
    assert [d.dim_param or d.dim_value for d in probabilities.type.tensor_type.shape.dim] == ["N", 7]
    assert images.type.tensor_type.elem_type == onnx.TensorProto.FLOAT


@pytest.mark.parametrize("count", [1, 2, 9])
def test_probabilities_equal_pytorch_at_any_batch(exported: Path, untrained: Untrained, count: int) -> None:
    images = np.random.default_rng(8).uniform(0, 255, (count, 1, 48, 48)).astype(np.float32)
    measured = run_onnx(exported, images)
    assert measured.shape == (count, 7)
    assert measured == pytest.approx(expected_probabilities(untrained(), images), abs=1e-5)
    assert measured.sum(axis=1) == pytest.approx(np.ones(count), abs=1e-5)


def test_images_of_any_contrast_give_probabilities(exported: Path, untrained: Untrained) -> None:
    images = probe_images((1, 48, 48))
    measured = run_onnx(exported, images)
    assert np.isfinite(measured).all()
    assert measured == pytest.approx(expected_probabilities(untrained(), images), abs=1e-5)
    # Different images get different answers: the comparison above is not one of constants.
    assert np.ptp(measured, axis=0).max() > 0.05


def test_probe_images_hold_the_extremes() -> None:
    images = probe_images((1, 6, 6), count=2)
    assert images.shape == (5, 1, 6, 6)
    assert images.min() >= 0
    assert images.max() <= 255
    assert np.unique(images[-1]).tolist() == [0.0, 255.0]
    assert np.ptp(images[-2]) == 0


def test_equal_checkpoints_give_equal_bytes(exported: Path, untrained: Untrained, tmp_path: Path) -> None:
    export_checkpoint(untrained(), tmp_path / "again.onnx", name="arch1_test")
    assert (tmp_path / "again.onnx").read_bytes() == exported.read_bytes()


def test_metadata(exported: Path, untrained: Untrained, tmp_path: Path) -> None:
    checkpoint = replace(untrained(), metrics={"validation": {"accuracy": 0.5}})
    returned = export_checkpoint(checkpoint, tmp_path / "m.onnx", name="arch1_test")
    data = (tmp_path / "m.onnx").read_bytes()
    props = {entry.key: entry.value for entry in onnx.load(tmp_path / "m.onnx").metadata_props}
    read = ModelMetadata.from_props(props, path="m.onnx", sha256=hashlib.sha256(data).hexdigest())
    assert read == returned
    assert read.labels == LABELS
    assert read.input_shape == (1, 48, 48)
    assert read.temperature == 1.3
    assert read.metrics == {"validation": {"accuracy": 0.5}}
    assert read.source_commit == "0123abc"
    assert np.array(read.landmark_template) == pytest.approx(LANDMARK_TEMPLATE, abs=1e-3)


def test_other_sizes_channels_and_classes(untrained: Untrained, tmp_path: Path) -> None:
    checkpoint = untrained(classes=8, in_channels=3, input_size=64)
    metadata = export_checkpoint(checkpoint, tmp_path / "m.onnx", name="m")
    assert metadata.input_shape == (3, 64, 64)
    assert metadata.labels[-1] == "contempt"
    assert np.array(metadata.landmark_template) == pytest.approx(landmark_template(64), abs=1e-3)
    assert run_onnx(tmp_path / "m.onnx", probe_images((3, 64, 64))).shape == (11, 8)


#: Operators that TensorRT 8.6's parser takes in FP32 and FP16 with a dynamic first dimension.
PARSED = {
    "Add", "AveragePool", "Cast", "Clip", "Concat", "Conv", "Div", "Flatten", "Gather", "Gemm", "GlobalAveragePool",
    "HardSigmoid", "HardSwish", "MatMul", "MaxPool", "Mul", "Pow", "ReduceMean", "ReduceSum", "Relu", "Reshape",
    "Shape", "Sigmoid", "Slice", "Softmax", "Sqrt", "Squeeze", "Sub", "Tanh", "Transpose", "Unsqueeze",
}  # fmt: skip


@pytest.mark.parametrize("name", ["arch2", "ires_separable", "sepconv_attention", "mini_xception"])
def test_other_networks_and_their_fp16_version(untrained: Untrained, tmp_path: Path, name: str) -> None:
    checkpoint = untrained(name)
    path = tmp_path / f"{name}.onnx"
    export_checkpoint(checkpoint, path, name=name)
    images = probe_images((1, 48, 48), count=2)
    assert run_onnx(path, images) == pytest.approx(expected_probabilities(checkpoint, images), abs=1e-5)
    half = export_fp16(path)
    assert half.max_difference < 0.01
    assert half.half_nodes > 0
    assert {node.op_type for file in (path, half.path) for node in onnx.load(file).graph.node} <= PARSED


def test_real_images_of_another_size_are_refused(untrained: Untrained, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"\(1, 40, 40\).*expected \(1, 48, 48\)"):
        export_checkpoint(untrained(), tmp_path / "m.onnx", name="m", images=np.zeros((2, 40, 40), np.uint8))
    assert list(tmp_path.iterdir()) == []


def test_labels_must_match_the_outputs(untrained: Untrained, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="probabilities"):
        export_checkpoint(replace(untrained(), labels=("a", "b")), tmp_path / "m.onnx", name="m")


def test_weights_of_another_architecture_are_refused(untrained: Untrained, tmp_path: Path) -> None:
    checkpoint = untrained()
    state = {key: value for key, value in checkpoint.state.items() if not key.startswith("conv2d_11")}
    with pytest.raises(CheckpointError, match="do not fit architecture 'arch1'"):
        export_checkpoint(replace(checkpoint, state=state), tmp_path / "m.onnx", name="m")


def test_weights_with_nan_are_refused(untrained: Untrained, tmp_path: Path) -> None:
    checkpoint = untrained()
    state = {key: value.clone() for key, value in checkpoint.state.items()}
    state["conv2d_11.bias"][0] = float("nan")
    with pytest.raises(CheckpointError, match=r"NaN.*conv2d_11\.bias"):
        export_checkpoint(replace(checkpoint, state=state), tmp_path / "m.onnx", name="m")


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_impossible_temperatures_are_refused(untrained: Untrained, tmp_path: Path, temperature: float) -> None:
    with pytest.raises(CheckpointError, match="temperature"):
        export_checkpoint(replace(untrained(), temperature=temperature), tmp_path / "m.onnx", name="m")


def test_an_unwritable_place_is_named(untrained: Untrained, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ModelError, match="cannot write"):
        export_checkpoint(untrained(), tmp_path / "file" / "m.onnx", name="m")


def test_a_folder_for_temporary_files_that_cannot_be_used_is_named(
    untrained: Untrained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(torch.onnx, "export", full)
    with pytest.raises(SourceError, match=rf"temporary files {tmp_path} cannot be used .*TMPDIR"):
        export_checkpoint(untrained(), tmp_path / "m.onnx", name="m")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fault", ["opset", "ir", "batch norm", "other"])
def test_the_contract_is_checked(exported: Path, fault: str) -> None:
    model = onnx.load(exported)
    check_contract(model, labels=7, shape=(1, 48, 48))
    if fault == "opset":
        model.opset_import[0].version = 18
    elif fault == "ir":
        model.ir_version = 9
    elif fault == "batch norm":
        model.graph.node[-1].op_type = "BatchNormalization"
    else:
        model.graph.node[-1].domain = "com.microsoft"
    with pytest.raises(ExportError, match="not usable"):
        check_contract(model, labels=7, shape=(1, 48, 48))


@pytest.mark.parametrize("shape", [[2, 3, 4, 4], [2, 3]])
def test_a_batch_norm_without_a_convolution_becomes_scale_and_shift(shape: list[int]) -> None:
    rng = np.random.default_rng(0)
    values = {
        "g": rng.uniform(0.5, 2, 3),
        "b": rng.normal(size=3),
        "m": rng.normal(size=3),
        "v": rng.uniform(0.5, 2, 3),
    }
    node = helper.make_node("BatchNormalization", ["images", "g", "b", "m", "v"], ["out"], epsilon=1e-3)
    graph = helper.make_graph(
        [node],
        "bn",
        [helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("out", onnx.TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(value.astype(np.float32), key) for key, value in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    images = rng.normal(size=shape).astype(np.float32)
    before = run_onnx(model.SerializeToString(), images)
    assert fold_batch_norms(model) == 1
    assert [n.op_type for n in model.graph.node] == ["Mul", "Add"]
    assert len(model.graph.initializer) == 2
    assert run_onnx(model.SerializeToString(), images) == pytest.approx(before, abs=1e-5)


def test_shared_weights_are_read_directly() -> None:
    nodes = [
        helper.make_node("Identity", ["weight"], ["copy"]),
        helper.make_node("Constant", [], ["two"], value=numpy_helper.from_array(np.float32(2.0))),
        helper.make_node("Mul", ["images", "copy"], ["product"]),
        helper.make_node("Mul", ["product", "two"], ["out"]),
    ]
    value = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 3]) for name in ("images", "out")]
    weight = numpy_helper.from_array(np.array([[1.0, 2.0, 3.0]], np.float32), "weight")
    graph = helper.make_graph(nodes, "g", value[:1], value[1:], [weight])
    constants_to_initializers(graph)
    assert [node.op_type for node in graph.node] == ["Mul", "Mul"]
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    images = np.ones((1, 3), np.float32)
    assert run_onnx(model.SerializeToString(), images).tolist() == [[2.0, 4.0, 6.0]]
