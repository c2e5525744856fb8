"""Crops: landmarks land on the template, gray values stay true, nothing outside the image is invented."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data as images

from fer_perception.imaging.crops import (
    BOX_TEMPLATE,
    CROP_SIZE,
    LANDMARK_TEMPLATE,
    align_similarity,
    box_similarity,
    crop_faces,
    crop_transforms,
    face_quality,
    landmark_template,
    warp_face,
)

BOX = np.array([[178, 63, 90, 113]], np.float32)
LANDMARKS = np.array([(203, 107), (246, 108), (224, 129), (205, 145), (242, 146)], np.float32)
NO_BOX = np.array([[0, 0, 1, 1]], np.float32)


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    return cv2.cvtColor(images.astronaut(), cv2.COLOR_RGB2BGR)


def similarity(angle: float, scale: float, x: float, y: float) -> np.ndarray:
    """(2, 3): rotation in degrees, scale, then shift."""
    radians = np.radians(angle)
    c, s = scale * np.cos(radians), scale * np.sin(radians)
    return np.array([(c, -s, x), (s, c, y)])


def moved(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return (np.asarray(points) @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


def dots(points: np.ndarray, shape: tuple[int, int], radius: float) -> np.ndarray:
    """Image with a soft bright dot at each point."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    distance = np.min([(x - px) ** 2 + (y - py) ** 2 for px, py in points], axis=0)
    return (255 * np.exp(-distance / (2 * radius**2))).astype(np.uint8)


class TestTemplate:
    def test_is_symmetric(self) -> None:
        x = LANDMARK_TEMPLATE[:, 0]
        assert x[0] + x[1] == pytest.approx(CROP_SIZE - 1)
        assert x[3] + x[4] == pytest.approx(CROP_SIZE - 1)
        assert x[2] == pytest.approx((CROP_SIZE - 1) / 2)
        assert BOX_TEMPLATE[0] + BOX_TEMPLATE[2] / 2 == pytest.approx((CROP_SIZE - 1) / 2)

    def test_the_box_holds_the_landmarks_and_nobody_can_change_them(self) -> None:
        x, y, w, h = BOX_TEMPLATE
        assert ((x, y) < LANDMARK_TEMPLATE).all()
        assert ((x + w, y + h) > LANDMARK_TEMPLATE).all()
        with pytest.raises(ValueError, match="read-only"):
            LANDMARK_TEMPLATE[0, 0] = 1


class TestAlignment:
    @settings(max_examples=60, deadline=None)
    @given(st.floats(-180, 180), st.floats(0.05, 50), st.floats(-5000, 5000), st.floats(-5000, 5000))
    def test_a_similarity_is_undone_exactly(self, angle: float, scale: float, x: float, y: float) -> None:
        matrix = similarity(angle, scale, x, y)
        points = np.asarray(LANDMARK_TEMPLATE, np.float64) @ matrix[:, :2].T + matrix[:, 2]
        (found,) = align_similarity(points[None])
        back = points @ found[:, :2].T + found[:, 2]
        np.testing.assert_allclose(back, LANDMARK_TEMPLATE, atol=1e-3)

    def test_it_is_the_least_squares_solution(self) -> None:
        rng = np.random.default_rng(3)
        points = LANDMARK_TEMPLATE + rng.normal(0, 3, (5, 2))
        weights = np.array([1, 2, 0.5, 1, 1.5])

        def error(matrix: np.ndarray) -> float:
            residual = points @ matrix[:, :2].T + matrix[:, 2] - LANDMARK_TEMPLATE
            return float((weights * (residual**2).sum(axis=1)).sum())

        (found,) = align_similarity(points[None], LANDMARK_TEMPLATE, weights)
        a, b, x, y = found[0, 0], found[1, 0], found[0, 2], found[1, 2]
        for change in np.vstack((np.eye(4), -np.eye(4))) * (1e-3, 1e-3, 1e-2, 1e-2):
            da, db, dx, dy = change
            assert error(np.array([(a + da, -b - db, x + dx), (b + db, a + da, y + dy)])) > error(found)

    def test_never_a_reflection(self) -> None:
        mirrored = LANDMARK_TEMPLATE * (-1, 1)
        (found,) = align_similarity(mirrored[None])
        assert np.linalg.det(found[:, :2]) > 0

    def test_many_at_once_are_as_one_by_one(self) -> None:
        rng = np.random.default_rng(0)
        points = LANDMARK_TEMPLATE * 3 + rng.normal(0, 5, (7, 5, 2))
        together = align_similarity(points)
        alone = np.concatenate([align_similarity(each[None]) for each in points])
        np.testing.assert_allclose(together, alone)

    @pytest.mark.parametrize("squeeze", [1.0, 0.6, 0.3, 0.0])
    def test_a_face_from_the_side_keeps_its_size(self, squeeze: float) -> None:
        turned = (LANDMARK_TEMPLATE - 23.5) * (squeeze, 1) + 23.5
        (found,) = align_similarity(turned[None])
        assert 1 <= np.hypot(found[0, 0], found[1, 0]) + 1e-6 < 1.25

    def test_box(self) -> None:
        x, y, w, h = BOX_TEMPLATE
        (found,) = box_similarity([[100 + 2 * x, 50 + 2 * y, 2 * w, 2 * h]])
        np.testing.assert_allclose(found, [(0.5, 0, -50), (0, 0.5, -25)], atol=1e-9)


