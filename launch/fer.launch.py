"""The expression node `fer`, and on request a source of images for it.

    ros2 launch fer_perception fer.launch.py image_topics:=/camera/image_raw
    ros2 launch fer_perception fer.launch.py source:=0

An argument that is not given sets nothing: the params file decides, and without one the node's own default. An argument
that is given wins over the params file.
"""

from __future__ import annotations

from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

BOOLEANS = ["", "true", "false"]

# Arguments with the name of the parameter of the node that they set.
STRING_PARAMETERS = ("backend", "ros4hri")
BOOLEAN_PARAMETERS = ("use_sim_time", "autostart")

ARGUMENTS = [
    DeclareLaunchArgument(
        "image_topics",
        default_value="",
        description="Image topics, one for each camera, separated by commas; one that ends in /compressed carries "
        "CompressedImage. Not given: image_raw in the node's namespace.",
    ),
    DeclareLaunchArgument(
        "params_file",
        default_value="",
        description="YAML file with parameters of the node, such as those in share/fer_perception/config.",
    ),
    DeclareLaunchArgument("namespace", default_value="", description="Namespace of everything started here."),
    DeclareLaunchArgument(
        "backend",
        default_value="",
        description="What runs the expression model: auto, tensorrt, onnxruntime, ... (all: `ros2 param describe /fer "
        "backend`).",
    ),
    DeclareLaunchArgument(
        "ros4hri",
        default_value="",
        choices=["", "disabled", "publish", "consume"],
        description="Part in ROS4HRI (REP-155): publish faces under /humans/faces, or consume another detector's.",
    ),
    DeclareLaunchArgument(
        "use_sim_time",
        default_value="",
        choices=BOOLEANS,
        description="Take the time from /clock instead of the system.",
    ),
    DeclareLaunchArgument(
        "autostart",
        default_value="",
        choices=BOOLEANS,
        description="Configure and activate by itself; false leaves that to a lifecycle manager.",
    ),
    DeclareLaunchArgument(
        "log_level", default_value="", description="Lowest severity logged: debug, info, warn, error or fatal."
    ),
    DeclareLaunchArgument(
        "source",
        default_value="",
        description="Publish this on the image topic: the index of a webcam, a video file or a directory of images. "
        "Not given: a camera driver runs elsewhere.",
    ),
]


def start_nodes(context: LaunchContext) -> list[Node]:
    """The nodes with exactly what was given. Conditions and substitutions cannot leave a parameter out."""

    def given(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    # `ros2 launch` ignores arguments that no file declares: the node would listen to another topic than asked for.
    if "image_topic" in context.launch_configurations:
        msg = "image_topic: the argument is called image_topics; several topics are separated by commas"
        raise RuntimeError(msg)
    files = []
    if given("params_file"):
        # launch_ros would only warn, and the node run with other parameters than asked for.
        path = Path(given("params_file")).expanduser()
        if not path.is_file():
            msg = f"params_file: there is no file {path} (seen from {Path.cwd()})"
            raise RuntimeError(msg)
        files.append(str(path))

    explicit: dict[str, bool | str | list[str]] = {}
    topics = [topic.strip() for topic in given("image_topics").split(",") if topic.strip()]
    if topics:
        explicit["image_topics"] = topics
    for name in STRING_PARAMETERS:
        if given(name):
            explicit[name] = given(name)
    for name in BOOLEAN_PARAMETERS:
        if given(name):
            explicit[name] = given(name) == "true"

    log_level = ["--ros-args", "--log-level", given("log_level")] if given("log_level") else []
    # With name and namespace both said, launch_ros writes the parameters for exactly that node: as strong as a section
    # with its name in the params file, and later.
    nodes = [
        Node(
            package="fer_perception",
            executable="fer_node",
            name="fer",
            namespace=given("namespace"),
            parameters=[*files, explicit] if explicit else files,
            arguments=log_level,
            output="screen",
            emulate_tty=True,
        )
    ]
    if given("source"):
        if topics and topics[0].endswith("/compressed"):
            msg = f"source: publishes raw images, {topics[0]} is a topic of compressed ones: give another image_topics"
            raise RuntimeError(msg)
        image_parameters: dict[str, bool | str] = {"source": given("source")}
        if "use_sim_time" in explicit:
            image_parameters["use_sim_time"] = bool(explicit["use_sim_time"])
        nodes.append(
            Node(
                package="fer_perception",
                executable="image_source",
                name="image_source",
                namespace=given("namespace"),
                parameters=[*files, image_parameters],
                remappings=[("image_raw", topics[0])] if topics else [],
                arguments=log_level,
                output="screen",
                emulate_tty=True,
            )
        )
    return nodes


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=start_nodes)])
