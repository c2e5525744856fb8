"""Results as messages."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fer_perception.labels import LABELS
from fer_perception.pipeline_types import FaceResult, FrameResult, Phase

pytestmark = pytest.mark.ros

SCORES = np.array([0.05, 0.05, 0.1, 0.5, 0.1, 0.1, 0.1])
FACE = FaceResult(
    face_id="f1",
    emotion="happy",
    confidence=0.5,
    scores=SCORES,
    raw_scores=SCORES[::-1],
    valence=0.25,
    arousal=-0.5,
    phase=Phase.ONSET,
    roi=(1, 2, 30, 40),
    landmarks=np.arange(10, dtype=np.float32).reshape(5, 2),
    detection_confidence=0.75,
    quality=0.625,
    tracked_for=2.25,
    observed=True,
)


def made(face: FaceResult) -> Any:
    """The message of one face."""
    from std_msgs.msg import Header

    from fer_perception.ros.conversions import emotion_array

    return emotion_array(FrameResult("/c", 7, 640, 480, LABELS, "m@1", (face,)), Header()).emotions[0]


def test_every_field_arrives() -> None:
    from std_msgs.msg import Header

    from fer_msgs.msg import Emotion
    from fer_perception.ros.conversions import emotion_array

    header = Header(frame_id="optical")
    header.stamp.sec, header.stamp.nanosec = 12, 345
    message = emotion_array(FrameResult("/c", 7, 640, 480, LABELS, "m@1", (FACE,)), header)
    assert message.header == header
    assert (message.camera, message.image_width, message.image_height, message.model_id) == ("/c", 640, 480, "m@1")
    assert tuple(message.labels) == LABELS
    (face,) = message.emotions
    assert (face.face_id, face.emotion, face.confidence, face.observed) == ("f1", "happy", 0.5, True)
    assert list(face.scores) == pytest.approx(SCORES.tolist())
    assert list(face.raw_scores) == pytest.approx(SCORES[::-1].tolist())
    assert (face.valence, face.arousal, face.phase) == (0.25, -0.5, Emotion.PHASE_ONSET)
    assert (face.roi.x_offset, face.roi.y_offset, face.roi.width, face.roi.height) == (1, 2, 30, 40)
    assert not face.roi.do_rectify
    assert [(p.x, p.y, p.z) for p in face.landmarks] == [(0, 1, 0), (2, 3, 0), (4, 5, 0), (6, 7, 0), (8, 9, 0)]
    assert (face.detection_confidence, face.quality) == (0.75, 0.625)
    assert (face.tracked_for.sec, face.tracked_for.nanosec) == (2, 250_000_000)


def test_no_field_is_left_at_its_default() -> None:
    from std_msgs.msg import Header

    from fer_perception.ros.conversions import emotion_array

    message = emotion_array(FrameResult("/c", 7, 640, 480, LABELS, "m@1", (FACE,)), Header(frame_id="optical"))
    for made in (message, *message.emotions):
        untouched = type(made)()
        names = made.get_fields_and_field_types()
        missed = [name for name in names if getattr(made, name) == getattr(untouched, name)]
        assert missed == [], f"messages.py does not fill them in {type(made).__name__}, or FACE has their defaults"


def test_what_was_not_seen_or_estimated_is_empty_or_nan() -> None:

    nan = float("nan")
    message = made(
        replace(
            FACE, raw_scores=None, landmarks=None, valence=nan, arousal=nan, quality=nan, observed=False, emotion=""
        )
    )
    assert len(message.raw_scores) == len(message.landmarks) == 0
    assert math.isnan(message.valence)
    assert math.isnan(message.arousal)
    assert math.isnan(message.quality)
    assert not message.observed
    assert message.emotion == ""


@pytest.mark.parametrize("phase", list(Phase))
def test_phases_have_the_constants_of_their_names(phase: Phase) -> None:
    from fer_msgs.msg import Emotion

    assert made(replace(FACE, phase=phase)).phase == getattr(Emotion, f"PHASE_{phase.name}")


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.0, (0, 0)), (0.9999999999, (1, 0)), (1.5, (1, 500_000_000)), (1e5 + 0.25, (100000, 250_000_000))],
)
def test_durations_never_overflow_their_nanoseconds(seconds: float, expected: tuple[int, int]) -> None:
    message = made(replace(FACE, tracked_for=seconds)).tracked_for
    assert (message.sec, message.nanosec) == expected


def test_live_and_replayed_results_make_the_same_message() -> None:
    from rosbags.typesys.store import Typestore  # noqa: F401 - the replay needs it
    from std_msgs.msg import Header

    from fer_perception.replay.bags import fer_typestore
    from fer_perception.results.messages import message_from_result, result_from_message
    from fer_perception.ros.conversions import emotion_array

    carried = replace(FACE, face_id="f2", raw_scores=None, landmarks=None, observed=False)
    result = FrameResult("/c", 0, 640, 480, LABELS, "m@1", (FACE, carried))
    types = fer_typestore().types
    header = types["std_msgs/msg/Header"](types["builtin_interfaces/msg/Time"](0, 0), "")
    replayed = result_from_message(message_from_result(result, header, types))
    live = result_from_message(emotion_array(result, Header()))
    for one, other in zip(live.faces, replayed.faces, strict=True):
        assert one.face_id == other.face_id
        assert one.scores == pytest.approx(other.scores)
        assert (one.raw_scores is None) == (other.raw_scores is None)
        assert (one.roi, one.phase, one.tracked_for) == (other.roi, other.phase, other.tracked_for)
        assert one.confidence == pytest.approx(other.confidence)
        for name in ("emotion", "valence", "arousal", "detection_confidence", "quality", "observed"):
            assert getattr(one, name) == getattr(other, name), name
        np.testing.assert_array_equal(one.landmarks, other.landmarks)