class TestCrops:
    @pytest.mark.parametrize("scale", [0.4, 1.0, 1.7, 3.0, 7.3])
    @pytest.mark.parametrize("angle", [0, 25, -70])
    def test_landmarks_land_on_the_template(self, scale: float, angle: float) -> None:
        matrix = similarity(angle, scale, 190, 190)
        points = moved(LANDMARK_TEMPLATE - 23.5, matrix)
        (crop,) = crop_faces(dots(points, (400, 400), 1.6 * scale), NO_BOX, [points])
        for x, y in LANDMARK_TEMPLATE:
            part = crop[0, round(y) - 3 : round(y) + 4, round(x) - 3 : round(x) + 4].astype(float)
            part = np.maximum(part - 80, 0)
            rows, columns = np.mgrid[-3:4, -3:4]
            center = (columns * part).sum() / part.sum() + round(x), (rows * part).sum() / part.sum() + round(y)
            np.testing.assert_allclose(center, (x, y), atol=0.35)

    def test_identity(self) -> None:
        image = np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)
        (crop,) = crop_faces(image, NO_BOX, [np.array(LANDMARK_TEMPLATE)])
        np.testing.assert_allclose(crop[0], image, atol=2)

    def test_shape_type_and_range(self, astronaut: np.ndarray) -> None:
        crops = crop_faces(astronaut, np.repeat(BOX, 3, axis=0), [LANDMARKS, None, LANDMARKS])
        assert crops.shape == (3, 1, 48, 48)
        assert crops.dtype == np.float32
        assert 0 <= crops.min() < 60
        assert 190 < crops.max() <= 255
        np.testing.assert_array_equal(crops[0], crops[2])

    def test_nobody(self, astronaut: np.ndarray) -> None:
        crops = crop_faces(astronaut, np.empty((0, 4), np.float32), [])
        assert crops.shape == (0, 1, 48, 48)

    def test_box_and_landmarks_show_the_same_face(self, astronaut: np.ndarray) -> None:
        by_landmarks, by_box = crop_faces(astronaut, np.repeat(BOX, 2, axis=0), [LANDMARKS, None])
        assert np.corrcoef(by_landmarks.ravel(), by_box.ravel())[0, 1] > 0.8

    def test_gray_and_color_images_give_the_same(self, astronaut: np.ndarray) -> None:
        gray = cv2.cvtColor(astronaut, cv2.COLOR_BGR2GRAY)
        color = crop_faces(astronaut, BOX, [LANDMARKS])
        np.testing.assert_allclose(crop_faces(gray, BOX, [LANDMARKS]), color, atol=1)

    @pytest.mark.parametrize("factor", [2, 4, 8])
    def test_resolution_does_not_matter(self, astronaut: np.ndarray, factor: int) -> None:
        large = cv2.resize(astronaut[:256, 100:356], None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
        shifted = (LANDMARKS - (100, 0) + 0.5) * factor - 0.5
        crop = crop_faces(large, NO_BOX, [shifted.astype(np.float32)])
        usual = crop_faces(astronaut, NO_BOX, [LANDMARKS])
        assert np.abs(crop - usual).mean() < 4

    def test_shrinking_averages(self) -> None:
        """One-pixel stripes of a large face become even gray, not stripes of another width."""
        stripes = np.zeros((480, 480), np.uint8)
        stripes[:, ::2] = 255
        points = (LANDMARK_TEMPLATE * 9.7).astype(np.float32)
        (crop,) = crop_faces(stripes, NO_BOX, [points])
        assert crop.std() < 12
        assert crop.mean() == pytest.approx(127.5, abs=3)

    def test_outside_the_image_the_border_goes_on(self) -> None:
        image = np.full((100, 100), 200, np.uint8)
        image[:, :10] = 50
        points = moved(LANDMARK_TEMPLATE, similarity(0, 1, -30, 20))
        (crop,) = crop_faces(image, NO_BOX, [points])
        assert (crop[0, :, :28] == 50).all()
        assert (crop[0, :, 42:] == 200).all()

    @pytest.mark.parametrize("points", [LANDMARKS, None])
    def test_another_size_shows_the_same(self, astronaut: np.ndarray, points: np.ndarray | None) -> None:
        large = crop_faces(astronaut, BOX, [points], size=96)
        assert large.shape == (1, 1, 96, 96)
        halved = cv2.resize(large[0, 0], (48, 48), interpolation=cv2.INTER_AREA)
        assert np.abs(halved - crop_faces(astronaut, BOX, [points])[0, 0]).mean() < 5

    def test_the_template_of_a_model_is_in_pixels_of_its_crop(self, astronaut: np.ndarray) -> None:
        usual = crop_faces(astronaut, BOX, [LANDMARKS], size=96)
        given = crop_faces(astronaut, BOX, [LANDMARKS], template=landmark_template(96).tolist(), size=96)
        np.testing.assert_array_equal(given, usual)
        closer = crop_transforms(BOX, [LANDMARKS], template=(LANDMARK_TEMPLATE - 23.5) * 1.2 + 23.5)
        before = crop_transforms(BOX, [LANDMARKS])
        np.testing.assert_allclose(np.hypot(*closer[0, :, 0]) / np.hypot(*before[0, :, 0]), 1.2, rtol=1e-3)

    @pytest.mark.parametrize(
        ("box", "points"),
        [
            ((0, 0, 0, 0), None),
            ((np.nan, 0, 5, 5), None),
            ((1e9, 1e9, 50, 50), None),
            ((-500, -500, 50, 50), None),
            ((10, 10, 50, 50), np.zeros((5, 2), np.float32)),
            ((10, 10, 50, 50), np.full((5, 2), np.nan, np.float32)),
            ((0, 0, 1e-3, 1e-3), None),
            ((-1e5, -1e5, 2e5, 2e5), None),
        ],
    )
    def test_degenerate_faces_do_not_break_the_batch(
        self, astronaut: np.ndarray, box: tuple[float, ...], points: np.ndarray | None
    ) -> None:
        boxes = np.array([box, BOX[0]], np.float32)
        crops = crop_faces(astronaut, boxes, [points, LANDMARKS])
        np.testing.assert_array_equal(crops[1], crop_faces(astronaut, BOX, [LANDMARKS])[0])

    @pytest.mark.parametrize("points", [np.zeros((5, 2), np.float32), np.full((5, 2), np.nan, np.float32)])
    def test_landmarks_that_say_nothing_leave_it_to_the_box(self, astronaut: np.ndarray, points: np.ndarray) -> None:
        np.testing.assert_array_equal(crop_faces(astronaut, BOX, [points]), crop_faces(astronaut, BOX, [None]))

    @pytest.mark.parametrize("box", [(0, 0, 0, 0), (np.nan, 0, 5, 5), (10, 10, 0, 50)])
    def test_a_face_without_extent_is_black(self, astronaut: np.ndarray, box: tuple[float, ...]) -> None:
        crop = np.full((48, 48), 99, np.uint8)
        (transform,) = crop_transforms(np.array([box], np.float32), [None])
        warp_face(astronaut, transform, crop)
        assert (crop == 0).all()

    def test_the_image_is_not_written_to(self, astronaut: np.ndarray) -> None:
        view = astronaut.copy()
        view.flags.writeable = False
        crop_faces(view, BOX, [LANDMARKS])
        crop_faces(view[..., 0], BOX, [None])
        np.testing.assert_array_equal(view, astronaut)

    @pytest.mark.parametrize("shape", [(1, 1), (1, 1, 3), (2, 300), (300, 2, 3)])
    def test_tiny_images(self, shape: tuple[int, ...]) -> None:
        crops = crop_faces(np.full(shape, 77, np.uint8), np.repeat(BOX, 2, axis=0), [LANDMARKS, None])
        assert (crops == 77).all()


class TestQuality:
    def quality(self, image: np.ndarray, box: np.ndarray = BOX[0], points: np.ndarray | None = LANDMARKS) -> float:
        crop = crop_faces(image, box[None], [points])[0]
        value = face_quality(image, box, points, crop)
        assert 0 <= value <= 1
        return value

    def test_a_good_face(self, astronaut: np.ndarray) -> None:
        assert self.quality(astronaut) > 0.7

    def test_falls_with_blur(self, astronaut: np.ndarray) -> None:
        values = [self.quality(astronaut)]
        values += [self.quality(cv2.GaussianBlur(astronaut, (0, 0), sigma)) for sigma in (1, 2, 4, 8)]
        assert values == sorted(values, reverse=True)
        assert values[-1] < 0.3 * values[0]

    def test_falls_with_size(self, astronaut: np.ndarray) -> None:
        values = []
        for scale in (1.0, 0.5, 0.3, 0.2, 0.1):
            small = cv2.resize(astronaut, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            values.append(self.quality(small, BOX[0] * scale, LANDMARKS * scale))
        assert values == sorted(values, reverse=True)
        assert values[-1] < 0.3 * values[0]

    def test_falls_as_the_head_turns(self, astronaut: np.ndarray) -> None:
        values = []
        for turn in (0, 5, 10, 15, 20, 40):
            points = LANDMARKS.copy()
            points[2, 0] += turn
            crop = crop_faces(astronaut, BOX, [LANDMARKS])[0]
            values.append(face_quality(astronaut, BOX[0], points, crop))
        assert values == sorted(values, reverse=True)
        assert values[-1] == 0

    def test_turning_in_the_plane_does_not_matter(self, astronaut: np.ndarray) -> None:
        crop = crop_faces(astronaut, BOX, [LANDMARKS])[0]
        upright = face_quality(astronaut, BOX[0], LANDMARKS, crop)
        for angle in (-60, 30, 90):
            points = moved(LANDMARKS, similarity(angle, 1, 10, 20))
            assert face_quality(astronaut, BOX[0], points, crop) == pytest.approx(upright, abs=1e-4)

    def test_falls_as_the_face_leaves_the_image(self, astronaut: np.ndarray) -> None:
        crop = crop_faces(astronaut, BOX, [LANDMARKS])[0]
        values = [face_quality(astronaut, BOX[0] - (x, 0, 0, 0), LANDMARKS, crop) for x in (100, 180, 220, 250, 300)]
        assert values == sorted(values, reverse=True)
        assert values[0] > 0.6
        assert values[-1] == 0

    def test_nothing_to_see(self, astronaut: np.ndarray) -> None:
        assert self.quality(np.full_like(astronaut, 90)) == 0
        assert self.quality(astronaut, np.array([5, 5, 0, 10], np.float32), None) == 0
        assert self.quality(astronaut, BOX[0], np.zeros((5, 2), np.float32)) == 0

    def test_without_landmarks_the_pose_is_not_judged(self, astronaut: np.ndarray) -> None:
        crop = crop_faces(astronaut, BOX, [LANDMARKS])[0]
        with_pose = face_quality(astronaut, BOX[0], LANDMARKS, crop)
        assert face_quality(astronaut, BOX[0], None, crop) >= with_pose > 0

    @pytest.mark.parametrize(
        ("box", "expected"),
        [
            ((100, 10, 60, 80), 1.0),
            ((100, 10, 24, 80), 0.5),  # the shorter side over 48 pixels
            ((100, 10, 80, 36), 0.75),
            ((270, 10, 60, 80), 0.5),  # the part inside
            ((-15, 10, 60, 80), 0.75),
            ((100, 60, 60, 80), 0.5),
            ((100, -20, 60, 80), 0.75),
            ((270, 60, 60, 80), 0.25),
            ((285, 60, 30, 80), 0.625 * 0.25),
        ],
    )
    def test_size_and_border_of_a_wide_image(
        self, astronaut: np.ndarray, box: tuple[float, ...], expected: float
    ) -> None:
        wide = astronaut[:100, :300]
        crop = crop_faces(astronaut, BOX, [LANDMARKS])[0]
        best = face_quality(wide, np.array([100, 10, 60, 80], np.float32), None, crop)
        quality = face_quality(wide, np.array(box, np.float32), None, crop)
        assert quality / best == pytest.approx(expected, rel=1e-6)
