"""The thin parts that call TensorRT and pycuda, against a stand-in with the documented names of each version."""

from __future__ import annotations

import importlib.util
import json
import sys
import threading
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import tensorrt_stand_in as stand_in

from fer_perception.classification.create import create_classifier
from fer_perception.classification.tensorrt.classifier import OtherBuilder, TensorRTClassifier, open_tensorrt_classifier
from fer_perception.errors import BackendError, EngineCacheError, ModelError, NotInstalledError
from fer_perception.model_files.onnx_file import read_model_file

VERSIONS = ["8.6.1", "10.3.0", "10.11.0.33", "10.13.0.35", "11.4.0.106"]


@pytest.fixture
def install(monkeypatch):
    """Put the stand-ins where `import tensorrt` and `import pycuda.driver` find them."""

    def put(version: str):
        counts = stand_in.Counts()
        package, driver = ModuleType("pycuda"), stand_in.make_pycuda(counts)
        package.driver = driver
        monkeypatch.setitem(sys.modules, "pycuda", package)
        monkeypatch.setitem(sys.modules, "pycuda.driver", driver)
        monkeypatch.setitem(sys.modules, "tensorrt", stand_in.make_tensorrt(version, counts))
        return counts

    return put


def facts_of(directory: Path) -> dict:
    (engine,) = directory.glob("*.engine")
    data = engine.read_bytes()[len(stand_in.HEADER) :]
    size = int.from_bytes(data[:4], "little")
    return json.loads(data[4 : 4 + size])


