"""The motion of one face box."""

from __future__ import annotations

import numpy as np
import pytest

from fer_perception.pipeline_types import Detection
from fer_perception.tracking.motion import POSITION_NOISE, USUAL_SPEED, FaceMotion


def detection(x: float, size: float = 100.0, *, landmarks: bool = False) -> Detection:
    points = np.array([[x + 0.3 * size, 40.0]] * 5, np.float32) if landmarks else None
    return Detection(np.array([x, 0, size, size], np.float32), points, 0.9)


def moving(speed: float, rate: float, seconds: float = 1.0) -> FaceMotion:
    motion = FaceMotion.begin(detection(0.0))
    for i in range(1, round(rate * seconds) + 1):
        motion = motion.predict(1 / rate).correct(detection(speed * i / rate))
    return motion


def test_one_long_prediction_is_two_short_ones() -> None:
    motion = moving(150.0, 30.0)
    once, twice = motion.predict(0.5), motion.predict(0.2).predict(0.3)
    for name in ("position_variance", "covariance", "velocity_variance", "size_variance"):
        assert getattr(once, name) == pytest.approx(getattr(twice, name))
    assert once.center == pytest.approx(twice.center)
    assert once.velocity == pytest.approx(twice.velocity)


@pytest.mark.parametrize("rate", [5, 15, 30, 60])
def test_the_velocity_is_learned_at_any_frame_rate(rate: float) -> None:
    motion = moving(150.0, rate)
    assert motion.velocity[0] == pytest.approx(150.0, rel=0.25)
    assert motion.velocity[1] == pytest.approx(0.0, abs=1e-6)


def test_no_time_changes_nothing() -> None:
    motion = moving(100.0, 30.0)
    assert motion.predict(0.0) is motion
    assert motion.predict(-1.0) is motion


def test_uncertainty_grows_with_time_to_that_of_an_unknown_velocity() -> None:
    motion = moving(100.0, 30.0)
    spreads = [motion.predict(dt).position_variance for dt in (0.0, 0.1, 0.5, 1.0)]
    assert spreads == sorted(spreads)
    assert spreads[0] < POSITION_NOISE**2
    assert motion.predict(60.0).velocity_variance == pytest.approx(USUAL_SPEED**2)


def test_a_jittering_size_is_averaged() -> None:
    motion = FaceMotion.begin(detection(0.0, 100.0))
    for i in range(40):
        motion = motion.predict(1 / 30).correct(detection(0.0, 110.0 if i % 2 else 90.0))
    assert motion.size == pytest.approx(99.5, rel=0.05)


def test_landmarks_move_and_scale_with_the_box() -> None:
    motion = FaceMotion.begin(detection(50.0, landmarks=True)).scaled(2.0, 2.0)
    np.testing.assert_allclose(motion.box, [100, 0, 200, 200], rtol=1e-5, atol=1e-6)
    assert motion.landmarks is not None
    np.testing.assert_allclose(motion.landmarks, [[160, 80]] * 5, rtol=1e-5)


def test_landmarks_are_kept_when_a_detection_has_none() -> None:
    motion = FaceMotion.begin(detection(0.0, landmarks=True)).correct(detection(0.0))
    assert motion.landmarks is not None
    assert FaceMotion.begin(detection(0.0)).landmarks is None


def test_width_and_height_of_a_narrow_face_are_its_own() -> None:
    box = np.array([50, 30, 80, 120], np.float32)
    points = np.array([(70, 80), (110, 84), (90, 100), (75, 130), (105, 133)], np.float32)
    motion = FaceMotion.begin(Detection(box, points, 0.9))
    for state in (motion, motion.correct(Detection(box, points, 0.9))):
        np.testing.assert_allclose(state.box, box, rtol=1e-5)
        assert state.landmarks is not None
        np.testing.assert_allclose(state.landmarks, points, rtol=1e-5)


def test_a_face_grows_in_the_direction_in_which_it_was_found_larger() -> None:
    motion = FaceMotion.begin(Detection(np.array([50, 30, 80, 120], np.float32), None, 0.9))
    wider = motion.correct(Detection(np.array([50, 30, 96, 120], np.float32), None, 0.9))
    taller = motion.correct(Detection(np.array([50, 30, 80, 144], np.float32), None, 0.9))
    # Two detections of equal noise: half of the way between the logarithms.
    assert wider.box[2:] == pytest.approx([80 * 1.2**0.5, 120], rel=1e-5)
    assert taller.box[2:] == pytest.approx([80, 120 * 1.2**0.5], rel=1e-5)


def test_both_axes_of_a_image_scale_on_their_own() -> None:
    motion = FaceMotion.begin(Detection(np.array([50, 30, 80, 120], np.float32), None, 0.9)).scaled(2.0, 0.5)
    np.testing.assert_allclose(motion.box, [100, 15, 160, 60], rtol=1e-5)
