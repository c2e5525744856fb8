"""The examples without the demo: parameters, signals, and cameras and messages that are not as one would wish."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from load_example import load_example

pytestmark = pytest.mark.ros

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def command(name: str, *parameters: str) -> list[str]:
    options = [word for parameter in parameters for word in ("-p", parameter)]
    return [sys.executable, str(EXAMPLES / name), "--ros-args", *options]


@pytest.mark.parametrize(
    ("name", "parameter", "words"),
    [
        ("virtual_agent.py", "rig:=foo", "rig is 'foo'; expected one of: arkit, facs"),
        ("virtual_agent.py", "osc_port:=99999", "osc_port is 99999; expected 1 to 65535"),
        ("dialogue_manager.py", "dwell:=long", "dwell is 'long'; expected a number"),
    ],
)
def test_a_bad_parameter_is_one_line(ros_domain_id: int, name: str, parameter: str, words: str) -> None:
    environment = {**os.environ, "ROS_DOMAIN_ID": str(ros_domain_id)}
    done = subprocess.run(
        command(name, parameter), capture_output=True, text=True, timeout=60, check=False, env=environment
    )
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("virtual_agent.py", ("time_constant:=0", "patience:=1")), ("dialogue_manager.py", ("dwell:=1", "silence:=3"))],
)
@pytest.mark.parametrize("again", [False, True], ids=["sigterm", "ctrl-c more than once"])
def test_whole_numbers_will_do_and_signals_end_it(
    ros_domain_id: int, name: str, parameters: tuple[str, ...], again: bool
) -> None:
    import rclpy

    context = rclpy.Context()
    rclpy.init(context=context, domain_id=ros_domain_id, args=[])
    listener = rclpy.create_node("listener", context=context)
    environment = {**os.environ, "ROS_DOMAIN_ID": str(ros_domain_id)}
    process = subprocess.Popen(command(name, *parameters), stderr=subprocess.PIPE, text=True, env=environment)
    try:
        deadline = time.monotonic() + 60
        while name.removesuffix(".py") not in listener.get_node_names() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT if again else signal.SIGTERM)
        while again and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
            process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    finally:
        process.kill()
        listener.destroy_node()
        rclpy.try_shutdown(context=context)
    assert process.returncode == 0, said
    assert "Traceback" not in said


class Clock:
    """Time that passes when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


def wait_for(node: Any, condition: Callable[[], Any]) -> None:
    import rclpy

    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        rclpy.spin_once(node, timeout_sec=0.1)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, ros_domain_id: int) -> Iterator[Clock]:
    import rclpy

    rclpy.init(domain_id=ros_domain_id)
    yield Clock()
    rclpy.try_shutdown()


Made = Callable[[str, str], tuple[Any, list[Any]]]


@pytest.fixture
def bag_clock(ros_domain_id: int) -> Iterator[None]:
    """The clock of a bag that is over: it stands."""
    import rclpy

    rclpy.init(args=["--ros-args", "-p", "use_sim_time:=true"], domain_id=ros_domain_id)
    yield
    rclpy.try_shutdown()


@pytest.fixture
def made(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Made]:
    """Makes the node of an example, with our clock where the test has it; returns it and what it publishes."""
    nodes: list[Any] = []

    def make(name: str, node_class: str) -> tuple[Any, list[Any]]:
        monkeypatch.syspath_prepend(str(EXAMPLES))
        module = load_example(name)
        if "clock" in request.fixturenames:
            monkeypatch.setattr(module, "time", request.getfixturevalue("clock"))
        nodes.append(getattr(module, node_class)())
        published: list[Any] = []
        nodes[-1]._publisher = SimpleNamespace(publish=published.append)
        return nodes[-1], published

    yield make
    for node in nodes:
        node.destroy_node()


def emotions(emotion: str = "happy", scores: tuple[float, ...] = (0.0, 1.0)) -> Any:
    from fer_msgs.msg import Emotion, EmotionArray

    face = Emotion(face_id="f1", emotion=emotion, confidence=0.9, observed=True, scores=scores)
    return EmotionArray(camera="/cam", labels=["neutral", "happy"], emotions=[face])


