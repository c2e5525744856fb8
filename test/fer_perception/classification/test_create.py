from __future__ import annotations

import hashlib
import logging
import shutil

import numpy as np
import pytest

from fer_perception.classification.batches import MAX_BATCH
from fer_perception.classification.create import BACKENDS, _provider_cache, create_classifier
from fer_perception.classification.fallback import FallbackClassifier
from fer_perception.classification.onnxruntime_classifier import OnnxRuntimeClassifier
from fer_perception.errors import BackendError, ModelError
from fer_perception.model_files.onnx_file import read_model_file
from fer_perception.model_files.store import ModelStore
from fer_perception.settings.declaration import declaration_of
from fer_perception.settings.pipeline_settings import PipelineSettings
from fer_perception.system.paths import share_directory


def test_backends_are_those_of_the_settings():
    assert set(BACKENDS) == set(declaration_of(PipelineSettings, "backend").choices)


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_backend_answers_any_number_of_faces_or_says_what_it_lacks(make_model, images, backend):
    path = make_model()
    try:
        classifier = create_classifier(path, backend=backend, threads=1)
    except BackendError as err:
        assert backend in BACKENDS[1:], err
        return
    expected = create_classifier(path, backend="onnxruntime", threads=1)
    for count in (0, 1, 3, MAX_BATCH + 1):
        np.testing.assert_allclose(
            classifier.classify(images[:count]), expected.classify(images[:count]), atol=0.01, err_msg=backend
        )
    assert not classifier.fallback, classifier.reason


def test_an_unknown_backend_lists_the_known(make_model):
    with pytest.raises(BackendError, match=r"no backend 'openvino'; expected one of: auto, tensorrt"):
        create_classifier(make_model(), backend="openvino", threads=1)


def test_auto_says_what_it_took_and_why(make_model, images):
    classifier = create_classifier(make_model(), backend="auto", threads=1)
    assert classifier.classify(images[:5]).shape == (5, 7)
    assert classifier.backend.split("/")[0] in ("onnxruntime", "tensorrt")
    assert classifier.reason.startswith("auto took the best backend that works")
    if classifier.backend == "onnxruntime/CPUExecutionProvider":
        assert "tensorrt:" in classifier.reason
        assert "onnxruntime_cuda:" in classifier.reason


def test_an_unknown_name_lists_the_models_there_are():
    with pytest.raises(ModelError, match=r"no model 'nonesuch'; .* one of: .*arch1_fer2013.*; third-party: yunet"):
        create_classifier("nonesuch", backend="onnxruntime", threads=1)


def test_a_shipped_model_is_taken_by_name():
    classifier = create_classifier("arch1_fer2013", backend="onnxruntime", threads=1)
    shipped = share_directory() / "models" / "arch1_fer2013.onnx"
    assert classifier.metadata.sha256 == hashlib.sha256(shipped.read_bytes()).hexdigest()


@pytest.mark.parametrize("by", ["name", "path"])
def test_a_model_that_has_not_its_recorded_hash_is_refused(make_model, monkeypatch, by):
    """The store's check and the loading are one: what `find` refuses no classifier runs."""
    path = make_model("my_net.onnx")
    monkeypatch.setenv("FER_MODEL_DIR", str(path.parent))
    (path.parent / "SHA256SUMS").write_text(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  my_net.onnx\n")
    asked = "my_net" if by == "name" else path
    create_classifier(asked, backend="auto", threads=1).close()
    other = make_model("other.onnx", size=64)
    path.write_bytes(other.read_bytes())
    with pytest.raises(ModelError, match=r"my_net\.onnx has SHA-256 .*SHA256SUMS beside it says"):
        create_classifier(asked, backend="auto", threads=1)
    with pytest.raises(ModelError, match=r"my_net\.onnx has SHA-256 .*SHA256SUMS beside it says"):
        ModelStore().find(asked)


def test_a_damaged_model_does_not_hide_a_whole_one(tmp_path, monkeypatch, caplog):
    whole = share_directory() / "models" / "arch1_fer2013.onnx"
    (tmp_path / whole.name).write_bytes(whole.read_bytes()[:-1])
    (tmp_path / "SHA256SUMS").write_text(f"{hashlib.sha256(whole.read_bytes()).hexdigest()}  {whole.name}\n")
    monkeypatch.setenv("FER_MODEL_DIR", str(tmp_path))
    create_classifier("arch1_fer2013", backend="onnxruntime", threads=1).close()
    assert f"{whole} serves instead" in caplog.text


class TestFallback:
    """A backend that really fails at run time: a session whose native handle is released under it."""

    @pytest.fixture
    def failing(self, make_model):
        file = read_model_file(make_model())
        first = OnnxRuntimeClassifier(file, threads=1, reason="first")
        yield FallbackClassifier(first, file, threads=1), first, file
        first.close()

    def test_no_face_of_the_batch_is_lost(self, failing, images, caplog):
        classifier, first, file = failing
        expected = classifier.classify(images[:100])
        assert (classifier.fallback, classifier.reason) == (False, "first")
        first.close()
        shutil.rmtree(file.path.parent)  # the disk is gone as well
        with caplog.at_level(logging.WARNING):
            actual = classifier.classify(images[:100])
        np.testing.assert_allclose(actual, expected, atol=1e-6)
        assert classifier.fallback is True
        assert classifier.backend == "onnxruntime/CPUExecutionProvider"
        assert "failed at run time" in classifier.reason
        assert [r.levelname for r in caplog.records] == ["WARNING"]
        np.testing.assert_allclose(classifier.classify(images[:1]), expected[:1], atol=1e-6)
        assert len(caplog.records) == 1

    def test_a_wrong_batch_is_no_reason_to_fall_back(self, failing):
        classifier, _, _ = failing
        with pytest.raises(BackendError, match=r"expected float32"):
            classifier.classify(np.zeros((1, 1, 32, 32), np.float32))
        assert classifier.fallback is False
        assert classifier.reason == "first"

    def test_closing_twice(self, failing, images):
        classifier, _, _ = failing
        classifier.close()
        classifier.close()
        with pytest.raises(BackendError, match=r"was closed"):
            classifier.classify(images[:1])
        assert classifier.fallback is False


def test_the_tensorrt_provider_keeps_the_engines_of_each_model_apart(make_model, tmp_path, caplog):
    first, second = (
        read_model_file(make_model(name, **changes)) for name, changes in (("a.onnx", {}), ("b.onnx", {"size": 64}))
    )
    kept = [_provider_cache(file, tmp_path / "engines") for file in (first, second)]
    assert kept[0] != kept[1]
    assert all(directory.is_dir() and directory.parent == tmp_path / "engines" for directory in kept)
    (tmp_path / "file").write_text("in the way")
    assert _provider_cache(first, tmp_path / "file") is None
    assert "built at every start" in caplog.text


def test_a_model_directory_of_ones_own(make_model, tmp_path, monkeypatch):
    path = make_model("my_net.onnx")
    monkeypatch.setenv("FER_MODEL_DIR", str(path.parent))
    classifier = create_classifier("my_net", backend="onnxruntime", threads=1)
    assert classifier.metadata.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
