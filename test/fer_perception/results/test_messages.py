"""Results as the messages of bags, and back."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from made_bags import STORE, header

from fer_perception.labels import LABELS
from fer_perception.pipeline_types import FaceResult, FrameResult, Phase
from fer_perception.replay.bags import EMOTIONS_TYPE
from fer_perception.results.messages import message_from_result, result_from_message

SCORES = np.array([0.02, 0.05, 0.08, 0.45, 0.11, 0.14, 0.15])
#: No two fields have the same value.
FACE = FaceResult(
    face_id="f1",
    emotion="happy",
    confidence=0.45,
    scores=SCORES,
    raw_scores=SCORES[::-1],
    valence=0.25,
    arousal=-0.5,
    phase=Phase.OFFSET,
    roi=(1, 2, 30, 40),
    landmarks=np.arange(10, dtype=np.float32).reshape(5, 2) + 50,
    detection_confidence=0.75,
    quality=0.625,
    tracked_for=2.375,
    observed=True,
)
CARRIED = replace(
    FACE, face_id="f2", emotion="", raw_scores=None, landmarks=None, valence=math.nan, quality=math.nan, observed=False
)
RESULT = FrameResult("/c", 12_000_000_345, 640, 480, LABELS, "m@1", (FACE, CARRIED))


def recorded(result: FrameResult) -> Any:
    """The message as it comes out of a bag."""
    message = message_from_result(result, header(result.stamp_ns), STORE.types)
    return STORE.deserialize_cdr(STORE.serialize_cdr(message, EMOTIONS_TYPE), EMOTIONS_TYPE)


def test_every_field_of_a_face_is_in_the_message() -> None:
    message = recorded(RESULT)
    face, carried = message.emotions
    assert (message.camera, message.image_width, message.image_height, message.model_id) == ("/c", 640, 480, "m@1")
    assert tuple(message.labels) == LABELS
    assert (face.face_id, face.emotion, face.valence, face.arousal) == ("f1", "happy", 0.25, -0.5)
    assert face.confidence == pytest.approx(0.45)
    assert list(face.scores) == pytest.approx(SCORES.tolist())
    assert list(face.raw_scores) == pytest.approx(SCORES[::-1].tolist())
    assert face.phase == face.PHASE_OFFSET
    assert (face.roi.x_offset, face.roi.y_offset, face.roi.width, face.roi.height) == (1, 2, 30, 40)
    points = [(50, 51, 0), (52, 53, 0), (54, 55, 0), (56, 57, 0), (58, 59, 0)]
    assert [(p.x, p.y, p.z) for p in face.landmarks] == points
    assert (face.detection_confidence, face.quality) == (0.75, 0.625)
    assert (face.tracked_for.sec, face.tracked_for.nanosec) == (2, 375_000_000)
    assert (face.observed, carried.observed) == (True, False)
    assert len(carried.raw_scores) == len(carried.landmarks) == 0
    assert math.isnan(carried.quality)


def test_a_result_comes_back_as_it_was() -> None:
    back = result_from_message(recorded(RESULT))
    assert replace(back, faces=()) == replace(RESULT, faces=())
    for face, given in zip(back.faces, RESULT.faces, strict=True):
        for name in (
            "face_id",
            "emotion",
            "arousal",
            "phase",
            "roi",
            "detection_confidence",
            "tracked_for",
            "observed",
        ):
            assert getattr(face, name) == getattr(given, name), name
        for name in ("confidence", "valence", "quality"):
            assert getattr(face, name) == pytest.approx(getattr(given, name), nan_ok=True), name
        np.testing.assert_allclose(face.scores, given.scores, rtol=1e-6)
    np.testing.assert_allclose(back.faces[0].raw_scores, SCORES[::-1], rtol=1e-6)
    np.testing.assert_array_equal(back.faces[0].landmarks, FACE.landmarks)
    assert back.faces[1].raw_scores is None
    assert back.faces[1].landmarks is None


@pytest.mark.parametrize("phase", list(Phase))
def test_phases_have_the_constants_of_their_names(phase: Phase) -> None:
    message = recorded(replace(RESULT, faces=(replace(FACE, phase=phase),)))
    (face,) = message.emotions
    assert face.phase == getattr(face, f"PHASE_{phase.name}")
    assert result_from_message(message).faces[0].phase is phase


def test_a_phase_of_a_later_version_is_unknown() -> None:
    message = recorded(RESULT)
    message.emotions[0].phase = 77
    assert result_from_message(message).faces[0].phase is Phase.UNKNOWN
