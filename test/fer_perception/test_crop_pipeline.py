"""Faces that somebody else cut out: which face of a crop counts, and that no face learns from another."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from changed_model import with_metadata
from numpy.typing import NDArray

from fer_perception.crop_pipeline import CropPipeline
from fer_perception.imaging.crops import LANDMARK_TEMPLATE, crop_faces
from fer_perception.pipeline import build_pipeline
from fer_perception.pipeline_types import FaceResult, Frame
from fer_perception.settings.pipeline_settings import PipelineSettings

Image = NDArray[np.uint8]
SETTINGS = PipelineSettings(threads=1)
PERIOD = 33_000_000


@pytest.fixture(scope="module")
def astronaut() -> Image:
    """(220, 220, 3): head and shoulders."""
    data = pytest.importorskip("skimage.data")
    return np.asarray(cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2BGR)[20:240, 110:330], np.uint8)


@pytest.fixture(scope="module")
def hopper() -> Image:
    """(400, 360, 3): head and shoulders."""
    cbook = pytest.importorskip("matplotlib.cbook")
    image = cv2.imread(str(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)))
    assert image is not None
    return np.asarray(image[60:460, 90:450], np.uint8)


@pytest.fixture(scope="module")
def nobody() -> Image:
    """(120, 80, 3): a ramp."""
    return np.repeat(np.tile(np.linspace(20, 220, 80), (120, 1))[..., None], 3, axis=2).astype(np.uint8)


@pytest.fixture
def pipeline() -> Iterator[CropPipeline]:
    made = CropPipeline(build_pipeline(SETTINGS))
    yield made
    made.close()


def look(pipeline: CropPipeline, image: Image, index: int, camera: str = "a") -> FaceResult:
    (result,) = pipeline.process([Frame(image, index * PERIOD, camera)])
    (face,) = result.faces
    return face


def classify(pipeline: CropPipeline, crops: NDArray[np.float32]) -> NDArray[np.float64]:
    (row,) = pipeline.classifier.classify(crops).astype(np.float64)
    return np.asarray(row / row.sum())


def test_each_crop_is_one_face_of_the_name_of_its_camera(
    pipeline: CropPipeline, astronaut: Image, hopper: Image
) -> None:
    assert pipeline.process([]) == []
    first, second = pipeline.process([Frame(hopper, 5 * PERIOD, "h"), Frame(astronaut, 7 * PERIOD, "a")])
    assert [(r.camera, r.stamp_ns, r.width, r.height) for r in (first, second)] == [
        ("h", 5 * PERIOD, 360, 400),
        ("a", 7 * PERIOD, 220, 220),
    ]
    assert [[face.face_id for face in r.faces] for r in (first, second)] == [["h"], ["a"]]
    assert [face.roi for face in (*first.faces, *second.faces)] == [(0, 0, 360, 400), (0, 0, 220, 220)]
    assert second.faces[0].emotion == "happy"
    assert second.faces[0].observed
    alone = CropPipeline(build_pipeline(SETTINGS))
    np.testing.assert_allclose(look(alone, hopper, 0).scores, first.faces[0].scores, atol=1e-6)
    alone.close()


@pytest.mark.yunet
@pytest.mark.parametrize("larger", ["astronaut", "hopper"])
def test_the_larger_of_two_faces_counts(pipeline: CropPipeline, astronaut: Image, hopper: Image, larger: str) -> None:
    first, second = (astronaut, hopper) if larger == "astronaut" else (hopper, astronaut)
    image = np.full((300, 440, 3), 128, np.uint8)
    # Blurred, so that the detector is surer of the smaller one.
    image[:, :300] = cv2.GaussianBlur(cv2.resize(first, (300, 300), interpolation=cv2.INTER_AREA), (0, 0), 8)
    image[:120, 320:] = cv2.resize(second, (120, 120), interpolation=cv2.INTER_AREA)
    large, small = sorted(pipeline.detector.detect(image), key=lambda face: float(face.box[0]))
    assert large.score < small.score
    face = look(pipeline, image, 0)
    np.testing.assert_array_equal(face.landmarks, large.landmarks)
    assert face.detection_confidence == large.score
    expected = classify(pipeline, crop_faces(image, large.box[None], [large.landmarks]))
    np.testing.assert_allclose(face.scores, expected, atol=1e-4)


def test_where_no_face_is_found_the_whole_image_is_the_box(pipeline: CropPipeline, nobody: Image) -> None:
    face = look(pipeline, nobody, 0)
    assert face.landmarks is None
    assert face.detection_confidence == 0
    whole, corner = (
        classify(pipeline, crop_faces(nobody, np.array([box], np.float32), [None]))
        for box in ((0, 0, 80, 120), (0, 0, 1, 1))
    )
    np.testing.assert_allclose(face.scores, whole, atol=1e-4)
    assert np.abs(whole - corner).max() > 0.01


@pytest.mark.yunet
def test_the_classifier_sees_the_face_where_its_model_says(astronaut: Image, repository: Path, tmp_path: Path) -> None:
    template = LANDMARK_TEMPLATE * 0.4 + 20
    shipped = repository / "models" / "arch1_fer2013.onnx"
    other = with_metadata(shipped, tmp_path / "other.onnx", "fer.landmark_template", template.tolist())
    pipeline = CropPipeline(build_pipeline(dataclasses.replace(SETTINGS, model=str(other))))
    (found,) = pipeline.detector.detect(astronaut)
    here, usual = (
        classify(pipeline, crop_faces(astronaut, found.box[None], [found.landmarks], template=points))
        for points in (template, LANDMARK_TEMPLATE)
    )
    face = look(pipeline, astronaut, 0)
    pipeline.close()
    np.testing.assert_allclose(face.scores, here, atol=1e-4)
    assert np.abs(here - usual).max() > 0.01


def test_faces_are_smoothed_each_on_its_own(pipeline: CropPipeline, astronaut: Image, hopper: Image) -> None:
    for index in range(5):
        both = [look(pipeline, image, index, camera) for image, camera in ((astronaut, "a"), (hopper, "h"))]
    for image, together in zip((astronaut, hopper), both, strict=True):
        alone = CropPipeline(build_pipeline(SETTINGS))
        face = [look(alone, image, index) for index in range(5)][-1]
        alone.close()
        np.testing.assert_allclose(together.scores, face.scores, atol=1e-6)
        assert together.tracked_for == pytest.approx(4 * 0.033)


def test_an_ended_face_begins_anew_and_the_other_goes_on(
    pipeline: CropPipeline, astronaut: Image, hopper: Image
) -> None:
    for index in range(5):
        for camera in ("a", "b"):
            look(pipeline, astronaut, index, camera)
    pipeline.end_camera("a")
    pipeline.end_camera("never heard of")
    ended, other = (look(pipeline, hopper, 5, camera) for camera in ("a", "b"))
    assert ended.tracked_for == 0
    np.testing.assert_array_equal(ended.scores, ended.raw_scores)
    assert other.tracked_for == pytest.approx(5 * 0.033)
    assert np.abs(other.scores - other.raw_scores).max() > 0.01
    pipeline.reset()
    assert look(pipeline, astronaut, 6, "b").tracked_for == 0


def test_new_settings_make_new_filters(pipeline: CropPipeline, astronaut: Image, hopper: Image) -> None:
    for index in range(5):
        look(pipeline, astronaut, index)
    pipeline.configure(dataclasses.replace(SETTINGS, filter="none", undecided_threshold=1.0))
    face = look(pipeline, hopper, 5)
    np.testing.assert_array_equal(face.scores, face.raw_scores)
    assert face.emotion == ""
    assert face.tracked_for == pytest.approx(5 * 0.033)


def test_other_settings_leave_the_filters_alone(pipeline: CropPipeline, astronaut: Image, hopper: Image) -> None:
    other = CropPipeline(build_pipeline(SETTINGS))
    for index in range(5):
        look(pipeline, astronaut, index)
        look(other, astronaut, index)
    pipeline.configure(dataclasses.replace(SETTINGS, max_faces=3))
    np.testing.assert_array_equal(look(pipeline, hopper, 5).scores, look(other, hopper, 5).scores)
    other.close()
