"""One YuNet for images of any size and for batches: the same answers as the file that was exported that way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from fer_perception.detection.yunet_decode import OUTPUT_NAMES
from fer_perception.errors import ModelError
from fer_perception.inference.onnxruntime_network import OnnxRuntimeNetwork
from fer_perception.model_files.free_sides import free_sides
from fer_perception.model_files.store import ModelStore

RNG = np.random.default_rng(0)


def images(count: int, height: int, width: int) -> np.ndarray:
    return RNG.uniform(0, 255, (count, 3, height, width)).astype(np.float32)


def network(model: bytes) -> OnnxRuntimeNetwork:
    return OnnxRuntimeNetwork(model, name="a model", threads=1)


@pytest.fixture
def yunet() -> OnnxRuntimeNetwork:
    return network(free_sides(ModelStore().find("yunet").read_bytes(), name="yunet"))


def small(change: Callable[[onnx.GraphProto], None] = lambda graph: None, *, packed: bool = False) -> bytes:
    """A graph of YuNet's operations, as the file of the OpenCV Zoo fixes them to one size."""
    weights = numpy_helper.from_array(RNG.normal(size=(4, 3, 3, 3)).astype(np.float32), "weights")
    target = helper.make_tensor("target", TensorProto.INT64, [3], [1, -1, 4])
    if not packed:
        target = numpy_helper.from_array(np.array([1, -1, 4], np.int64), "target")
    roi = numpy_helper.from_array(np.empty(0, np.float32), "roi")
    factors = numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "factors")
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["input", "weights"], ["features"], pads=[1, 1, 1, 1]),
            helper.make_node("Resize", ["features", "roi", "factors"], ["larger"], mode="nearest"),
            helper.make_node("Transpose", ["larger"], ["last"], perm=[0, 2, 3, 1]),
            helper.make_node("Reshape", ["last", "target"], ["output"]),
        ],
        "small",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 256, 4])],
        [weights, target, roi, factors],
        value_info=[helper.make_tensor_value_info("features", TensorProto.FLOAT, [1, 4, 8, 8])],
    )
    change(graph)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)])
    model.ir_version = 6
    return model.SerializeToString()


@pytest.mark.yunet
class TestYunet:
    @pytest.mark.parametrize("size", [(480, 640), (32, 32), (96, 160), (640, 640)])
    def test_every_bit_is_that_of_the_file_exported_with_free_sides(
        self, yunet: OnnxRuntimeNetwork, repository: Path, size: tuple[int, int]
    ) -> None:
        other = repository.parent / "shared" / "models" / "yunet_s_dynamic.onnx"
        if not other.is_file():
            pytest.skip("the authors' own file with dynamic sides is not here")
        batch = images(1, *size)
        found = yunet.run({"input": batch}, OUTPUT_NAMES)
        expected = network(other.read_bytes()).run({"input": batch}, OUTPUT_NAMES)
        for one, another in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, another)

    def test_the_file_as_it_is_gives_the_same_at_its_own_size(self, yunet: OnnxRuntimeNetwork) -> None:
        batch = images(1, 640, 640)
        fixed = network(ModelStore().find("yunet").read_bytes())
        for one, another in zip(
            yunet.run({"input": batch}, OUTPUT_NAMES), fixed.run({"input": batch}, OUTPUT_NAMES), strict=True
        ):
            np.testing.assert_array_equal(one, another)

    def test_a_batch_gives_what_its_images_give_alone(self, yunet: OnnxRuntimeNetwork) -> None:
        batch = images(3, 128, 128)
        together = yunet.run({"input": batch}, OUTPUT_NAMES)
        for index in range(3):
            alone = yunet.run({"input": batch[index : index + 1]}, OUTPUT_NAMES)
            for one, another in zip(together, alone, strict=True):
                np.testing.assert_allclose(one[index], another[0], atol=1e-5)

    def test_the_input_says_that_it_is_free(self, yunet: OnnxRuntimeNetwork) -> None:
        assert yunet.inputs[0].shape == (None, 3, None, None)
        assert yunet.outputs[0].shape == (None, None, 1)

    @pytest.mark.parametrize("keep", [0, 1, 1000, 232_000])
    def test_cut_short(self, keep: int) -> None:
        with pytest.raises(ModelError, match=r"cut short|expected one named 'input'|no graph|not an ONNX model"):
            free_sides(ModelStore().find("yunet").read_bytes()[:keep], name="yunet")


@pytest.mark.parametrize("packed", [False, True])
def test_a_small_graph_runs_at_any_size_and_in_batches(packed: bool) -> None:
    model = small(packed=packed)
    free = network(free_sides(model, name="small"))
    own = images(1, 8, 8)
    [expected] = network(model).run({"input": own}, ["output"])
    [found] = free.run({"input": own}, ["output"])
    np.testing.assert_array_equal(found, expected)
    [found] = free.run({"input": images(5, 16, 24)}, ["output"])
    assert found.shape == (5, 32 * 48, 4)


def test_what_is_free_stays_so() -> None:
    once = free_sides(small(), name="small")
    assert network(free_sides(once, name="small")).inputs[0].shape == (None, 3, None, None)
    onnx.checker.check_model(onnx.load_from_string(once))


def _set_target(*shape: int) -> Callable[[onnx.GraphProto], None]:
    def change(graph: onnx.GraphProto) -> None:
        graph.initializer[1].CopyFrom(numpy_helper.from_array(np.array(shape, np.int64), "target"))

    return change


def _set_operator(name: str) -> Callable[[onnx.GraphProto], None]:
    def change(graph: onnx.GraphProto) -> None:
        graph.node[0].op_type = name

    return change


def _add_size(graph: onnx.GraphProto) -> None:
    graph.node[1].input.append("size")


def _calculate_target(graph: onnx.GraphProto) -> None:
    graph.node[3].input[1] = "features"


def _rename_input(graph: onnx.GraphProto) -> None:
    graph.input[0].name = "image"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set_target(1, 256, 4), r"cannot be freed: a Reshape makes \[1, 256, 4\]; expected .* one side left open"),
        (_set_target(-1, 4), r"cannot be freed: a Reshape makes \[-1, 4\]"),
        (_set_target(), r"cannot be freed: a Reshape makes \[\]"),
        (_set_operator("Gemm"), r"its operation Gemm with 2 inputs may depend on them; expected only Reshape"),
        (_add_size, r"its operation Resize with 4 inputs"),
        (_calculate_target, r"a Reshape calculates its shape features; expected a constant"),
        (_rename_input, r"has inputs \['image'\]; expected one named 'input'"),
    ],
)
def test_a_graph_whose_sides_cannot_be_freed_is_told(change: Callable[[onnx.GraphProto], None], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        free_sides(small(change), name="small")


def test_what_is_no_model_is_told() -> None:
    for content in (b"", b"no model at all", bytes(1000)):
        with pytest.raises(ModelError, match=r"not an ONNX model"):
            free_sides(content, name="nothing")
