"""`fer-train prepare` on real photographs: the right face, upright, where the training images have it."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
from matplotlib import cbook
from numpy.typing import NDArray
from skimage import data
from typer.testing import CliRunner

from fer_perception.detection.base import Detector
from fer_perception.detection.create import create_detector
from fer_perception.errors import FerError
from fer_perception.imaging.crops import LANDMARK_TEMPLATE
from fer_perception.labels import LABELS
from fer_perception.model_files.store import ModelStore
from fer_training.cli import prepare as cli_prepare
from fer_training.data.kinds import load_index
from fer_training.data.load import load_dataset
from fer_training.data.prepare import class_order, face_crop, prepare
from fer_training.data.samples import DatasetError

try:
    ModelStore().find("yunet")
    NO_YUNET = ""
except FerError as err:
    NO_YUNET = str(err)
needs_yunet = pytest.mark.skipif(bool(NO_YUNET), reason=NO_YUNET)


def likeness(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Correlation of the pixels."""
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


def make_detector(name: str) -> Detector:
    return create_detector(name, threshold=0.6, detection_size=640, min_face_size=16, max_faces=8, threads=1)


@pytest.fixture(scope="module")
def astronaut() -> NDArray[np.uint8]:
    """(512, 512, 3) BGR, a smiling woman."""
    return cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2BGR)


@pytest.fixture(scope="module")
def hopper() -> NDArray[np.uint8]:
    """BGR, an officer looking into the camera."""
    path = Path(str(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)))
    return cv2.imread(str(path))


@pytest.fixture
def raw(tmp_path: Path, astronaut: NDArray[np.uint8], hopper: NDArray[np.uint8]) -> Path:
    """Class folders with two faces, a wall and a damaged file."""
    root = tmp_path / "raw"
    for folder in ("happy", "neutral"):
        (root / folder).mkdir(parents=True)
    cv2.imwrite(str(root / "happy" / "astronaut.png"), astronaut)
    cv2.imwrite(str(root / "neutral" / "hopper.png"), hopper)
    cv2.imwrite(str(root / "neutral" / "wall.png"), np.full((300, 300, 3), 180, np.uint8))
    (root / "neutral" / "cut.png").write_bytes((root / "neutral" / "hopper.png").read_bytes()[:200])
    return root


def test_faces_are_cut_out_and_the_rest_listed(raw: Path) -> None:
    calls: list[tuple[int, int]] = []
    samples = prepare(load_index(raw), make_detector("auto"), progress=lambda *call: calls.append(call))
    assert samples.images.shape == (2, 48, 48)
    assert samples.images.dtype == np.uint8
    assert [samples.label_names[label] for label in samples.labels] == ["happy", "neutral"]
    assert samples.label_names == LABELS
    assert [Path(source).name for source in samples.sources] == ["astronaut.png", "hopper.png"]
    reasons = {Path(skip.source).name: skip.reason for skip in samples.skipped}
    assert reasons["wall.png"] == "no face found"
    assert set(reasons) == {"wall.png", "cut.png"}
    assert str(raw) not in reasons["cut.png"]
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]
    # A face has structure; a wall or a piece of cloth has little.
    assert (samples.images.reshape(2, -1).std(axis=1) > 25).all()


@needs_yunet
@pytest.mark.parametrize("turn", [0, 25])
def test_landmarks_come_where_the_training_images_have_them(astronaut: NDArray[np.uint8], turn: int) -> None:
    matrix = cv2.getRotationMatrix2D((256, 256), turn, 1.0)
    turned = cv2.warpAffine(astronaut, matrix, (512, 512), borderMode=cv2.BORDER_REPLICATE)
    detector = make_detector("yunet_ort")
    crop = face_crop(turned, detector)
    large = cv2.resize(crop, (192, 192), interpolation=cv2.INTER_CUBIC)
    found = detector.detect(cv2.copyMakeBorder(large, 64, 64, 64, 64, cv2.BORDER_REPLICATE))
    landmarks = found[0].landmarks
    assert landmarks is not None
    in_crop = (landmarks - 64 + 0.5) / 4 - 0.5
    # The detector itself wavers by two or three of these pixels between one scale and another.
    assert np.abs(in_crop - LANDMARK_TEMPLATE).mean() < 2.5
    assert abs(in_crop[0, 1] - in_crop[1, 1]) < 5.0, "the eyes are not level"


@needs_yunet
def test_the_largest_face_counts(astronaut: NDArray[np.uint8], hopper: NDArray[np.uint8]) -> None:
    detector = make_detector("yunet_ort")
    scene = np.full((512, 1024, 3), 128, np.uint8)
    scene[:, :512] = astronaut
    small = cv2.resize(hopper, (160, 190), interpolation=cv2.INTER_AREA)
    scene[100:290, 700:860] = small
    assert len(detector.detect(scene)) == 2
    crop = face_crop(scene, detector)
    assert likeness(crop, face_crop(astronaut, detector)) > 0.85
    assert likeness(crop, face_crop(hopper, detector)) < 0.6


