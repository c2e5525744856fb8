from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from changed_model import with_metadata
from run_fer import run_fer
from run_in_terminal import run_in_terminal

from fer_perception.doctor.check import CheckStatus
from fer_perception.doctor.machine import check_writable
from fer_perception.doctor.ros import check_ros


def rows_of(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in json.loads(done.stdout)}


def test_this_machine() -> None:
    done = run_fer("doctor", "--json")
    assert done.returncode == 0
    rows = rows_of(done)
    assert rows["expression model"]["verdict"] == "ok"
    assert "onnxruntime" in rows["expression model"]["message"]
    for name in ("opencv", "onnxruntime", "face detector", "cache of models", "cache of engines", "ROS 2"):
        assert name in rows
    assert all(row["fix"] for row in rows.values() if row["verdict"] != "ok")


def test_a_machine_without_yunet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_MODEL_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    rows = rows_of(run_fer("doctor", "--json"))
    assert rows["model yunet"] == {
        "name": "model yunet",
        "verdict": "warning",
        "message": "is not here; the Haar detector is weaker",
        "fix": "fer models fetch yunet",
    }
    assert rows["face detector"]["verdict"] == "warning"
    assert rows["face detector"]["message"].startswith("haar")


def test_what_a_params_file_has_for_others_is_told(tmp_path: Path) -> None:
    params = tmp_path / "fer.yaml"
    params.write_text("fer_node: {ros__parameters: {min_face_size: 40}}\n")
    done = run_fer("doctor", "--json", "--params", params)
    assert done.returncode == 0
    assert "fer.yaml has no section for fer, so nothing is taken from it (there are: /fer_node)" in done.stderr
    assert "min_face_size there changes nothing" in done.stderr


def test_a_model_that_does_not_state_its_class_prior(repository: Path, tmp_path: Path) -> None:
    shipped = repository / "models" / "ires_separable.onnx"
    model = with_metadata(shipped, tmp_path / "old.onnx", "fer.class_prior", None)
    params = tmp_path / "fer.yaml"
    params.write_text(f"model: {model}\n")
    row = rows_of(run_fer("doctor", "--json", "--params", params))["expression model"]
    assert row["verdict"] == "warning"
    assert "does not state its class prior" in row["message"]
    assert "fer-train export" in row["fix"]


def test_settings_that_cannot_work(tmp_path: Path) -> None:
    params = tmp_path / "fer.yaml"
    params.write_text("model: /nowhere/other.onnx\n")
    done = run_fer("doctor", "--json", "--params", params)
    assert done.returncode == 1
    row = rows_of(done)["expression model"]
    assert row["verdict"] == "failed"
    assert "/nowhere/other.onnx" in row["message"]


def test_for_people() -> None:
    done = run_fer("doctor")
    assert done.returncode == 0
    assert "expression model" in done.stdout
    assert "\x1b[" not in done.stdout


def test_messages_fit_a_narrow_terminal() -> None:
    command = [sys.executable, "-c", "from fer_perception.cli import main; main()", "doctor"]
    status, written = run_in_terminal(command, columns=80, stderr=False)
    assert status == 0
    lines = written.splitlines()
    assert any("expression model" in line for line in lines)
    # Only a word that is longer than the column, as a path, goes on in the next line.
    for line in lines:
        assert len(line) <= 80 or "->" in line or len(line.split()[-1]) > 30, line


def test_directories(tmp_path: Path) -> None:
    assert check_writable("cache", tmp_path / "new").verdict is CheckStatus.OK
    (tmp_path / "file").write_text("")
    check = check_writable("cache", tmp_path / "file" / "below")
    assert check.verdict is CheckStatus.WARNING
    assert "XDG_CACHE_HOME" in check.fix


