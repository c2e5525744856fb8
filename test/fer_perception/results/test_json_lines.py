from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
from made_results import make_face, make_result

from fer_perception.labels import LABELS
from fer_perception.pipeline_types import Phase
from fer_perception.results.json_lines import frame_to_json, json_line, number

FACE_KEYS = {
    "face_id", "emotion", "confidence", "roi", "scores", "raw_scores", "phase", "valence", "arousal", "observed",
    "quality", "detection_confidence", "tracked_for", "landmarks",
}  # fmt: skip


def test_the_keys_are_the_contract() -> None:
    result = make_result(make_face("f00001", "happy", (10, 20, 30, 40)), stamp_ns=1_500_000_000)
    row = json.loads(json_line(frame_to_json(7, result)))
    assert list(row) == ["source", "frame", "stamp", "width", "height", "faces"]
    assert (row["frame"], row["stamp"], row["width"], row["height"]) == (7, 1.5, 640, 480)
    face = row["faces"][0]
    assert set(face) == FACE_KEYS
    assert face["roi"] == [10, 20, 30, 40]
    assert list(face["scores"]) == list(LABELS)
    assert sum(face["scores"].values()) == pytest.approx(1.0, abs=1e-8)
    assert face["raw_scores"] == face["scores"]
    assert face["phase"] == "apex"
    assert face["observed"] is True
    assert face["arousal"] is None


def test_every_key_is_in_the_documentation(repository: Path) -> None:
    page = (repository / "docs" / "messages.md").read_text(encoding="utf-8")
    section = page.partition("## The same in JSON")[2].partition("\n## ")[0]
    row = frame_to_json(0, make_result(make_face("f1", "sad", (0, 0, 9, 9))))
    missing = [key for key in (*row, *row["faces"][0]) if f"`{key}`" not in section]
    assert missing == [], "docs/messages.md, 'The same in JSON', does not name them"


def test_a_face_that_was_not_observed_has_no_raw_scores() -> None:
    row = frame_to_json(0, make_result(make_face("f1", "", (0, 0, 9, 9), observed=False, phase=Phase.UNKNOWN)))
    assert row["faces"][0]["raw_scores"] == {}
    assert row["faces"][0]["observed"] is False
    assert row["faces"][0]["emotion"] == ""
    assert row["faces"][0]["phase"] == "unknown"


def test_numpy_numbers_become_plain_ones() -> None:
    face = dataclasses.replace(
        make_face("f1", "sad", (0, 0, 9, 9)),
        roi=tuple(np.array([1, 2, 3, 4])),
        confidence=np.float32(0.25),
        observed=np.bool_(True),
    )
    assert json.loads(json_line(frame_to_json(0, make_result(face))))["faces"][0]["confidence"] == 0.25


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_json_cannot_carry_is_null(value: float) -> None:
    assert number(value) is None


def test_nobody() -> None:
    assert frame_to_json(3, make_result())["faces"] == []
