"""The node as a process: how it starts, what it says, how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.ros


def start(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "fer_perception.node", "--ros-args", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=dict(os.environ))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly_while_it_works(probe: Any, astronaut: Any, number: int) -> None:
    from sensor_msgs.msg import Image

    process = start("-p", "threads:=1")
    publisher = probe.node.create_publisher(Image, "/image_raw", 1)
    probe.until(lambda: publisher.get_subscription_count() > 0)
    message = made_image(astronaut)
    stamp = 0

    def answered() -> bool:
        nonlocal stamp
        stamp += 1
        message.header.stamp.sec = stamp
        publisher.publish(message)
        return bool(probe.emotions)

    probe.until(answered)
    process.send_signal(number)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0, output
    assert "Traceback" not in output


def test_ctrl_c_more_than_once_ends_it_as_cleanly(probe: Any, interrupt: Any) -> None:
    process = start("-p", "threads:=1")
    probe.until(lambda: (status := probe.status("fer: node")) and status.message == "active")
    interrupt(process)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0, output
    assert "Traceback" not in output


def test_remapping_and_a_params_file_reach_it(probe: Any, tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    params.write_text("/**:\n  ros__parameters:\n    filter: ema\n    birth_time: 1\n    image_topics: ['']\n")
    process = start("-r", "image_raw:=/camera/color/image_raw", "--params-file", str(params), "-r", "__ns:=/robot")
    try:
        probe.until(lambda: probe.node.count_subscribers("/camera/color/image_raw") == 1)
        probe.until(lambda: probe.status("robot/fer: camera /camera/color/image_raw"))
        assert parameter(probe, "/robot/fer", "filter").string_value == "ema"
        # An integer where a number with a point is meant is no reason to refuse.
        assert parameter(probe, "/robot/fer", "birth_time").double_value == 1.0
        assert probe.node.count_publishers("/robot/emotions") == 1
    finally:
        process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0, output


UNUSED = """
fer:
  ros__parameters:
    min_face_sise: 40
    autostart: false
    source: a.mp4
    qos_overrides:
      /emotions: {publisher: {deepth: 3, depth: 3}}
      /emotion: {publisher: {depth: 3}}
fer_node:
  ros__parameters:
    min_face_size: 41
image_source:
  ros__parameters:
    source: a.mp4
"""


def test_parameters_that_change_nothing_are_told_once(probe: Any, tmp_path: Path) -> None:
    from lifecycle_msgs.msg import Transition
    from lifecycle_msgs.srv import ChangeState

    params = tmp_path / "params.yaml"
    params.write_text(UNUSED)
    process = start("--params-file", str(params), "-p", "threads:=1")
    try:
        probe.until_status("fer: node", "unconfigured")
        for transition in (
            Transition.TRANSITION_CONFIGURE,
            Transition.TRANSITION_CLEANUP,
            Transition.TRANSITION_CONFIGURE,
        ):
            assert probe.call(ChangeState, "/fer/change_state", transition=Transition(id=transition)).success
    finally:
        process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    warnings = [line for line in output.splitlines() if "[WARN]" in line]
    assert process.returncode == 0, output
    for told in (
        "there is no parameter 'min_face_sise', it is ignored; did you mean 'min_face_size'?",
        "there is no parameter 'qos_overrides./emotions.publisher.deepth'; expected",
        "qos_overrides./emotion.publisher.depth is of no topic of this node",
        "the section /fer_node is not for /fer: min_face_size there changes nothing",
    ):
        assert len([line for line in warnings if told in line]) == 1, output
    assert "'source'" not in output, "the image source may read the same section"
    assert "qos_overrides./emotions.publisher.depth is of" not in output


def test_a_params_file_without_a_section_for_it_is_told(probe: Any, tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    params.write_text("fer_node: {ros__parameters: {min_face_size: 40}}\n")
    process = start("--params-file", str(params), "-p", "autostart:=false")
    try:
        probe.until_status("fer: node", "unconfigured")
    finally:
        process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert "has no section for /fer, so nothing is taken from it (there are: /fer_node)" in output


def test_a_bad_value_at_start_is_told_and_it_lives_on_unconfigured(probe: Any) -> None:
    process = start("-p", "filter:=magic", "-p", "threads:=many")
    try:
        status = probe.until_status("fer: node", "filter is 'magic'")
        assert "threads is 'many'" in status.message
        assert {item.key: item.value for item in status.values}["lifecycle state"] in ("configuring", "unconfigured")
    finally:
        process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0, output
    assert "expected one of: none, ema, hmm" in output


def test_a_command_line_that_cannot_be_read_is_told_in_one_line(ros_domain_id: int) -> None:
    process = start("--params-file", "/no/such/file.yaml")
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "fer: cannot start" in output
    assert "/no/such/file.yaml" in output
    assert "Traceback" not in output


def parameter(probe: Any, node: str, name: str) -> Any:
    from rcl_interfaces.srv import GetParameters

    (value,) = probe.call(GetParameters, f"{node}/get_parameters", names=[name]).values
    return value


def made_image(image: Any) -> Any:
    import array

    from sensor_msgs.msg import Image

    height, width = image.shape[:2]
    return Image(height=height, width=width, step=3 * width, encoding="bgr8", data=array.array("B", image.tobytes()))
