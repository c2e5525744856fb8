"""Several cameras on one node: one dead, one slow, one that sends garbage."""

from __future__ import annotations

import array
from typing import Any

import cv2
import pytest

pytestmark = pytest.mark.ros

FAST, SLOW, GARBAGE, DEAD = "/front/image_raw", "/side/image_raw/compressed", "/rear/image_raw", "/dead/image_raw"


def test_four_cameras_one_dead_one_slow_one_with_garbage(probe: Any, as_message: Any, astronaut: Any) -> None:
    from sensor_msgs.msg import CompressedImage

    probe.start(image_topics=[FAST, SLOW, GARBAGE, DEAD])
    jpeg = array.array("B", cv2.imencode(".jpg", astronaut)[1].tobytes())
    garbage = as_message(astronaut)
    garbage.data = garbage.data[:777]
    for step in range(30):
        stamp = 100 + step / 30
        # Each is sent while the others' frames are under way.
        sent = probe.send(astronaut, stamp, FAST)
        if step % 6 == 0:
            probe.ask(CompressedImage(format="jpeg", data=jpeg), stamp - 50, SLOW)
        if step % 3 == 0:
            probe.send_bad(garbage, stamp, "truncated", GARBAGE)
        probe.until(lambda sent=sent: probe.answer(sent, FAST))

    by_camera = {topic: [m for m in probe.emotions if m.camera == topic] for topic in (FAST, SLOW, GARBAGE, DEAD)}
    assert [len(answers) for answers in by_camera.values()] == [30, 5, 0, 0]
    assert [m.header.stamp.sec for m in by_camera[SLOW]] == [50] * 5
    ids = {topic: {face.face_id for m in by_camera[topic] for face in m.emotions} for topic in (FAST, SLOW)}
    assert len(ids[FAST]) == len(ids[SLOW]) == 1
    assert ids[FAST] != ids[SLOW], "ids are unique over all cameras"
    assert probe.dropped(GARBAGE) == {"truncated": 10}

    # The dead camera is dead from the start; the others may be called stale once they have had their time.
    assert probe.set(track_timeout=0.5)[0].successful
    dead = probe.until_status(f"camera {DEAD}", "stale: no image yet; nobody publishes on this topic")
    assert dead.level == b"\x01"
    values = {item.key: item.value for item in dead.values}
    assert (values["images received"], values["last image age (s)"]) == ("0", "never")
    assert "bad images (10 truncated)" in probe.status(f"camera {GARBAGE}").message
    fast = {item.key: item.value for item in probe.status(f"camera {FAST}").values}
    assert (fast["images received"], fast["results published"]) == ("30", "30")
    assert float(fast["age at publish p95 (ms)"]) >= float(fast["age at publish p50 (ms)"]) > 0
    assert {f"stage {stage} (ms)" for stage in ("decode", "detect", "crop", "classify", "smooth", "publish")} <= set(
        fast
    )


def test_max_rate_holds_back_the_rest(probe: Any, astronaut: Any) -> None:
    probe.start(max_rate_hz=1.0)
    first = probe.ask(astronaut, 1.0)
    before = len(probe.emotions)
    # Within the second after the first frame only the newest of these is looked at, and not before the second is over.
    sent = []
    for step in range(4):
        sent.append(probe.send(astronaut, 1.1 + step / 10))
        probe.until(lambda n=step: received(probe) == n + 2)
    probe.until(lambda: probe.answer(sent[-1]))
    assert len(probe.emotions) == before + 1
    assert probe.dropped() == {"max_rate": 3}
    assert first.header.stamp.nanosec == 0


def received(probe: Any) -> int:
    status = probe.fer._configured.statistics["/image_raw"]
    return int(status._received_total)