def open_it(path: Path, directory: Path, **options):
    return open_tensorrt_classifier(
        read_model_file(path), cache_directory=directory, progress=None, reason="test", **options
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_compile_run_and_release(install, make_model, tmp_path, images, version):
    counts = install(version)
    path = make_model()
    expected = create_classifier(path, backend="onnxruntime", threads=1).classify(images[:70])
    lines: list[str] = []
    classifier = open_tensorrt_classifier(
        read_model_file(path), cache_directory=tmp_path / "engines", progress=lines.append, reason="test"
    )
    np.testing.assert_allclose(classifier.classify(images[:70]), expected, atol=1e-6)
    np.testing.assert_allclose(classifier.classify(images[:3]), expected[:3], atol=1e-6)
    assert classifier.classify(images[:0]).shape == (0, 7)
    assert counts.pushed == 0
    assert counts.memory == 2
    weak = version in VERSIONS[:3]
    assert classifier.backend == ("tensorrt/FP16" if weak else "tensorrt/FP32")
    assert classifier.reason.startswith("test: an engine built in")
    assert classifier.reason.endswith(f"calculates in {'FP16' if weak else 'FP32'} (1 of 1 layers)")
    classifier.close()
    classifier.close()
    assert (counts.pushed, counts.memory) == (0, 0)
    with pytest.raises(BackendError, match=r"closed"):
        classifier.classify(images[:1])
    assert lines[0].startswith(f"building a TensorRT {version} engine of tiny.onnx for Stand-in")
    facts = facts_of(tmp_path / "engines")
    assert facts["profile"] == [[1, 1, 48, 48], [8, 1, 48, 48], [64, 1, 48, 48]]
    assert facts["flags"] == (["FP16", "OBEY"] if weak else [])
    assert facts["network_flags"] == {"8.6.1": 1, "10.13.0.35": 2}.get(version, 0)
    assert facts["pinned"] == ([True, False, True] if weak else [False] * 3)
    assert facts["monitor"] is (version != "8.6.1")
    assert list((tmp_path / "engines").glob("timing-*.cache"))


def test_strong_typing_parses_the_fp16_file(install, make_model, tmp_path):
    install("11.4.0.106")
    path, half = make_model(), make_model("tiny_fp16.onnx")
    open_it(path, tmp_path / "engines").close()
    (manifest,) = (tmp_path / "engines").glob("*.json")
    key = json.loads(manifest.read_text())["key"]
    assert key["graph_sha256"] == read_model_file(half).sha256
    assert (key["precision"], key["typing"]) == ("fp16", "strong")


@pytest.mark.parametrize("fault", ["temperature", "made of another file", "damaged"])
def test_an_fp16_file_that_does_not_belong_to_the_model_is_left_alone(install, make_model, tmp_path, caplog, fault):
    install("11.4.0.106")
    path = make_model()
    changed = {"fer.temperature": "2.5"} if fault == "temperature" else {"fer.fp32_sha256": "0" * 64}
    half = make_model("tiny_fp16.onnx", props=read_model_file(path).props | changed)
    if fault == "damaged":
        half.write_bytes(half.read_bytes()[:100])
    classifier = open_it(path, tmp_path / "engines")
    assert "tiny_fp16.onnx" in caplog.text
    assert "calculates in FP32" in caplog.text
    (manifest,) = (tmp_path / "engines").glob("*.json")
    assert json.loads(manifest.read_text())["key"]["graph_sha256"] == read_model_file(path).sha256
    classifier.close()


def test_a_damaged_timing_cache_costs_time_only(install, make_model, tmp_path, monkeypatch):
    install("10.3.0")
    open_it(make_model(), tmp_path / "engines").close()
    (timings,) = (tmp_path / "engines").glob("timing-*.cache")
    timings.write_bytes(stand_in.DAMAGED)
    open_it(make_model(), tmp_path / "engines", force=True).close()
    assert timings.read_bytes() != stand_in.DAMAGED


def refuse_to_start(*_):
    msg = "pybind11::init(): factory function returned nullptr"
    raise TypeError(msg)


@pytest.mark.parametrize("what", ["Builder", "Runtime"])
def test_a_cuda_that_does_not_start_leaves_the_processor(install, make_model, tmp_path, monkeypatch, what):
    counts = install("10.3.0")
    monkeypatch.setattr(getattr(sys.modules["tensorrt"], what), "__init__", refuse_to_start)
    with pytest.raises(BackendError, match=r"factory function returned nullptr"):
        open_it(make_model(), tmp_path / "engines")
    classifier = create_classifier(make_model(), backend="auto", threads=1, cache_directory=tmp_path / "engines")
    assert (classifier.backend, classifier.fallback) == ("onnxruntime/CPUExecutionProvider", True)
    assert "nullptr" in classifier.reason
    assert (counts.pushed, counts.memory) == (0, 0)
    classifier.close()


def test_a_model_the_parser_refuses_runs_on_the_processor(install, make_model, tmp_path, monkeypatch):
    install("10.3.0")
    monkeypatch.setattr(sys.modules["tensorrt"].OnnxParser, "parse", lambda *_: False)
    classifier = create_classifier(make_model(), backend="auto", threads=1, cache_directory=tmp_path / "engines")
    assert (classifier.backend, classifier.fallback) == ("onnxruntime/CPUExecutionProvider", True)
    assert "does not take" in classifier.reason
    classifier.close()


def test_the_refused_engine_of_another_builder_does_not_stand_in_the_way(install, make_model, tmp_path):
    install("10.3.0")
    random = np.random.default_rng(3).normal(0, 1, (4, 7)).astype(np.float32)
    other_path = make_model("other.onnx", weights=random)
    open_it(other_path, tmp_path / "first").close()
    (engine,) = (tmp_path / "first").glob("*.engine")
    path = make_model()
    with pytest.raises(BackendError, match=r"refused"):
        open_it(path, tmp_path / "engines", other_builder=OtherBuilder("torch2trt", engine.read_bytes))
    classifier = open_it(path, tmp_path / "engines")
    assert "an engine built" in classifier.reason
    classifier.close()


def test_only_this_user_can_read_an_engine(install, make_model, tmp_path):
    install("10.3.0")
    open_it(make_model(), tmp_path / "engines").close()
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "engines").iterdir()} == {0o600}


def test_answers_that_are_not_finite_are_a_failure_of_the_backend(install, make_model, tmp_path, images, monkeypatch):
    install("10.3.0")
    path = make_model()
    expected = create_classifier(path, backend="onnxruntime", threads=1).classify(images[:3])
    classifier = create_classifier(path, backend="auto", threads=1, cache_directory=tmp_path / "engines")
    run = TensorRTClassifier._run
    monkeypatch.setattr(TensorRTClassifier, "_run", lambda self, batch: run(self, batch) * np.float32(np.nan))
    np.testing.assert_allclose(classifier.classify(images[:3]), expected, atol=1e-6)
    assert classifier.fallback is True
    assert "not finite" in classifier.reason
    classifier.close()


def test_the_second_start_takes_the_cache_and_a_new_version_does_not(install, make_model, tmp_path):
    install("10.3.0")
    path = make_model()
    open_it(path, tmp_path / "engines").close()
    again = open_it(path, tmp_path / "engines")
    assert "the engine in the cache" in again.reason
    again.close()
    install("10.4.0")
    other = open_it(path, tmp_path / "engines")
    assert "an engine built" in other.reason
    other.close()


