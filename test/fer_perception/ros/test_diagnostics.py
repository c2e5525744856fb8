"""What diagnostics call well and what not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fer_perception.live.camera_statistics import Ages, CameraSnapshot

pytestmark = pytest.mark.ros

WELL = CameraSnapshot(
    received_hz=30.0,
    published_hz=29.8,
    received=300,
    published=298,
    dropped={},
    dropped_recently={},
    received_recently=150,
    age_at_dequeue=Ages(0.0005, 0.001, 0.002),
    age_at_publish=Ages(0.006, 0.009, 0.012),
    stages={"detect": 0.003},
    faces=2,
    last_received_age=0.02,
    last_error="",
)


def state(**changes: Any) -> Any:
    from fer_perception.ros.diagnostics import NodeState

    made = NodeState("robot/fer", "active", enabled=True, failure="", active_for=60.0, track_timeout=0.5)
    return replace(made, **changes)


def camera(snapshot: CameraSnapshot, publishers: int = 1, **changes: Any) -> tuple[int, str, dict[str, str]]:
    from fer_perception.ros.diagnostics import camera_status

    status = camera_status(state(**changes), "/image_raw", snapshot, publishers)
    assert status.name == "robot/fer: camera /image_raw"
    assert status.hardware_id == "/image_raw"
    return status.level[0], status.message, {item.key: item.value for item in status.values}


def test_a_camera_that_is_well() -> None:
    level, message, values = camera(WELL)
    assert (level, message) == (0, "29.8 results a second")
    assert values["input rate (Hz)"] == "30.0"
    assert values["age at publish p95 (ms)"] == "9.00"
    assert values["stage detect (ms)"] == "3.00"
    assert values["faces tracked"] == "2"
    assert values["last image age (s)"] == "0.02"


@pytest.mark.parametrize(
    ("changes", "publishers", "level", "told"),
    [
        ({"last_received_age": 3.21}, 1, 1, "stale: no image for 3.2 s"),
        ({"last_received_age": 3.21}, 0, 1, "stale: no image for 3.2 s; nobody publishes on this topic"),
        ({"last_received_age": None, "received": 0}, 0, 1, "stale: no image yet; nobody publishes on this topic"),
        ({"dropped_recently": {"overtaken": 60}}, 1, 1, "overloaded: 60 of the last 150 images"),
        ({"dropped_recently": {"overtaken": 5}}, 1, 0, "29.8 results a second"),
        ({"dropped_recently": {"max_rate": 100}}, 1, 0, "29.8 results a second"),
        (
            {"dropped_recently": {"step": 2, "corrupt": 1}, "last_error": "why"},
            1,
            1,
            "bad images (1 corrupt, 2 step): why",
        ),
        ({"dropped_recently": {"out_of_order": 4}}, 1, 1, "4 images out of order"),
        ({"noticed_recently": {"restart": 1}}, 2, 0, "29.8 results a second"),
        ({"noticed_recently": {"restart": 40}}, 1, 1, "time went back 40 times, which ends all tracks"),
        ({"noticed_recently": {"restart": 40}}, 2, 1, "all tracks; 2 publishers send to this topic, one should"),
        ({"noticed_recently": {"standing_stamp": 9}}, 1, 1, "stamps stand still"),
        ({"last_received_age": 3.21, "interval": 2.0}, 1, 0, "29.8 results a second"),
        ({"last_received_age": 5.21, "interval": 2.0}, 1, 1, "stale: no image for 5.2 s"),
        ({"dropped_recently": {"failed": 1}, "last_error": "gone"}, 1, 2, "processing fails: gone"),
    ],
)
def test_a_camera_that_is_not(changes: dict[str, Any], publishers: int, level: int, told: str) -> None:
    found, message, _ = camera(replace(WELL, **changes), publishers)
    assert found == level
    assert told in message


def test_a_camera_is_not_stale_before_it_had_its_time_nor_while_nobody_looks() -> None:
    silent = replace(WELL, last_received_age=None)
    assert camera(silent, active_for=0.3)[0] == 0
    assert camera(silent, active_for=None)[:2] == (0, "not looked at")
    assert camera(silent, enabled=False)[:2] == (0, "not looked at")


def test_why_nothing_can_arrive() -> None:
    from fer_perception.ros.diagnostics import camera_status

    silent = replace(WELL, last_received_age=None)
    status = camera_status(state(), "/image_raw", silent, 1, "the topic carries std_msgs/msg/String")
    assert status.message == "stale: no image yet; the topic carries std_msgs/msg/String"


@pytest.mark.parametrize(
    ("publishers", "changes", "level", "told"),
    [
        (1, {}, 0, "2 faces followed"),
        (0, {}, 1, "nobody publishes faces"),
        (0, {"active_for": None}, 0, "2 faces followed"),
    ],
)
def test_faces_of_another_node(publishers: int, changes: dict[str, Any], level: int, told: str) -> None:
    from fer_perception.ros.diagnostics import faces_status

    faces = {"/humans/faces/a/cropped": (WELL, 1), "/humans/faces/b/cropped": (WELL, 1)}
    status = faces_status(state(**changes), "/humans/faces/tracked", publishers, faces)
    assert status.level[0] == level
    assert status.message.startswith(told)
    values = {item.key: item.value for item in status.values}
    assert (values["faces followed"], values["publishers"]) == ("2", str(publishers))
    assert float(values["output rate (Hz)"]) == pytest.approx(2 * WELL.published_hz, abs=0.1)
    assert values["age at publish p95 (ms)"] == "9.00"
    assert faces.keys() <= values.keys()


def test_the_worst_of_another_nodes_faces_is_told_in_the_status_of_all() -> None:
    from fer_perception.ros.diagnostics import faces_status

    bad = replace(WELL, dropped={"encoding": 7}, dropped_recently={"encoding": 5}, last_error="no such encoding")
    faces = {
        "/humans/faces/a/cropped": (WELL, 1),
        "/humans/faces/b/cropped": (bad, 1),
        "/humans/faces/c/cropped": (bad, 1),
    }
    status = faces_status(state(), "/humans/faces/tracked", 1, faces)
    assert status.level == b"\x01"
    told = "3 faces followed; /humans/faces/b/cropped: bad images (5 encoding): no such encoding (and 1 more)"
    assert status.message == told
    values = {item.key: item.value for item in status.values}
    assert values["/humans/faces/c/cropped"].endswith("no such encoding; dropped: 7 encoding")


def test_a_face_that_has_only_just_appeared_is_not_called_stale() -> None:
    from fer_perception.ros.diagnostics import faces_status

    def told(awaited_for: float) -> tuple[bytes, str]:
        new = replace(WELL, last_received_age=None, interval=0.0, awaited_for=awaited_for)
        status = faces_status(state(), "/humans/faces/tracked", 1, {"/humans/faces/a/cropped": (new, 1)})
        return status.level, status.message

    assert told(0.1) == (b"\x00", "1 faces followed")
    assert told(0.6) == (b"\x01", "1 faces followed; /humans/faces/a/cropped: stale: no image yet")


def test_the_node_tells_its_state_and_why_it_is_not_further() -> None:
    from fer_perception.ros.diagnostics import node_status

    assert node_status(state()).message == "active"
    failed = node_status(state(lifecycle="unconfigured", failure="cannot configure: no model"))
    assert (failed.level, failed.message) == (b"\x02", "cannot configure: no model")
    assert "disabled" in node_status(state(enabled=False)).message


@pytest.mark.parametrize(
    ("backend", "fallback", "reason", "expected"),
    [
        ("onnxruntime/CPUExecutionProvider", False, "yunet_ort works", (0, "FP32", "yunet_ort and onnxruntime")),
        ("tensorrt/FP16", False, "yunet_ort works", (0, "FP16", "yunet_ort and tensorrt")),
        ("tensorrt/unknown", False, "yunet_ort works", (0, "unknown", "yunet_ort and tensorrt")),
        ("onnxruntime/CPU", True, "yunet_ort works", (1, "FP32", "fallen back to onnxruntime/CPU: the GPU is gone")),
        ("onnxruntime/CPU", False, "run this", (1, "FP32", "fallen back to the detector yunet_ort: run this")),
    ],
)
def test_what_runs_and_why(backend: str, fallback: bool, reason: str, expected: tuple[int, str, str]) -> None:
    level, precision, told = expected
    from fer_perception.ros.diagnostics import pipeline_status

    pipeline = SimpleNamespace(
        classifier=SimpleNamespace(
            backend=backend,
            fallback=fallback,
            reason="the GPU is gone",
            metadata=SimpleNamespace(model_id="m@1", precision="", class_prior=()),
        ),
        detector=SimpleNamespace(
            name="yunet_ort", reason=reason, fallback=reason == "run this", model_file="y.onnx, from the cache"
        ),
    )
    status = pipeline_status(state(), pipeline)
    assert status.level[0] == level
    assert told in status.message
    values = {item.key: item.value for item in status.values}
    assert values["detector file"] == "y.onnx, from the cache"
    assert (values["precision"], values["model"], values["backend reason"]) == (precision, "m@1", "the GPU is gone")
    assert pipeline_status(state(), None).message == "not configured"


def test_the_int8_version_is_called_so(repository: Path) -> None:
    from fer_perception.classification.create import create_classifier
    from fer_perception.ros.diagnostics import pipeline_status

    for name, precision in (("arch1_fer2013", "FP32"), ("arch1_fer2013_int8", "INT8")):
        classifier = create_classifier(repository / "models" / f"{name}.onnx", backend="onnxruntime", threads=1)
        detector = SimpleNamespace(name="haar", reason="", fallback=False, model_file="")
        values = pipeline_status(state(), SimpleNamespace(classifier=classifier, detector=detector)).values
        assert {item.key: item.value for item in values}["precision"] == precision
        classifier.close()
