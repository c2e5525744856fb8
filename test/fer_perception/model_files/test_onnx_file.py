from __future__ import annotations

import hashlib
import shutil

import numpy as np
import onnx
import pytest

from fer_perception.classification.create import create_classifier
from fer_perception.errors import ModelError
from fer_perception.model_files.onnx_file import read_model_file
from fer_perception.model_files.protobuf import WireError, fields


def with_external(path, location: str) -> None:
    """Let the weights of a tiny model lie in another file."""
    model = onnx.load(path)
    tensor = model.graph.initializer[0]
    data = tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", str(len(data)))):
        tensor.external_data.add(key=key, value=value)
    path.write_bytes(model.SerializeToString())
    target = path.parent / location
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(data)


def test_external_data_beside_the_model_works(make_model, images):
    whole, path = make_model("whole.onnx"), make_model("split.onnx")
    with_external(path, "split.data")
    file = read_model_file(path)
    assert [p.name for p in file.external] == ["split.data"]
    expected = create_classifier(whole, backend="onnxruntime", threads=1).classify(images[:3])
    actual = create_classifier(path, backend="onnxruntime", threads=1).classify(images[:3])
    np.testing.assert_allclose(actual, expected, atol=1e-6)


def test_the_hash_covers_external_data(make_model):
    path = make_model()
    with_external(path, "tiny.data")
    before = read_model_file(path).sha256
    (path.parent / "tiny.data").write_bytes(bytes(112))
    assert read_model_file(path).sha256 != before
    assert before != hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("location", ["../stolen.data", "sub/../../stolen.data", "{tmp}/stolen.data"])
def test_external_data_elsewhere_is_refused_before_loading(make_model, tmp_path, location):
    (tmp_path / "model").mkdir()
    path = tmp_path / "model" / "tiny.onnx"
    shutil.copy(make_model(), path)
    location = location.format(tmp=tmp_path)
    (path.parent / "sub").mkdir()
    with_external(path, location)
    with pytest.raises(ModelError, match=r"outside of its own directory") as caught:
        create_classifier(path, backend="onnxruntime", threads=1)
    assert location in str(caught.value)
    assert "tiny.onnx" in str(caught.value)


def test_a_name_no_file_can_have_is_refused(make_model):
    path = make_model()
    with_external(path, "tiny.data")
    path.write_bytes(path.read_bytes().replace(b"tiny.data", b"tiny\0data"))
    with pytest.raises(ModelError, match=r"tensor data from 'tiny.x00data'"):
        read_model_file(path)


def test_a_link_out_of_the_directory_is_refused(make_model, tmp_path):
    (tmp_path / "model").mkdir()
    path = tmp_path / "model" / "tiny.onnx"
    shutil.copy(make_model(), path)
    with_external(path, "tiny.data")
    (path.parent / "tiny.data").rename(tmp_path / "elsewhere.data")
    (path.parent / "tiny.data").symlink_to(tmp_path / "elsewhere.data")
    with pytest.raises(ModelError, match=r"outside of its own directory"):
        read_model_file(path)


def test_external_data_inside_a_branch_of_the_graph_is_found(make_model):
    path = make_model()
    model = onnx.load(path)
    constant = onnx.TensorProto(name="c", data_type=onnx.TensorProto.FLOAT, dims=[1])
    constant.data_location = onnx.TensorProto.EXTERNAL
    constant.external_data.add(key="location", value="../../etc/passwd")
    inner = onnx.helper.make_graph([onnx.helper.make_node("Constant", [], ["out"], value=constant)], "then", [], [])
    model.graph.node.append(onnx.helper.make_node("If", ["probabilities"], ["y"], then_branch=inner, else_branch=inner))
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=r"\.\./\.\./etc/passwd"):
        read_model_file(path)


def test_missing_external_data_is_named(make_model):
    path = make_model()
    with_external(path, "tiny.data")
    (path.parent / "tiny.data").unlink()
    with pytest.raises(ModelError, match=r"tiny.data does not exist"):
        read_model_file(path)


@pytest.mark.parametrize("keep", [0, 1, 10, 0.3, 0.9, -1])
def test_a_model_cut_short_is_refused(make_model, keep):
    path = make_model("cut.onnx")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep) if isinstance(keep, float) else keep])
    with pytest.raises(ModelError, match=r"cut.onnx"):
        create_classifier(path, backend="auto", threads=1)