def test_an_engine_of_another_builder_is_kept_under_its_own_key_and_serves(install, make_model, tmp_path):
    install("10.3.0")
    path = make_model()
    open_it(path, tmp_path / "first").close()
    (engine,) = (tmp_path / "first").glob("*.engine")
    other = OtherBuilder("torch2trt", engine.read_bytes)
    open_it(path, tmp_path / "engines", other_builder=other).close()
    (manifest,) = (tmp_path / "engines").glob("*.json")
    assert json.loads(manifest.read_text())["key"]["builder"] == "torch2trt"
    classifier = open_it(path, tmp_path / "engines")
    assert "torch2trt" in classifier.reason
    classifier.close()


def test_a_file_that_is_no_engine_is_replaced(install, make_model, tmp_path, caplog):
    counts = install("10.3.0")
    path = make_model()
    open_it(path, tmp_path / "engines").close()
    (manifest,) = (tmp_path / "engines").glob("*.json")
    import hashlib

    text = json.loads(manifest.read_text())
    manifest.with_suffix(".engine").write_bytes(b"not an engine")
    manifest.write_text(json.dumps(text | {"bytes": 13, "sha256": hashlib.sha256(b"not an engine").hexdigest()}))
    classifier = open_it(path, tmp_path / "engines")
    assert "an engine built" in classifier.reason
    assert "magicTag" in caplog.text
    assert manifest.with_suffix(".engine").name in caplog.text
    classifier.close()
    assert (counts.pushed, counts.memory) == (0, 0)


def test_a_graph_the_parser_refuses(install, make_model, tmp_path):
    install("10.3.0")
    with pytest.raises(ModelError, match=r"does not take .*tiny.onnx: there is no softmax"):
        open_it(make_model(softmax=False), tmp_path / "engines")


def test_another_thread_is_refused(install, make_model, tmp_path, images):
    install("10.3.0")
    classifier = open_it(make_model(), tmp_path / "engines")
    errors: list[BackendError] = []

    def use() -> None:
        try:
            classifier.classify(images[:1])
        except BackendError as err:
            errors.append(err)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert "belongs to the thread" in str(errors[0])
    classifier.close()


@pytest.mark.parametrize("backend", ["auto", "tensorrt"])
def test_a_lost_gpu_loses_no_face(install, make_model, tmp_path, images, backend):
    counts = install("10.3.0")
    classifier = create_classifier(make_model(), backend=backend, threads=1, cache_directory=tmp_path / "engines")
    assert classifier.backend == "tensorrt/FP16"
    expected = classifier.classify(images[:100])
    counts.fail_next_copy = True
    np.testing.assert_allclose(classifier.classify(images[:100]), expected, atol=1e-6)
    assert classifier.fallback is True
    assert classifier.backend == "onnxruntime/CPUExecutionProvider"
    assert "illegal memory access" in classifier.reason
    assert (counts.pushed, counts.memory) == (0, 0)
    classifier.close()


@pytest.mark.parametrize("backend", ["auto", "tensorrt"])
def test_an_unwritable_cache_leaves_onnx_runtime_and_a_warning(install, make_model, tmp_path, backend, caplog):
    install("10.3.0")
    (tmp_path / "file").write_text("in the way")
    classifier = create_classifier(
        make_model(), backend=backend, threads=1, cache_directory=tmp_path / "file" / "engines"
    )
    assert classifier.fallback is True
    assert classifier.backend == "onnxruntime/CPUExecutionProvider"
    assert "cannot be written" in classifier.reason
    assert "cannot be written" in caplog.text
    assert classifier.classify(np.zeros((2, 1, 48, 48), np.float32)).shape == (2, 7)
    with pytest.raises(EngineCacheError):
        open_it(make_model(), tmp_path / "file" / "engines")


@pytest.mark.skipif(importlib.util.find_spec("tensorrt") is not None, reason="TensorRT is installed here")
def test_without_tensorrt_the_fix_is_named(make_model):
    with pytest.raises(NotInstalledError, match=r"tensorrt cannot be imported .*docs/jetson.md"):
        create_classifier(make_model(), backend="tensorrt", threads=1)


def test_an_old_tensorrt_is_refused(install, make_model):
    install("8.5.2")
    with pytest.raises(NotInstalledError, match=r"TensorRT 8.5.2 is too old"):
        create_classifier(make_model(), backend="tensorrt", threads=1)