def test_without_ros(tmp_path: Path) -> None:
    # A package directory in which rclpy cannot be found: the modules are hidden from the import system.
    code = """
import importlib.util, sys
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "rclpy" else found(name, *rest)
sys.argv = ["fer", "doctor", "--json", "--topic", "/camera"]
from fer_perception.cli import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    rows = rows_of(done)
    assert rows["ROS 2"]["verdict"] == "warning"
    assert "make setup" in rows["ROS 2"]["fix"]
    assert rows["images"]["verdict"] == "failed"
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("ROS_DOMAIN_ID", "abc", "ROS_DOMAIN_ID is not an integral number"),
        ("ROS_DOMAIN_ID", "300", "its largest value 232"),
        ("RMW_IMPLEMENTATION", "rmw_of_nobody", "rmw_of_nobody"),
        ("ROS_LOG_DIR", os.devnull, "Failed to create log directory"),
    ],
)
def test_an_environment_in_which_no_node_starts(
    name: str, value: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("rclpy")
    monkeypatch.setenv(name, value)
    done = run_fer("doctor", "--json", "--topic", "/camera", "--wait", "0.1")
    assert done.returncode == 1
    rows = rows_of(done)
    assert rows["ROS 2"]["verdict"] == "failed"
    assert told in rows["ROS 2"]["message"]
    assert name in rows["ROS 2"]["fix"]
    # What has nothing to do with ROS is told all the same.
    assert rows["expression model"]["verdict"] == "ok"
    assert rows["images"]["message"] == "/camera cannot be looked at without ROS 2"


def test_files_of_the_working_directory_are_not_taken_for_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ros_domain_id: int
) -> None:
    pytest.importorskip("rclpy")
    (tmp_path / "rclpy.py").write_text("raise SystemExit('not me')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROS_DOMAIN_ID", str(ros_domain_id))
    assert check_ros()[0].verdict is CheckStatus.OK


@pytest.fixture
def publish(ros_domain_id: int) -> Iterator[Callable[[str, Any], None]]:
    """Publishes one message again and again, at 30 Hz, while the test runs."""
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.qos import qos_profile_sensor_data

    context = rclpy.Context()
    rclpy.init(context=context, domain_id=ros_domain_id, args=[])
    node = rclpy.create_node("camera", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    thread = threading.Thread(target=executor.spin, daemon=True)

    def start(topic: str, message: Any) -> None:
        publisher = node.create_publisher(type(message), topic, qos_profile_sensor_data)
        node.create_timer(1 / 30, lambda: publisher.publish(message))
        thread.start()

    yield start
    executor.shutdown()
    thread.join(timeout=10)
    node.destroy_node()
    rclpy.try_shutdown(context=context)


def image(encoding: str, step: int, *, stamped: bool = True) -> Any:
    from sensor_msgs.msg import Image

    message = Image(height=48, width=64, encoding=encoding, step=step, data=np.zeros(48 * step, np.uint8).tobytes())
    message.header.frame_id = "optical"
    message.header.stamp.sec = int(stamped)
    return message


@pytest.mark.ros
class TestTopic:
    def test_a_healthy_camera(self, publish: Callable[[str, Any], None]) -> None:
        publish("/cam/image_raw", image("rgb8", 192))
        done = run_fer("doctor", "--json", "--topic", "/cam/image_raw", "--wait", "10")
        assert done.returncode == 0, done.stdout
        rows = rows_of(done)
        assert rows["images"]["message"] == "64x48 rgb8, frame optical"
        assert "/camera: sensor_msgs/msg/Image, best_effort, volatile" in rows["publisher"]["message"]
        assert rows["rate"]["message"].endswith("Hz")

    def test_an_encoding_that_cannot_be_used(self, publish: Callable[[str, Any], None]) -> None:
        publish("/cam/image_raw", image("mono16", 128))
        done = run_fer("doctor", "--json", "--topic", "/cam/image_raw", "--wait", "10")
        assert done.returncode == 1
        assert "mono16" in rows_of(done)["images"]["message"]

    @pytest.mark.parametrize(("transport", "works"), [("compressed", True), ("", False), ("raw", False)])
    def test_a_transport_that_the_params_file_names(
        self, publish: Callable[[str, Any], None], tmp_path: Path, transport: str, works: bool
    ) -> None:
        import cv2
        from sensor_msgs.msg import CompressedImage

        message = CompressedImage(
            format="jpeg", data=cv2.imencode(".jpg", np.zeros((48, 64, 3), np.uint8))[1].tobytes()
        )
        message.header.stamp.sec = 1
        publish("/cam/jpegs", message)
        params = tmp_path / "fer.yaml"
        topics = f"{{image_topics: [image_raw, /cam/jpegs], image_transports: [raw, '{transport}']}}"
        params.write_text(f"fer: {{ros__parameters: {topics}}}\n")
        done = run_fer("doctor", "--json", "--topic", "cam/jpegs", "--wait", "10", "--params", params)
        rows = rows_of(done)
        assert done.returncode == (0 if works else 1), done.stdout
        if works:
            assert rows["images"]["message"].startswith("64x48 jpeg")
        else:
            by = "image_transports" if transport else "its name"
            assert f"by {by} the node expects sensor_msgs/msg/Image" in rows["images"]["message"]

    def test_without_stamps(self, publish: Callable[[str, Any], None]) -> None:
        publish("/cam/image_raw", image("rgb8", 192, stamped=False))
        rows = rows_of(run_fer("doctor", "--json", "--topic", "/cam/image_raw", "--wait", "10"))
        assert rows["images"]["verdict"] == "warning"
        assert "without a stamp" in rows["images"]["message"]

    def test_the_wrong_topic(self, publish: Callable[[str, Any], None]) -> None:
        publish("/cam/image_raw", image("rgb8", 192))
        # Fast DDS announces a participant at once and then every 3 s: one of the two may be busy at first.
        done = run_fer("doctor", "--json", "--topic", "/front/image_raw", "--wait", "8")
        assert done.returncode == 1
        assert "image topics: /cam/image_raw" in rows_of(done)["publisher"]["message"]

    @pytest.mark.parametrize("name", ["", "bad topic", "/a//b", "1abc"])
    def test_no_topic_name(self, name: str) -> None:
        done = run_fer("doctor", "--json", "--topic", name, "--wait", "1")
        assert done.returncode == 1
        assert "is no topic name" in rows_of(done)["images"]["message"]

    def test_not_an_image(self, publish: Callable[[str, Any], None]) -> None:
        from std_msgs.msg import String

        publish("/talk", String(data="hello"))
        done = run_fer("doctor", "--json", "--topic", "/talk", "--wait", "10")
        assert done.returncode == 1
        assert "std_msgs/msg/String" in rows_of(done)["images"]["message"]
