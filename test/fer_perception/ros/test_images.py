"""What the node makes of images: encodings, compressed ones, and those it cannot use."""

from __future__ import annotations

import array
from typing import Any

import cv2
import numpy as np
import pytest

pytestmark = pytest.mark.ros


def test_compressed_topics_are_recognized_by_name(probe: Any, astronaut: Any) -> None:
    from sensor_msgs.msg import CompressedImage

    topic = "/camera/image_raw/compressed"
    probe.start(image_topics=[topic])
    jpeg = array.array("B", cv2.imencode(".jpg", astronaut)[1].tobytes())
    png = array.array("B", cv2.imencode(".png", astronaut)[1].tobytes())
    probe.ask(CompressedImage(format="bgr8; jpeg compressed bgr8", data=jpeg), 1.0, topic)
    answer = probe.ask(CompressedImage(format="png", data=png), 1.1, topic)
    assert answer.camera == topic
    assert [face.emotion for face in answer.emotions] == ["happy"]


def test_a_transport_can_be_named_where_the_topic_does_not_say(probe: Any, astronaut: Any) -> None:
    from sensor_msgs.msg import CompressedImage

    probe.start(image_topics=["/front"], image_transports=["compressed"])
    jpeg = array.array("B", cv2.imencode(".jpg", astronaut)[1].tobytes())
    assert probe.ask(CompressedImage(format="jpeg", data=jpeg), 1.0, "/front").image_width == 320


@pytest.mark.yunet
@pytest.mark.parametrize("encoding", ["rgb8", "bgra8", "mono8", "yuv422_yuy2", "nv21"])
def test_encodings_show_the_same_face(probe: Any, as_message: Any, astronaut: Any, encoding: str) -> None:
    probe.start()
    if encoding == "yuv422_yuy2":
        message = as_message(cv2.cvtColor(astronaut, cv2.COLOR_BGR2YUV_YUY2), encoding)
    elif encoding == "nv21":
        planar = cv2.cvtColor(astronaut, cv2.COLOR_BGR2YUV_I420).reshape(-1)
        chroma = planar[320 * 240 :].reshape(2, -1)
        data = np.concatenate([planar[: 320 * 240], chroma[::-1].T.reshape(-1)])
        message = as_message(astronaut, encoding)
        message.step, message.data = 320, array.array("B", data.tobytes())
    else:
        code = {"rgb8": cv2.COLOR_BGR2RGB, "bgra8": cv2.COLOR_BGR2BGRA, "mono8": cv2.COLOR_BGR2GRAY}[encoding]
        message = as_message(cv2.cvtColor(astronaut, code), encoding)
    probe.ask(message, 1.0)
    (face,) = probe.ask(message, 1.1).emotions
    assert face.emotion == "happy"
    assert 60 < face.roi.x_offset + face.roi.width / 2 < 180


def bad_images(as_message: Any, astronaut: Any) -> dict[str, Any]:
    """By cause."""
    unknown = as_message(astronaut, "theora")
    deep = as_message(np.zeros((240, 640), np.uint8), "mono16")
    deep.width = 320
    truncated = as_message(astronaut)
    truncated.data = truncated.data[:1000]
    step = as_message(astronaut)
    step.step = 100
    empty = as_message(astronaut)
    empty.width = empty.height = empty.step = 0
    empty.data = array.array("B")
    huge = as_message(astronaut)
    huge.width, huge.height, huge.step = 2**31, 2**31, 2**31
    odd = as_message(astronaut[:, :161, :2], "yuv422_yuy2")
    return {
        "encoding": [unknown, deep],
        "truncated": [truncated],
        "step": [step],
        "size": [empty],
        "too_large": [huge],
        "odd_size": [odd],
    }


