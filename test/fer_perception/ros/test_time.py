"""Stamps: copied exactly, zero, going back, and cameras that fall silent."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.ros


def faces(answer: Any) -> list[str]:
    return [face.face_id for face in answer.emotions]


def test_a_face_is_born_after_birth_time_and_leaves_after_the_timeout_in_header_time(
    probe: Any, astronaut: Any, nobody: Any
) -> None:
    probe.start(birth_time=0.25, track_timeout=2.0)
    born = [len(probe.ask(astronaut, 5.0 + step / 10).emotions) for step in range(5)]
    assert born == [0, 0, 0, 1, 1]
    gone = [probe.ask(nobody, 5.5 + step / 2).emotions for step in range(6)]
    observed = [[face.observed for face in answer] for answer in gone]
    assert observed == [[False], [False], [False], [False], [], []]
    assert all(len(face.raw_scores) == 0 for answer in gone for face in answer)
    assert all(abs(sum(face.scores) - 1) < 1e-5 for answer in gone for face in answer)


def test_a_zero_stamp_is_copied_and_the_time_of_receipt_is_used(probe: Any, astronaut: Any) -> None:
    log = probe.listen_to_log()
    probe.start(birth_time=0.0)
    probe.send(astronaut, 0.0)
    probe.until(lambda: len(probe.emotions) == 1)
    probe.send(astronaut, 0.0)
    probe.until(lambda: len(probe.emotions) == 2)
    first, second = probe.emotions
    for answer in (first, second):
        assert (answer.header.stamp.sec, answer.header.stamp.nanosec) == (0, 0)
        assert answer.header.frame_id == "camera_optical_frame"
    assert faces(second) == ["f00001"]
    assert 0 < second.emotions[0].tracked_for.sec + second.emotions[0].tracked_for.nanosec / 1e9 < 30
    probe.until(lambda: any("zero stamp" in entry.msg for entry in log))
    probe.fresh_status("camera /image_raw")
    assert sum("zero stamp" in entry.msg for entry in log) == 1


def test_a_little_back_is_dropped_and_counted(probe: Any, astronaut: Any) -> None:
    probe.start()
    probe.ask(astronaut, 10.0)
    assert faces(probe.ask(astronaut, 10.1)) == ["f00001"]
    probe.send_bad(astronaut, 9.7, "out_of_order")
    assert faces(probe.ask(astronaut, 10.2)) == ["f00001"]
    assert [answer.header.stamp.sec for answer in probe.emotions] == [10, 10, 10]
    assert "1 images out of order" in probe.fresh_status("camera /image_raw").message


def test_far_back_starts_anew(probe: Any, astronaut: Any) -> None:
    probe.start()
    probe.ask(astronaut, 10.0)
    assert faces(probe.ask(astronaut, 10.1)) == ["f00001"]
    assert faces(probe.ask(astronaut, 2.0)) == []
    (face,) = probe.ask(astronaut, 2.1).emotions
    assert face.face_id == "f00002"
    assert face.tracked_for.sec == 0


def test_a_camera_that_falls_silent_loses_its_tracks_and_is_called_stale(probe: Any, astronaut: Any) -> None:
    probe.start()
    probe.ask(astronaut, 10.0)
    assert faces(probe.ask(astronaut, 10.1)) == ["f00001"]
    assert probe.set(track_timeout=0.2)[0].successful
    status = probe.until_status("camera /image_raw", "stale: no image for")
    assert status.level == b"\x01"
    probe.until(
        lambda: {item.key: item.value for item in probe.status("camera /image_raw").values}["faces tracked"] == "0"
    )
    count = len(probe.emotions)
    assert probe.set(track_timeout=30.0)[0].successful
    # The silence ended the track, although by the stamps there was none.
    assert faces(probe.ask(astronaut, 10.2)) == []
    assert faces(probe.ask(astronaut, 10.3)) == ["f00002"]
    assert len(probe.emotions) == count + 2


def test_a_camera_that_never_sent_anything_is_called_stale_and_why(probe: Any) -> None:
    probe.start(track_timeout=0.3)
    status = probe.until_status("camera /image_raw", "stale: no image yet; nobody publishes on this topic")
    assert status.level == b"\x01"
    assert probe.emotions == []
    probe.node.create_publisher(type_of_image(), "/image_raw", 1)
    probe.until(lambda: probe.status("camera /image_raw").message == "stale: no image yet")


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("CompressedImage", "remap it, or set image_transports"),
        ("CameraInfo", "name a topic of raw or compressed images"),
    ],
)
def test_a_publisher_of_another_type_is_named(probe: Any, ros_domain_id: int, name: str, fix: str) -> None:
    import sensor_msgs.msg
    from rclpy.context import Context
    from rclpy.node import Node

    probe.start(track_timeout=0.3)
    # One participant cannot have two types on one topic.
    elsewhere = Context()
    elsewhere.init(domain_id=ros_domain_id)
    camera = Node("camera", context=elsewhere, use_global_arguments=False)
    try:
        camera.create_publisher(getattr(sensor_msgs.msg, name), "/image_raw", 1)
        status = probe.until_status("camera /image_raw", f"the topic carries sensor_msgs/msg/{name}")
        assert status.message.endswith(f"expected sensor_msgs/msg/Image: {fix}")
    finally:
        camera.destroy_node()
        elsewhere.try_shutdown()


def test_a_publisher_that_offers_too_little_is_named(probe: Any) -> None:
    from rclpy.qos import QoSProfile, ReliabilityPolicy

    probe.start(track_timeout=0.3, **{"qos_overrides./image_raw.subscription.reliability": "reliable"})
    probe.node.create_publisher(
        type_of_image(), "/image_raw", QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    )
    probe.until_status("camera /image_raw", "the offered quality of service does not fit")


def type_of_image() -> type:
    from sensor_msgs.msg import Image

    return Image
