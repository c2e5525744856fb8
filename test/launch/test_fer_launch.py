"""The launch files run by the real launch, with executables that only write down how they were started.

What the parameters come out as is asked of a real rclpy node that gets the same arguments.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("launch_ros.actions", reason="launch_ros is not installed (it is not on PyPI)")
pytestmark = pytest.mark.ros

RECORDER = """#!{python}
import json, pathlib, sys
pathlib.Path({directory!r}, pathlib.Path(sys.argv[0]).name + ".json").write_text(json.dumps(sys.argv))
"""


class Launched:
    """One run of a launch file; `commands` has the command line of each executable that was started."""

    def __init__(self, path: Path, arguments: dict[str, str], results: Path) -> None:
        from launch import LaunchDescription, LaunchService
        from launch.actions import IncludeLaunchDescription
        from launch.launch_description_sources import PythonLaunchDescriptionSource

        for old in results.glob("*.json"):
            old.unlink()
        service = LaunchService(noninteractive=True)
        source = PythonLaunchDescriptionSource(str(path))
        include = IncludeLaunchDescription(source, launch_arguments=arguments.items())
        service.include_launch_description(LaunchDescription([include]))
        self.status = service.run()
        self.commands = {file.stem: json.loads(file.read_text()) for file in results.glob("*.json")}

    def parameter(self, executable: str, name: str, default: Any, *, node: str | None = None) -> Any:
        """The value a node started like that sees, `default` where nobody set it."""
        import rclpy
        from rcl_interfaces.msg import ParameterDescriptor

        context = rclpy.Context()
        rclpy.init(args=self.commands[executable], context=context)
        try:
            made = rclpy.create_node(node or executable, context=context)
            loose = ParameterDescriptor(dynamic_typing=True)
            if made.has_parameter(name):
                return made.get_parameter(name).value
            return made.declare_parameter(name, default, loose).value
        finally:
            rclpy.shutdown(context=context)


@pytest.fixture
def launch(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ros_domain_id: int):
    prefix = tmp_path / "prefix"
    index = prefix / "share/ament_index/resource_index/packages"
    executables = prefix / "lib/fer_perception"
    results = tmp_path / "results"
    for directory in (index, executables, results):
        directory.mkdir(parents=True)
    (index / "fer_perception").touch()
    for name in ("fer_node", "image_source", "ros2"):
        (executables / name).write_text(RECORDER.format(python=sys.executable, directory=str(results)))
        (executables / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(executables), prepend=os.pathsep)
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(prefix))
    monkeypatch.setenv("ROS_LOG_DIR", str(tmp_path / "log"))

    def run(name: str = "fer.launch.py", **arguments: str) -> Launched:
        return Launched(repository / "launch" / name, arguments, results)

    return run


@pytest.fixture
def params_file(tmp_path: Path):
    def write(section: str, more: str = "") -> str:
        path = tmp_path / "params.yaml"
        path.write_text(f"{more}{section}:\n  ros__parameters:\n    backend: tensorrt\n    autostart: false\n")
        return str(path)

    return write


SECTIONS = ["fer", "/fer", "/**", "/**/fer"]


@pytest.mark.parametrize("section", SECTIONS)
def test_params_file_survives_a_launch_without_arguments(launch, params_file, section: str) -> None:
    launched = launch(params_file=params_file(section))
    assert launched.parameter("fer_node", "backend", "default", node="fer") == "tensorrt"
    assert launched.parameter("fer_node", "autostart", True, node="fer") is False


@pytest.mark.parametrize("section", SECTIONS)
def test_argument_wins_over_the_params_file(launch, params_file, section: str) -> None:
    general = "/**:\n  ros__parameters:\n    backend: auto\n" if section != "/**" else ""
    launched = launch(params_file=params_file(section, general), backend="onnxruntime", autostart="true")
    assert launched.parameter("fer_node", "backend", "default", node="fer") == "onnxruntime"
    assert launched.parameter("fer_node", "autostart", False, node="fer") is True


def test_nothing_given_sets_nothing(launch) -> None:
    launched = launch()
    assert set(launched.commands) == {"fer_node"}
    assert "--params-file" not in launched.commands["fer_node"]
    assert "-p" not in launched.commands["fer_node"]
    assert launched.parameter("fer_node", "backend", "default", node="fer") == "default"
    assert launched.parameter("fer_node", "image_topics", [""], node="fer") == [""]


def test_namespace(launch, params_file) -> None:
    launched = launch(namespace="robot1", params_file=params_file("/robot1/fer"), backend="onnxruntime")
    command = launched.commands["fer_node"]
    assert "__ns:=/robot1" in command
    assert "__node:=fer" in command
    assert launched.parameter("fer_node", "backend", "default", node="fer") == "onnxruntime"
    assert launched.parameter("fer_node", "autostart", True, node="fer") is False


def test_source_is_started_on_the_topic_of_the_node(launch) -> None:
    launched = launch(source="0", image_topics="/camera/image_raw", use_sim_time="true", log_level="debug")
    assert launched.parameter("image_source", "source", "") == "0"
    assert launched.parameter("image_source", "use_sim_time", False) is True
    assert "image_raw:=/camera/image_raw" in launched.commands["image_source"]
    assert launched.parameter("fer_node", "image_topics", [""], node="fer") == ["/camera/image_raw"]
    assert launched.parameter("fer_node", "use_sim_time", False, node="fer") is True
    for command in launched.commands.values():
        assert command[command.index("--log-level") + 1] == "debug"


def test_source_takes_its_section_of_the_params_file(launch, tmp_path: Path) -> None:
    path = tmp_path / "source.yaml"
    path.write_text("image_source:\n  ros__parameters:\n    source: old.mp4\n    rate: 5.0\n")
    launched = launch(source="new.mp4", params_file=str(path))
    assert launched.parameter("image_source", "source", "") == "new.mp4"
    assert launched.parameter("image_source", "rate", 0.0) == 5.0


def test_source_on_a_compressed_topic_is_an_error(launch, caplog: pytest.LogCaptureFixture) -> None:
    launched = launch(source="0", image_topics="/camera/image/compressed")
    assert launched.status != 0
    assert launched.commands == {}
    assert "source: publishes raw images, /camera/image/compressed is a topic of compressed ones" in caplog.text


def test_the_old_name_of_the_topics_is_an_error(launch, caplog: pytest.LogCaptureFixture) -> None:
    """`ros2 launch` is silent about arguments that no file declares."""
    launched = launch(image_topic="/camera/image_raw")
    assert launched.status != 0
    assert launched.commands == {}
    assert "image_topic: the argument is called image_topics" in caplog.text


def test_several_cameras(launch) -> None:
    launched = launch("multi_camera.launch.py", image_topics="/a/image_raw, /b/image/compressed", backend="auto")
    topics = launched.parameter("fer_node", "image_topics", [""], node="fer")
    assert topics == ["/a/image_raw", "/b/image/compressed"]
    assert launched.parameter("fer_node", "backend", "default", node="fer") == "auto"


def test_a_missing_params_file_is_an_error(launch, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    launched = launch(params_file=str(tmp_path / "nothing.yaml"))
    assert launched.status != 0
    assert launched.commands == {}
    assert f"there is no file {tmp_path / 'nothing.yaml'}" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "namespace", "more"),
    [({}, "", []), ({"namespace": "robot1"}, "/robot1", []), ({"ros4hri": "publish"}, "", ["/humans/faces/tracked"])],
)
def test_a_bag_is_played_with_its_own_results_set_apart(launch, arguments: dict, namespace: str, more: list) -> None:
    launched = launch("replay.launch.py", bag="talk", rate="2.0", **arguments)
    options, _, remapped = " ".join(launched.commands["ros2"][1:]).partition(" --remap ")
    assert options == "bag play talk --clock --rate 2.0 --delay 3.0"
    topics = [f"{namespace}/{name}" for name in ("emotions", "fer/debug_image", "fer/debug_image/compressed")]
    assert remapped.split() == [f"{topic}:=/recorded{topic}" for topic in (*topics, *more)]
    assert launched.parameter("fer_node", "use_sim_time", False, node="fer") is True
