"""Running graphs that were not written here, and telling the versions of a model by what is inside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from fer_perception.errors import ModelError
from fer_training.onnx_file import get_metadata, onnx_sha256, repeats_figures, run_onnx, set_metadata, version_metadata


def graph(batch: int | str, *, side: int = 4, operator: str = "Softmax") -> onnx.ModelProto:
    """Images (batch, 1, side, side) to the softmax of the mean of each row: (batch, side)."""
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["means"], axes=[1, 3], keepdims=0),
        helper.make_node(operator, ["means"], ["probabilities"]),
    ]
    made = helper.make_graph(
        nodes,
        "rows",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, 1, side, side])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [batch, side])],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def made_images(count: int, side: int = 4) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 3, (count, 1, side, side)).astype(np.float32)


@pytest.mark.parametrize("size", [1, 4, 16])
def test_a_fixed_batch_is_filled(size: int) -> None:
    images = made_images(10)
    expected = run_onnx(graph("N").SerializeToString(), images)
    assert expected.shape == (10, 4)
    assert run_onnx(graph(size).SerializeToString(), images) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("shape", [(2, 1, 4, 5), (2, 3, 4, 4), (2, 4, 4)])
def test_images_of_another_shape_than_the_graph_takes(shape: Sequence[int]) -> None:
    with pytest.raises(ModelError, match=r"^m\.onnx takes images of shape \[1, 4, 4\], but was given \["):
        run_onnx(graph("N").SerializeToString(), np.zeros(shape, np.float32), name="m.onnx")


def test_a_graph_that_does_not_load_or_run() -> None:
    other = graph("N", operator="NoSuchOperator").SerializeToString()
    with pytest.raises(ModelError, match=r"ONNX Runtime cannot run m\.onnx \(.*NoSuchOperator.*\); export it again"):
        run_onnx(other, made_images(2), name="m.onnx")
    # A reshape to what only two images have.
    broken = graph("N")
    broken.graph.node[1].CopyFrom(helper.make_node("Reshape", ["means", "shape"], ["probabilities"]))
    broken.graph.initializer.append(numpy_helper.from_array(np.array([2, 4], np.int64), "shape"))
    assert run_onnx(broken.SerializeToString(), made_images(2)).shape == (2, 4)
    with pytest.raises(ModelError, match="ONNX Runtime cannot run the graph"):
        run_onnx(broken.SerializeToString(), made_images(3))


def test_one_answer_for_all_images_is_refused() -> None:
    flat = graph("N")
    flat.graph.node[0].attribute[0].ints[:] = [0, 1, 3]
    with pytest.raises(ModelError, match=r"answers 3 images in shape \(4,\), expected \(N, K\)"):
        run_onnx(flat.SerializeToString(), made_images(3))


def test_metadata_is_written_in_a_fixed_order() -> None:
    model = graph("N")
    set_metadata(model, {"b": "2", "a": "1"})
    assert [entry.key for entry in model.metadata_props] == ["a", "b"]
    assert get_metadata(model) == {"a": "1", "b": "2"}
    version = version_metadata(model, b"file", precision="int8")
    assert version == {"a": "1", "b": "2", "fer.precision": "int8", "fer.fp32_sha256": onnx_sha256(b"file")}


def test_a_version_is_known_by_what_is_inside_not_by_its_name(repository: Path) -> None:
    shipped = {path.name: repeats_figures(onnx.load(path)) for path in (repository / "models").glob("*.onnx")}
    assert shipped == {name: name.endswith(("_fp16.onnx", "_int8.onnx")) for name in shipped}
    int8 = onnx.load(repository / "models" / "arch1_fer2013_int8.onnx")
    # One without the names in its metadata, as they were written before.
    del int8.metadata_props[:]
    assert repeats_figures(int8)


def test_the_shipped_versions_are_of_the_shipped_model(repository: Path) -> None:
    models = repository / "models"
    single = onnx_sha256((models / "arch1_fer2013.onnx").read_bytes())
    for version, precision in (("fp16", "float16"), ("int8", "int8")):
        props = get_metadata(onnx.load(models / f"arch1_fer2013_{version}.onnx"))
        assert props.pop("fer.precision") == precision
        assert props.pop("fer.fp32_sha256") == single
        assert props == get_metadata(onnx.load(models / "arch1_fer2013.onnx"))