@pytest.mark.parametrize(
    "content",
    [b"\x89PNG\r\n\x1a\n" + bytes(100), b"<!DOCTYPE html><html></html>", b"version https://git-lfs", b"\xff" * 50],
)
def test_another_kind_of_file_is_refused(tmp_path, content):
    path = tmp_path / "other.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"other.onnx .*is not an ONNX model"):
        create_classifier(path, backend="onnxruntime", threads=1)


def test_an_engine_is_not_the_model(tmp_path):
    path = tmp_path / "arch1.engine"
    path.write_bytes(b"ftrt" + bytes(range(256)))
    with pytest.raises(ModelError, match=r"arch1.engine is not an ONNX model; .*give the .onnx file"):
        create_classifier(path, backend="tensorrt", threads=1)


def test_an_onnx_without_our_metadata_names_the_fix(make_model):
    path = make_model("bare.onnx", props={})
    with pytest.raises(ModelError, match=r"bare.onnx has no metadata key 'fer.labels'.*fer-train export"):
        create_classifier(path, backend="auto", threads=1)


def test_missing_files_and_directories(tmp_path):
    with pytest.raises(ModelError, match=r"nothing.onnx does not exist"):
        read_model_file(tmp_path / "nothing.onnx")
    with pytest.raises(ModelError, match=r"is not a file"):
        read_model_file(tmp_path)


def test_wire_format_errors():
    assert list(fields(memoryview(b"\x08\x96\x01"))) == [(1, 150)]
    for wrong in (b"\x08", b"\x0a\x05ab", b"\x0b", b"\x00\x01", b"\x08" + b"\x80" * 11, b"\x0d\x00\x00"):
        with pytest.raises(WireError):
            list(fields(memoryview(wrong)))


def test_endless_nesting_is_an_error_and_no_crash(tmp_path):
    def message(number: int, content: bytes) -> bytes:
        length, size = len(content), b""
        while length > 0x7F:
            size, length = size + bytes([length & 0x7F | 0x80]), length >> 7
        return bytes([number << 3 | 2]) + size + bytes([length]) + content

    content = b""
    for _ in range(500):
        content = message(1, message(5, message(6, content)))
    path = tmp_path / "deep.onnx"
    path.write_bytes(message(7, content))
    with pytest.raises(ModelError, match=r"nested"):
        read_model_file(path)


def with_branch(path, operator: str, *, in_function: bool = False) -> None:
    """Adds an operator that holds a graph to a tiny model."""
    model = onnx.load(path)
    helper = onnx.helper
    inner = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "inner", [], [])
    key = {"If": "then_branch", "Loop": "body", "Scan": "body", "Other": "whatever"}[operator]
    node = helper.make_node(operator, ["images"], ["unused"], **{key: inner})
    if in_function:
        model.functions.append(
            helper.make_function("mine", "F", ["images"], ["unused"], [node], [helper.make_opsetid("", 17)])
        )
    else:
        model.graph.node.append(node)
    path.write_bytes(model.SerializeToString())


@pytest.mark.parametrize("in_function", [False, True])
@pytest.mark.parametrize("operator", ["If", "Loop", "Scan", "Other"])
def test_loops_and_branches_are_refused_before_loading(make_model, operator, in_function):
    path = make_model()
    with_branch(path, operator, in_function=in_function)
    with pytest.raises(ModelError, match=rf"holds '{operator}', which may run without end") as caught:
        read_model_file(path)
    assert str(path) in str(caught.value)


def test_a_first_answer_that_does_not_come(make_model, monkeypatch):
    monkeypatch.setattr("fer_perception.inference.onnxruntime_network.FIRST_RUN_DEADLINE", 0.0)
    path = make_model()
    model = onnx.load(path)
    # A power of a large matrix: minutes for one image.
    side = 1500
    made = [onnx.helper.make_node("RandomNormal", [], ["m0"], shape=[side, side], dtype=1, scale=1e-3)]
    made += [onnx.helper.make_node("MatMul", [f"m{i}", "m0"], [f"m{i + 1}"]) for i in range(500)]
    made += [
        onnx.helper.make_node("ReduceMean", ["m500"], ["mean"], keepdims=0),
        onnx.helper.make_node("Add", ["logits", "mean"], ["moved"]),
    ]
    nodes = list(model.graph.node)
    nodes[-1].input[0] = "moved"
    del model.graph.node[:]
    model.graph.node.extend([*nodes[:-1], *made, nodes[-1]])
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="had not answered within 0 s"):
        create_classifier(path, backend="onnxruntime", threads=1)
