"""YuNet on real faces: through ONNX Runtime as through OpenCV, at any size."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import pytest
from crowd import crowd_of

from fer_perception.detection.base import Detector
from fer_perception.pipeline_types import Detection

NAMES = ["yunet_ort", "yunet_cv2"]


def resized(image: np.ndarray, width: int) -> np.ndarray:
    height = round(image.shape[0] * width / image.shape[1])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def assert_same(found: Sequence[Detection], expected: Sequence[Detection], pixels: float) -> None:
    assert len(found) == len(expected)
    for one in found:
        nearest = min(expected, key=lambda other: float(np.abs(other.box - one.box).sum()))
        np.testing.assert_allclose(one.box, nearest.box, atol=pixels)
        np.testing.assert_allclose(one.landmarks, nearest.landmarks, atol=pixels)
        assert one.score == pytest.approx(nearest.score, abs=0.02)


class TestAgreement:
    @pytest.mark.parametrize("width", [100, 143, 256, 333, 512, 640, 777])
    @pytest.mark.parametrize("who", ["astronaut", "hopper"])
    def test_one_face(
        self, make: Callable[..., Detector], who: str, width: int, request: pytest.FixtureRequest
    ) -> None:
        image = resized(request.getfixturevalue(who), width)
        found = make("yunet_ort").detect(image)
        assert len(found) == 1
        assert_same(found, make("yunet_cv2").detect(image), 1.0)

    @pytest.mark.parametrize("size", [640, 800, 0])
    def test_a_group(self, make: Callable[..., Detector], group: np.ndarray, size: int) -> None:
        found = make("yunet_ort", detection_size=size).detect(group)
        assert len(found) == 6
        assert_same(found, make("yunet_cv2", detection_size=size).detect(group), 2.0)


class TestFaces:
    def test_box_and_landmarks_lie_on_the_face(self, make: Callable[..., Detector], astronaut: np.ndarray) -> None:
        (face,) = make("yunet_ort").detect(astronaut)
        np.testing.assert_allclose(face.box, (178, 63, 90, 113), atol=4)
        expected = [(203, 107), (246, 108), (224, 129), (205, 145), (242, 146)]
        np.testing.assert_allclose(face.landmarks, expected, atol=7)
        assert 0.9 < face.score <= 1
        assert face.box.dtype == face.landmarks.dtype == np.float32

    def test_reduced_and_whole_agree(self, make: Callable[..., Detector], hopper: np.ndarray) -> None:
        large = cv2.resize(hopper, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
        (reduced,) = make("yunet_ort", detection_size=640).detect(large)
        (plain,) = make("yunet_ort", detection_size=640).detect(hopper)
        np.testing.assert_allclose(reduced.box / 4, plain.box, atol=8)
        np.testing.assert_allclose(reduced.landmarks / 4, plain.landmarks, atol=8)

    def test_eight_k(self, make: Callable[..., Detector], astronaut: np.ndarray) -> None:
        image = np.full((4320, 7680, 3), 90, np.uint8)
        image[1000:4072, 2000:5072] = cv2.resize(astronaut, (3072, 3072), interpolation=cv2.INTER_LINEAR)
        (face,) = make("yunet_ort").detect(image)
        np.testing.assert_allclose(face.box, (2000 + 178 * 6, 1000 + 63 * 6, 540, 680), atol=60)

    def test_gray_images(self, make: Callable[..., Detector], astronaut: np.ndarray) -> None:
        gray = cv2.cvtColor(astronaut, cv2.COLOR_BGR2GRAY)
        (face,) = make("yunet_ort").detect(gray)
        np.testing.assert_allclose(face.box, (178, 63, 90, 113), atol=8)
        assert_same([face], make("yunet_ort").detect(gray[..., None].repeat(3, axis=2)), 0.01)

    def test_views_with_padding_are_taken(self, make: Callable[..., Detector], astronaut: np.ndarray) -> None:
        padded = np.zeros((512, 600, 3), np.uint8)
        padded[:, :512] = astronaut
        view = padded[:, :512]
        view.flags.writeable = False
        for name in NAMES:
            detector = make(name)
            assert_same(detector.detect(view), detector.detect(astronaut), 0.01)

    @pytest.mark.parametrize("name", NAMES)
    def test_close_up_that_fills_the_image(self, make: Callable[..., Detector], hopper: np.ndarray, name: str) -> None:
        close = cv2.resize(hopper[110:340, 165:375], (1460, 1600), interpolation=cv2.INTER_CUBIC)
        (face,) = make(name).detect(close)
        assert face.box[2] > 900
        eyes = face.landmarks[:2]
        assert 300 < eyes[0, 0] < 700 < eyes[1, 0] < 1250

    @pytest.mark.parametrize("name", NAMES)
    @pytest.mark.parametrize("size", [48, 64])
    def test_small_images_are_enlarged(
        self, make: Callable[..., Detector], hopper: np.ndarray, name: str, size: int
    ) -> None:
        small = cv2.resize(hopper[90:390, 120:420], (size, size), interpolation=cv2.INTER_AREA)
        (face,) = make(name).detect(small)
        assert 0 < face.landmarks[0, 0] < size / 2 < face.landmarks[1, 0] < size

    @pytest.mark.parametrize("name", [*NAMES, "haar"])
    @pytest.mark.parametrize("shape", [(1, 1), (20, 20, 3), (1, 3000, 3), (3000, 1), (2, 2, 3), (31, 33, 3)])
    def test_images_without_a_face_of_any_size(
        self, make: Callable[..., Detector], name: str, shape: tuple[int, ...]
    ) -> None:
        assert make(name).detect(np.full(shape, 100, np.uint8)) == []

    def test_nobody(self, make: Callable[..., Detector]) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
        assert make("yunet_ort").detect(cv2.GaussianBlur(noise, (0, 0), 5)) == []


class TestSettings:
    def test_threshold_is_live(self, make: Callable[..., Detector], astronaut: np.ndarray) -> None:
        for name in NAMES:
            detector = make(name)
            assert len(detector.detect(astronaut)) == 1
            detector.threshold = 0.985
            assert detector.detect(astronaut) == []
            detector.threshold = 0.5
            assert len(detector.detect(astronaut)) >= 1

    def test_smallest_face_and_number_of_faces_are_live(self, make: Callable[..., Detector], group: np.ndarray) -> None:
        detector = make("yunet_ort")
        everyone = detector.detect(group)
        assert [face.score for face in everyone] == sorted((face.score for face in everyone), reverse=True)
        detector.max_faces = 2
        areas = sorted(float(face.box[2] * face.box[3]) for face in everyone)
        assert sorted(float(f.box[2] * f.box[3]) for f in detector.detect(group)) == pytest.approx(areas[-2:])
        detector.max_faces = 64
        detector.min_face_size = 80
        assert len(detector.detect(group)) == sum(min(face.box[2:]) >= 80 for face in everyone)

    def test_detection_size_is_live(self, make: Callable[..., Detector], astronaut: np.ndarray) -> None:
        wide = np.full((600, 2000, 3), 128, np.uint8)
        wide[40:140, 40:140] = cv2.resize(astronaut, (100, 100), interpolation=cv2.INTER_AREA)
        detector = make("yunet_ort", detection_size=400)
        assert detector.detect(wide) == []
        detector.detection_size = 0
        (face,) = detector.detect(wide)
        np.testing.assert_allclose(face.box, (75, 52, 18, 22), atol=2)


class TestThorough:
    @pytest.fixture
    def crowd(self, astronaut: np.ndarray, hopper: np.ndarray) -> np.ndarray:
        return crowd_of(astronaut, hopper)

    def test_small_and_large_faces_of_a_crowd(self, make: Callable[..., Detector], crowd: np.ndarray) -> None:
        detector = make("yunet_ort")
        heights = sorted(float(face.box[3]) for face in detector.detect(crowd, thorough=True))
        assert len(heights) == 25
        assert heights[-2] < 60
        assert heights[-1] > 300
        assert len(detector.detect(crowd)) < 25

    def test_it_changes_nothing_in_a_small_image(self, make: Callable[..., Detector], astronaut: np.ndarray) -> None:
        detector = make("yunet_ort")
        assert_same(detector.detect(astronaut, thorough=True), detector.detect(astronaut), 0.0)


class TestBuffers:
    def test_a_image_before_of_another_size_leaves_nothing_behind(
        self, make: Callable[..., Detector], astronaut: np.ndarray
    ) -> None:
        # Both are padded to the same 640x480 pixels; the face stands where the smaller one ends.
        smaller = np.full((450, 610, 3), 128, np.uint8)
        smaller[230:, 390:] = astronaut[20:240, 110:330]
        detector = make("yunet_ort")
        detector.detect(np.full((480, 640, 3), 255, np.uint8))
        assert_same(detector.detect(smaller), make("yunet_ort").detect(smaller), 0.0)
        assert detector.detect(smaller)[0].score == make("yunet_ort").detect(smaller)[0].score