def test_bad_images_are_counted_by_cause_and_the_next_good_one_is_answered(
    probe: Any, as_message: Any, astronaut: Any
) -> None:
    log = probe.listen_to_log()
    probe.start()
    probe.ask(astronaut, 0.1)
    stamp = 1.0
    expected: dict[str, int] = {}
    for cause, messages in bad_images(as_message, astronaut).items():
        for message in messages:
            for _ in range(2):
                probe.send_bad(message, stamp, cause)
                probe.ask(astronaut, stamp + 0.1)
                stamp += 1.0
                expected[cause] = expected.get(cause, 0) + 1
    assert probe.state == "active"

    status = probe.fresh_status("camera /image_raw")
    values = {item.key: item.value for item in status.values}
    assert {cause: int(values[f"dropped {cause}"]) for cause in expected} == expected
    assert status.level == b"\x01"
    assert "bad images" in status.message

    probe.until(lambda: sum("image_raw" in entry.msg for entry in log) >= len(expected))
    warnings = [entry.msg for entry in log if "/image_raw:" in entry.msg]
    for cause in expected:
        assert len([text for text in warnings if f"({cause};" in text]) == 1, f"{cause} is logged once: {warnings}"


def test_a_corrupt_jpeg_is_dropped(probe: Any, astronaut: Any) -> None:
    from sensor_msgs.msg import CompressedImage

    topic = "/image_raw/compressed"
    probe.start(image_topics=[topic])
    jpeg = cv2.imencode(".jpg", astronaut)[1].tobytes()
    for stamp, data, cause in ((1.0, jpeg[:60], "truncated"), (2.0, b"", "truncated"), (3.0, bytes(5000), "corrupt")):
        probe.send_bad(CompressedImage(format="jpeg", data=array.array("B", data)), stamp, cause, topic)
        answer = probe.ask(CompressedImage(format="jpeg", data=array.array("B", jpeg)), stamp + 0.5, topic)
        assert answer.image_height == 240
    assert probe.dropped(topic) == {"truncated": 2, "corrupt": 1}


@pytest.mark.yunet
def test_a_camera_may_change_its_resolution(probe: Any, astronaut: Any) -> None:
    probe.start()
    probe.ask(astronaut, 1.0)
    probe.ask(astronaut, 1.1)
    larger = cv2.resize(astronaut, (480, 360))
    answers = [probe.ask(larger, 1.2 + step / 10) for step in range(3)]
    assert (answers[-1].image_width, answers[-1].image_height) == (480, 360)
    (face,) = [face for face in answers[-1].emotions if face.observed]
    assert 90 < face.roi.x_offset + face.roi.width / 2 < 270


def test_debug_image_is_the_answered_frame_with_its_faces(probe: Any, astronaut: Any, nobody: Any) -> None:
    from sensor_msgs.msg import CompressedImage, Image

    raw: list[Any] = []
    compressed: list[Any] = []
    probe.start()
    probe.ask(astronaut, 1.0)
    subscription = probe.subscribe(Image, "/fer/debug_image", raw)
    probe.subscribe(CompressedImage, "/fer/debug_image/compressed", compressed)
    probe.until(lambda: all(p.get_subscription_count() > 0 for p in probe.fer.publishers if "debug" in p.topic_name))

    sent = probe.send(astronaut, 1.1)
    shown = probe.until(lambda: next((m for m in raw if m.header == sent.header), None))
    (face,) = probe.until(lambda: probe.answer(sent)).emotions
    drawn = np.frombuffer(shown.data, np.uint8).reshape(240, 320, 3)
    changed = np.argwhere((drawn != astronaut).any(axis=2))
    assert changed.size, "nothing is drawn"
    roi = face.roi
    y, x = changed.mean(axis=0)
    assert roi.x_offset - 60 < x < roi.x_offset + roi.width + 60
    assert roi.y_offset - 60 < y < roi.y_offset + roi.height + 60
    jpeg = probe.until(lambda: next((m for m in compressed if m.header == sent.header), None))
    assert jpeg.format == "jpeg"
    seen = cv2.imdecode(np.frombuffer(jpeg.data, np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(seen.astype(int) - drawn.astype(int)).mean() < 6

    probe.node.destroy_subscription(subscription)
    publisher = next(p for p in probe.fer.publishers if p.topic_name == "/fer/debug_image")
    probe.until(lambda: publisher.get_subscription_count() == 0)
    count = len(raw)
    probe.ask(nobody, 3.0)
    assert len(raw) == count
