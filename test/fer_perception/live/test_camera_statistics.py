"""Rates, ages and counts of a camera."""

from __future__ import annotations

import math

import pytest

from fer_perception.live.camera_statistics import WINDOW_S, CameraStatistics


def test_nothing_yet() -> None:
    snapshot = CameraStatistics().snapshot(10.0)
    assert snapshot.received == snapshot.published == snapshot.faces == 0
    assert snapshot.received_hz == 0.0
    assert snapshot.last_received_age is None
    assert math.isnan(snapshot.age_at_publish.p50)
    assert dict(snapshot.dropped) == {}


def test_rates_ages_and_stages_of_the_last_seconds() -> None:
    statistics = CameraStatistics()
    for frame in range(300):  # 10 s at 30 Hz, every third one answered
        now = 100 + frame / 30
        statistics.received(now)
        if frame % 3 == 0:
            statistics.dequeued(now, 0.001 if now < 104 else 0.002)
            statistics.published(now, 0.010 + (0.1 if frame == 297 else 0.0), {"detect": 0.004, "publish": 0.001}, 2)
        else:
            statistics.dropped(now, "overtaken")
    snapshot = statistics.snapshot(now)
    assert snapshot.received_hz == pytest.approx(30, rel=0.02)
    assert snapshot.published_hz == pytest.approx(10, rel=0.02)
    assert (snapshot.received, snapshot.published, snapshot.faces) == (300, 100, 2)
    assert dict(snapshot.dropped) == {"overtaken": 200}
    assert snapshot.dropped_recently["overtaken"] == pytest.approx(20 * WINDOW_S, abs=2)
    assert snapshot.age_at_dequeue.p50 == pytest.approx(0.002)
    assert snapshot.age_at_publish.p50 == pytest.approx(0.010)
    assert snapshot.age_at_publish.largest == pytest.approx(0.110)
    assert dict(snapshot.stages) == pytest.approx({"detect": 0.004, "publish": 0.001})
    assert snapshot.last_received_age == 0.0


def test_the_rate_of_a_camera_that_just_started_is_not_diluted() -> None:
    statistics = CameraStatistics()
    for frame in range(60):
        statistics.received(frame / 30)
    assert statistics.snapshot(2.0).received_hz == pytest.approx(30, rel=0.02)


def test_what_is_long_ago_no_longer_counts_as_recent_but_stays_in_the_totals() -> None:
    statistics = CameraStatistics()
    statistics.received(0.0)
    statistics.dropped(0.0, "corrupt", "no JPEG")
    statistics.published(0.0, 0.01, {}, 1)
    statistics.tracks_ended()
    snapshot = statistics.snapshot(100.0)
    assert snapshot.received_hz == snapshot.published_hz == 0.0
    assert dict(snapshot.dropped_recently) == {}
    assert dict(snapshot.dropped) == {"corrupt": 1}
    assert snapshot.last_error == "no JPEG"
    assert snapshot.faces == 0
    assert snapshot.last_received_age == 100.0
