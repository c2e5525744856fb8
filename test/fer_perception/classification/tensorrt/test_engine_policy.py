"""Which engine is taken, with engines whose content is the ONNX file itself: everything but the GPU is real."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from fer_perception.classification.batches import MAX_BATCH, comparison_batch
from fer_perception.classification.onnxruntime_classifier import OnnxRuntimeClassifier
from fer_perception.classification.tensorrt.engine_policy import Built, obtain_engine
from fer_perception.errors import BackendError, EngineCacheError
from fer_perception.inference.tensorrt.engine_cache import EngineCache
from fer_perception.inference.tensorrt.engine_key import EngineKey
from fer_perception.model_files.onnx_file import ModelFile, read_model_file

KEY = EngineKey("Orin", "8.7", "10.3.0", "12.6", "tiny", "aa", "aa", "fp16", "weak")
OTHER = EngineKey("Orin", "8.7", "10.3.0", "12.6", "tiny", "aa", "aa", "fp16", "weak", builder="torch2trt")


class Engine(OnnxRuntimeClassifier):
    """Runs "engines" that are ONNX files, off by `offset` in one probability."""

    precision = "FP16"
    offset = 0.0

    def classify(self, batch):
        answer = super().classify(batch)
        answer[-1, 0] += self.offset
        return answer


class Workshop:
    def __init__(self, model: ModelFile, cache: EngineCache) -> None:
        self.model, self.cache = model, cache
        self.builds = 0
        self.offset = 0.0

    def load(self, data: bytes, path: str) -> Engine:
        if data != self.model.data:
            msg = f"{path} is not an engine"
            raise BackendError(msg)
        engine = Engine(self.model, threads=1)
        engine.offset = self.offset
        return engine

    def build(self) -> Built:
        self.builds += 1
        return Built(self.model.data, 12.0)

    def obtain(self, **options):
        return obtain_engine(self.cache, [KEY, OTHER], model=self.model, load=self.load, build=self.build, **options)


@pytest.fixture
def workshop(make_model, tmp_path):
    return Workshop(read_model_file(make_model()), EngineCache(tmp_path / "engines"))


def test_built_once_then_taken_from_the_cache(workshop):
    engine, origin = workshop.obtain()
    assert "an engine built in 12 s" in origin
    assert workshop.cache.find(KEY).engine.precision == "FP16"
    assert workshop.cache.find(KEY).engine.max_difference == 0
    _, origin = workshop.obtain()
    assert "the engine in the cache" in origin
    assert workshop.builds == 1
    assert engine.classify(np.zeros((3, 1, 48, 48), np.float32)).shape == (3, 7)


def test_force_builds_again(workshop):
    workshop.obtain()
    workshop.obtain(force=True)
    assert workshop.builds == 2


def test_an_engine_of_the_other_builder_serves(workshop):
    workshop.cache.store(OTHER, workshop.model.data, precision="FP16", build_seconds=1, max_difference=0)
    _, origin = workshop.obtain()
    assert "torch2trt" in origin
    assert workshop.builds == 0


def test_a_truncated_engine_is_built_again(workshop):
    workshop.obtain()
    path = workshop.cache.engine_path(KEY)
    path.write_bytes(path.read_bytes()[:-100])
    workshop.obtain()
    assert workshop.builds == 2
    assert path.read_bytes() == workshop.model.data


def test_an_engine_that_does_not_load_is_built_again(workshop):
    workshop.cache.store(KEY, b"no engine at all", precision="FP16", build_seconds=1, max_difference=0)
    workshop.obtain()
    assert workshop.builds == 1
    stored = workshop.cache.find(KEY).engine.data
    assert hashlib.sha256(stored).hexdigest() == workshop.model.sha256


@pytest.mark.parametrize(("offset", "accepted"), [(0.0099, True), (0.0101, False), (float("nan"), False)])
def test_more_than_a_hundredth_off_is_refused(workshop, offset, accepted):
    workshop.offset = offset
    if accepted:
        workshop.obtain()
        assert workshop.cache.find(KEY).engine.max_difference == pytest.approx(offset, abs=1e-6)
        return
    with pytest.raises(BackendError, match=r"refused") as caught:
        workshop.obtain()
    assert str(workshop.model.path) in str(caught.value)
    assert not workshop.cache.engine_path(KEY).exists()
    with pytest.raises(BackendError, match=r"fer compile --force"):
        workshop.obtain()
    assert workshop.builds == 1
    workshop.offset = 0.0
    workshop.obtain(force=True)
    assert workshop.cache.find(KEY).engine is not None


def test_an_unwritable_cache_is_said_before_the_build(workshop, tmp_path):
    (tmp_path / "file").write_text("in the way")
    workshop.cache = EngineCache(tmp_path / "file" / "engines")
    with pytest.raises(EngineCacheError, match=r"cannot be written"):
        workshop.obtain()
    assert workshop.builds == 0


def test_a_disk_that_fills_during_the_build_costs_no_engine(workshop, tmp_path):
    def build() -> Built:
        workshop.cache.directory.rmdir()
        workshop.cache.directory.write_text("in the way")
        return Built(workshop.model.data, 1.0)

    workshop.build = build
    engine, _ = workshop.obtain()
    assert engine.classify(np.zeros((1, 1, 48, 48), np.float32)).shape == (1, 7)


def test_the_comparison_covers_the_extremes():
    batch = comparison_batch((1, 48, 48))
    assert batch.shape == (MAX_BATCH + 6, 1, 48, 48)
    assert batch.dtype == np.float32
    assert (batch.min(), batch.max()) == (0, 255)
    deviation = batch.std(axis=(1, 2, 3))
    assert deviation.min() == 0
    assert deviation.max() == pytest.approx(127.5)
    np.testing.assert_array_equal(batch, comparison_batch((1, 48, 48)))
    assert comparison_batch((3, 64, 64)).shape == (MAX_BATCH + 6, 3, 64, 64)
