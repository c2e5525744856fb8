from __future__ import annotations

import itertools

import numpy as np
import pytest

from fer_perception.benchmark import pipeline
from fer_perception.errors import SourceError
from fer_perception.pipeline import build_pipeline
from fer_perception.pipeline_types import Frame
from fer_perception.settings.pipeline_settings import PipelineSettings
from fer_perception.system.paths import share_directory


@pytest.fixture
def clip():
    try:
        return pipeline.four_faces_clip()
    except SourceError as err:
        pytest.skip(str(err))


def test_the_clip_moves_and_joins(clip):
    assert {frame.shape for frame in clip} == {(480, 640, 3)}
    assert all((a != b).any() for a, b in itertools.pairwise(clip))
    step = [np.abs(a.astype(int) - b).mean() for a, b in zip(clip, [*clip[1:], clip[0]], strict=True)]
    assert max(step) < 3 * np.median(step)


def test_the_pipeline_finds_the_four_faces(clip):
    if not (share_directory() / "models" / "arch1_fer2013.onnx").is_file():
        pytest.skip("the model is not there yet")
    found = build_pipeline(PipelineSettings())
    try:
        results = [found.process([Frame(frame, 10**9 + 33_333_333 * i, "c")])[0] for i, frame in enumerate(clip[:6])]
    finally:
        found.close()
    assert len(results[-1].faces) == pipeline.FACES
    assert {"detect", "crop", "classify"} <= set(results[-1].timings)