@needs_yunet
def test_small_images_are_enlarged_for_the_detector(astronaut: NDArray[np.uint8], hopper: NDArray[np.uint8]) -> None:
    detector = make_detector("yunet_ort")
    face = astronaut[20:220, 120:320]
    tiny = cv2.resize(face, (48, 48), interpolation=cv2.INTER_AREA)
    crop = face_crop(tiny, detector)
    alike = likeness(crop, face_crop(astronaut, detector))
    assert alike > 0.6
    assert alike > likeness(crop, face_crop(hopper, detector)) + 0.1


def test_size_of_the_crops(astronaut: NDArray[np.uint8]) -> None:
    assert face_crop(astronaut, make_detector("auto"), size=96).shape == (96, 96)


def test_no_usable_image_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "happy").mkdir()
    cv2.imwrite(str(tmp_path / "happy" / "wall.png"), np.full((300, 300), 180, np.uint8))
    with pytest.raises(DatasetError, match="not one image of the data set is usable: no face found"):
        prepare(load_index(tmp_path), make_detector("auto"))


def test_our_classes_come_first_in_our_order() -> None:
    assert class_order(["Sadness", "anger"]) == LABELS
    assert class_order(["contempt", "bored", "anger", "awe"]) == (*LABELS, "contempt", "awe", "bored")
    # Of the classes of others none is empty, which `label_map=own` would take for a fault.
    assert class_order(["drowsy", "awake", "drowsy"]) == ("awake", "drowsy")


class TestCommand:
    def app(self) -> typer.Typer:
        app = typer.Typer()
        app.callback()(lambda: None)
        cli_prepare.register(app)
        return app

    def test_writes_a_data_set_that_can_be_read(self, raw: Path, tmp_path: Path) -> None:
        out = tmp_path / "prepared" / "set.npz"
        result = CliRunner().invoke(self.app(), ["prepare", str(raw), str(out)])
        assert result.exit_code == 0, result.output
        assert "2 faces (happy 1, neutral 1); 2 left out" in result.stdout
        assert "1 x no face found" in result.stdout
        samples = load_dataset(out)
        assert [samples.label_names[label] for label in samples.labels] == ["happy", "neutral"]
        assert samples.sources.tolist() == ["happy/astronaut.png", "neutral/hopper.png"]
        with (tmp_path / "prepared" / "set.npz.skipped.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [Path(row["source"]).name for row in rows] == ["cut.png", "wall.png"]
        assert rows[1]["reason"] == "no face found"

    def test_manifest_with_absolute_paths(
        self, raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, astronaut: NDArray[np.uint8]
    ) -> None:
        """Images below the manifest's folder keep their place in it, others their name: nothing of this machine."""
        elsewhere = tmp_path / "elsewhere" / "face.png"
        elsewhere.parent.mkdir()
        cv2.imwrite(str(elsewhere), astronaut)
        rows = [f"{raw / 'happy/astronaut.png'},happy", f"{elsewhere},happy"]
        (raw / "list.csv").write_text("\n".join(["path,label", *rows]) + "\n", encoding="utf-8")
        monkeypatch.chdir(raw)
        result = CliRunner().invoke(self.app(), ["prepare", "list.csv", str(tmp_path / "set.npz")])
        assert result.exit_code == 0, result.output
        assert load_dataset(tmp_path / "set.npz").sources.tolist() == ["happy/astronaut.png", "face.png"]

    @pytest.mark.parametrize(
        ("folder", "said"), [("4", "the classes are numbers (4)"), ("Image", "none of the classes (image) is a known")]
    )
    def test_folders_that_are_no_expressions_are_pointed_out(
        self, tmp_path: Path, astronaut: NDArray[np.uint8], folder: str, said: str
    ) -> None:
        (tmp_path / "raw" / folder).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "raw" / folder / "1.png"), astronaut)
        result = CliRunner().invoke(self.app(), ["prepare", str(tmp_path / "raw"), str(tmp_path / "set.npz")])
        assert result.exit_code == 0, result.output
        assert said in result.stderr

    def test_unknown_detector_is_a_clear_error(self, raw: Path, tmp_path: Path) -> None:
        arguments = ["prepare", str(raw), str(tmp_path / "x.npz"), "--detector", "eyes"]
        result = CliRunner().invoke(self.app(), arguments)
        assert isinstance(result.exception, FerError)
        assert "detector is 'eyes'" in str(result.exception)
        assert not (tmp_path / "x.npz").exists()
