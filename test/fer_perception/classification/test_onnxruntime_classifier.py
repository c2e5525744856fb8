from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from fer_perception.classification.batches import MAX_BATCH
from fer_perception.classification.create import create_classifier
from fer_perception.classification.onnxruntime_classifier import provider_options
from fer_perception.errors import BackendError, ModelError
from fer_perception.inference.onnxruntime_network import PROVIDERS, session_options
from fer_perception.labels import LABELS
from fer_perception.model_files.onnx_file import read_metadata


@pytest.fixture
def classifier(make_model):
    made = create_classifier(make_model(), backend="onnxruntime", threads=1)
    yield made
    made.close()


@pytest.mark.parametrize("count", [1, 2, MAX_BATCH, MAX_BATCH + 1, 2 * MAX_BATCH + 7])
def test_any_batch_size_gives_the_same_rows(classifier, images, count):
    together = classifier.classify(images[:count])
    alone = np.concatenate([classifier.classify(images[i : i + 1]) for i in range(count)])
    assert together.shape == (count, len(LABELS))
    assert together.dtype == np.float32
    np.testing.assert_allclose(together, alone, atol=1e-6)
    np.testing.assert_allclose(together.sum(axis=1), 1, atol=1e-5)
    assert count == 1 or np.abs(together[0] - together[1]).max() > 1e-4


def test_an_empty_batch_gives_an_empty_answer(classifier):
    answer = classifier.classify(np.empty((0, 1, 48, 48), np.float32))
    assert answer.shape == (0, len(LABELS))
    assert answer.dtype == np.float32


def test_strided_batches_are_taken(classifier, images):
    np.testing.assert_allclose(classifier.classify(images[::2]), classifier.classify(images[::2].copy()), atol=1e-6)


@pytest.mark.parametrize(
    "batch",
    [
        np.zeros((1, 1, 48, 48), np.float64),
        np.zeros((1, 48, 48), np.float32),
        np.zeros((1, 3, 48, 48), np.float32),
        np.zeros((2, 1, 48, 47), np.float32),
        np.zeros((2, 1, 48, 48), np.uint8),
    ],
)
def test_a_wrong_batch_is_refused_with_both_shapes(classifier, batch):
    with pytest.raises(BackendError, match=r"expected float32 \(N, 1, 48, 48\)") as caught:
        classifier.classify(batch)
    assert str(batch.shape) in str(caught.value)


def test_metadata_and_hash(make_model):
    path = make_model()
    metadata = read_metadata(path)
    assert metadata.labels == LABELS
    assert metadata.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    classifier = create_classifier(path, backend="onnxruntime", threads=1)
    assert classifier.metadata == metadata
    assert classifier.metadata.model_id == f"tiny@{metadata.sha256[:8]}"
    assert classifier.backend == "onnxruntime/CPUExecutionProvider"
    assert classifier.fallback is False


def test_a_closed_classifier_says_so(make_model, images):
    classifier = create_classifier(make_model(), backend="onnxruntime", threads=1)
    classifier.close()
    classifier.close()
    with pytest.raises(BackendError, match=r"closed"):
        classifier.classify(images[:1])


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"classes": 8}, "8 outputs but 7 labels"),
        ({"size": 64}, r"metadata says \[1, 48, 48\]"),
        ({"batch": 1}, "fixed batch size 1"),
        ({"softmax": False}, "does not answer with probabilities"),
        ({"input_name": "x"}, "inputs x"),
        ({"output_name": "y"}, "outputs y"),
        ({"dtype": 2}, r"images uint8"),
        ({"props": {}}, "no metadata key"),
        ({"props": {"fer.labels": "["}}, "does not parse"),
        ({"changed_props": {"fer.input_shape": "[1, Infinity, 48]"}}, "does not parse"),
        ({"changed_props": {"fer.metrics": "[" * 100_000}}, "does not parse"),
        ({"changed_props": {"fer.labels": json.dumps(["happy", *["sad"] * 6])}}, "expected each once"),
        ({"changed_props": {"fer.labels": json.dumps([*LABELS[:6], ""])}}, "none empty"),
        ({"changed_props": {"fer.landmark_template": json.dumps([[5, 5]] * 5)}}, "pixels apart"),
        ({"changed_props": {"fer.landmark_template": "[[NaN, 1], [9, 9], [3, 4], [5, 6], [7, 8]]"}}, "pixels apart"),
    ],
)
def test_a_model_that_does_not_fit_is_refused_by_name(make_model, changes, complaint):
    path = make_model("odd.onnx", **changes)
    with pytest.raises(ModelError, match=complaint) as caught:
        create_classifier(path, backend="onnxruntime", threads=1)
    assert "odd.onnx" in str(caught.value)
    assert "export" in str(caught.value)


def test_an_operator_onnxruntime_does_not_know_is_a_model_error(make_model):
    import onnx

    path = make_model("future.onnx")
    model = onnx.load(path)
    model.graph.node[0].op_type = "Divination"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=r"future.onnx cannot be loaded by ONNX Runtime"):
        create_classifier(path, backend="onnxruntime", threads=1)


def test_a_provider_that_is_not_installed_is_named_with_the_fix(make_model):
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    with pytest.raises(BackendError, match=r"CUDAExecutionProvider") as caught:
        create_classifier(make_model(), backend="onnxruntime_cuda", threads=1)
    assert "onnxruntime-gpu" in str(caught.value)


def test_session_options():
    options = session_options(3)
    assert options.intra_op_num_threads == 3
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_the_tensorrt_provider_gets_the_profile_and_the_cache():
    options = provider_options("onnxruntime_tensorrt", (1, 48, 48), Path("/cache"))
    assert options["trt_profile_min_shapes"] == "images:1x1x48x48"
    assert options["trt_profile_max_shapes"] == "images:64x1x48x48"
    assert options["trt_engine_cache_path"] == "/cache"
    assert provider_options("onnxruntime", (1, 48, 48), Path("/cache")) == {}
    assert set(PROVIDERS) == {"onnxruntime", "onnxruntime_cuda", "onnxruntime_tensorrt"}


@pytest.mark.skipif(
    tuple(map(int, onnxruntime.__version__.split(".")[:2])) < (1, 23), reason="an ONNX Runtime that always falls back"
)
def test_a_damaged_graph_leaves_stdout_alone(make_model, capfd):
    path = make_model()
    data = path.read_bytes()
    # The name of an operator that is no text makes ONNX Runtime try again, and say so with print().
    path.write_bytes(data.replace(b"Softmax", b"S\xbfftmax"))
    with pytest.raises(ModelError, match="cannot be loaded by ONNX Runtime"):
        create_classifier(path, backend="onnxruntime", threads=1)
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("shape", [[-1, 48, 48], [1, 0, 48], [1, 2**31, 2**31], [1, 48, 10**12], [5, 48, 48]])
def test_an_input_shape_without_bounds_is_refused_where_it_is_read(make_model, shape):
    path = make_model(changed_props={"fer.input_shape": json.dumps(shape)})
    with pytest.raises(ModelError, match=r"expected \(C, H, W\) from \(1, 1, 1\) to \(4, 1024, 1024\)"):
        read_metadata(path)


@pytest.mark.parametrize("labels", [["x" * 5000, *"abcdef"], [f"c{i}" for i in range(5000)]])
def test_labels_without_bounds_are_refused(make_model, labels):
    with pytest.raises(ModelError, match="expected at most 1000 of 100"):
        read_metadata(make_model(changed_props={"fer.labels": json.dumps(labels)}))
