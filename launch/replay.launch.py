"""A recorded bag through the live node: what a robot would have published (`fer replay` is faster and repeatable).

    ros2 launch fer_perception replay.launch.py bag:=/path/to/bag image_topics:=/camera/image_raw

Takes the arguments of fer.launch.py as well. Ends with the bag. What the robot's node said at the time is played under
/recorded, so that it does not mix with what this one says.
"""

from __future__ import annotations

from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    OpaqueFunction,
    Shutdown,
    TimerAction,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

# What the node publishes, in its namespace.
RESULTS = ("emotions", "fer/debug_image", "fer/debug_image/compressed")


def play_bag(context: LaunchContext) -> list[ExecuteProcess]:
    """The bag, with recorded results under another name. Option `--exclude-topics` is not in Humble."""

    def given(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    namespace = given("namespace").strip("/")
    results = [f"/{namespace}/{name}" if namespace else f"/{name}" for name in RESULTS]
    if given("ros4hri") == "publish":
        results.append("/humans/faces/tracked")
    options = ["--clock", "--rate", given("rate"), "--delay", given("delay")]
    return [
        ExecuteProcess(
            cmd=[
                *("ros2", "bag", "play", given("bag"), *options),
                *("--remap", *(f"{topic}:=/recorded{topic}" for topic in results)),
            ],
            output="screen",
            # The last images are still on their way through the node.
            on_exit=[TimerAction(period=1.0, actions=[Shutdown(reason="the bag has ended")])],
        )
    ]


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription(
        [
            DeclareLaunchArgument("bag", description="The rosbag2 recording to play."),
            DeclareLaunchArgument(
                "rate", default_value="1.0", description="How many times faster than it was recorded."
            ),
            DeclareLaunchArgument(
                "delay", default_value="3.0", description="Time the node gets to load its networks first, in s."
            ),
            # The bag is the clock, so that the node's log has the time of the recording.
            DeclareLaunchArgument(
                "use_sim_time",
                default_value="true",
                choices=["true", "false"],
                description="Take the time from the bag instead of the system.",
            ),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(str(Path(__file__).parent / "fer.launch.py")),
                launch_arguments={"use_sim_time": LaunchConfiguration("use_sim_time")}.items(),
            ),
            OpaqueFunction(function=play_bag),
        ]
    )