def show(node: Any, clock: Clock, *, images: int, apart: float) -> None:
    """One image every `apart` s; the node's timer every quarter of a second."""
    for _ in range(images):
        node._on_emotions(emotions())
        for _ in range(round(apart / 0.25)):
            clock.now += 0.25
            node._on_timer()


def test_a_camera_without_stamps_is_heard(clock: Clock, made: Made) -> None:
    node, events = made("dialogue_manager", "DialogueManager")
    for _ in range(20):
        node._on_emotions(emotions())
        clock.now += 0.1
    assert [event.current for event in events] == ["happy"]


def test_faces_are_gone_when_a_bag_is_over(bag_clock: None, made: Made) -> None:
    node, events = made("dialogue_manager", "DialogueManager")
    for second in (1, 2):
        message = emotions()
        message.header.stamp.sec = second
        node._on_emotions(message)
    assert [event.current for event in events] == ["happy"]
    wait_for(node, lambda: [event.current for event in events] == ["happy", ""])


def test_the_agent_comes_to_rest_when_a_bag_is_over(bag_clock: None, made: Made) -> None:
    node, shapes = made("virtual_agent", "VirtualAgent")
    node._on_emotions(emotions())
    wait_for(node, lambda: shapes and shapes[-1].face_id == "")


def test_a_slow_camera_is_not_silent(clock: Clock, made: Made) -> None:
    node, events = made("dialogue_manager", "DialogueManager")
    show(node, clock, images=6, apart=2.0)
    assert [event.current for event in events] == ["happy"]
    clock.now += 60.0
    node._on_timer()
    node._on_timer()
    assert [event.current for event in events] == ["happy", ""]


def test_the_agent_keeps_looking_at_somebody_a_slow_camera_shows(clock: Clock, made: Made) -> None:
    node, shapes = made("virtual_agent", "VirtualAgent")
    show(node, clock, images=6, apart=1.0)
    # Its rhythm is known from the second image on.
    assert [shape.face_id for shape in shapes[4:]] == ["f1"] * 20
    clock.now += 60.0
    node._on_timer()
    assert shapes[-1].face_id == ""


@pytest.mark.parametrize("scores", [(1.0,), (math.nan, math.nan)])
def test_a_malformed_message_does_not_reach_the_face(clock: Clock, made: Made, scores: tuple[float, ...]) -> None:
    node, shapes = made("virtual_agent", "VirtualAgent")
    node._on_emotions(emotions(scores=scores))
    node._on_timer()
    assert all(weight == 0.0 for weight in shapes[-1].weights)


@pytest.mark.parametrize(("labels", "words"), [(("happy", "sad"), 0), (("drowsy", "awake"), 1), (("drowsy", "sad"), 0)])
def test_the_agent_says_that_it_has_no_face_for_a_model(
    clock: Clock, made: Made, capfd: pytest.CaptureFixture[str], labels: tuple[str, ...], words: int
) -> None:
    node, _ = made("virtual_agent", "VirtualAgent")
    message = emotions(scores=(0.5, 0.5))
    message.labels = list(labels)
    for _ in range(3):
        node._on_emotions(message)
    assert capfd.readouterr().err.count("the face stays at rest: none of the classes") == words


def test_a_face_id_forges_no_line_of_the_log(clock: Clock, made: Made, capfd: pytest.CaptureFixture[str]) -> None:
    node, events = made("dialogue_manager", "DialogueManager")
    message = emotions()
    message.emotions[0].face_id = "f1\n[ERROR] [motors]: overheated\x1b[2J" + "x" * 100_000
    for _ in range(20):
        node._on_emotions(message)
        clock.now += 0.1
    assert [event.current for event in events] == ["happy"]
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "overheated" in line]
    assert r"face f1\n[ERROR] [motors]: overheated\x1b[2J" in line
    assert len(line) < 400


def test_cameras_are_forgotten(clock: Clock, made: Made) -> None:
    node, _ = made("dialogue_manager", "DialogueManager")
    for number in range(1000):
        message = emotions()
        message.camera = f"/camera{number}"
        node._on_emotions(message)
        clock.now += 0.01
    assert len(node._heard) <= 100
    assert len(node._changes._cameras) <= 100
    for _ in range(2):
        clock.now += 61.0
        node._on_timer()
    assert not node._heard
    assert not node._changes._cameras
