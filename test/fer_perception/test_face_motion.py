"""The motion of one face box."""

from __future__ import annotations

import numpy as np
import pytest

from fer_perception.detection.base import Detection
from fer_perception.face_motion import POSITION_NOISE, USUAL_SPEED, FaceMotion


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
    assert once.centre == pytest.approx(twice.centre)
    assert once.velocity == pytest.approx(twice.velocity)


@pytest.mark.parametrize("rate", [5, 15, 30, 60])
def test_the_velocity_is_learnt_at_any_frame_rate(rate: float) -> None:
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
