"""A recorded bag through the live node: what a robot would have published (`fer replay` is faster and repeatable).

    ros2 launch fer_perception replay.launch.py bag:=/path/to/bag image_topic:=/camera/image_raw

Takes the arguments of fer.launch.py as well. Ends with the bag.
"""

from __future__ import annotations

from pathlib import Path

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess, IncludeLaunchDescription, Shutdown, TimerAction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration


def generate_launch_description() -> LaunchDescription:
    bag = LaunchConfiguration("bag")
    rate = LaunchConfiguration("rate")
    delay = LaunchConfiguration("delay")
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
            ExecuteProcess(
                cmd=["ros2", "bag", "play", bag, "--clock", "--rate", rate, "--delay", delay],
                output="screen",
                # The last pictures are still on their way through the node.
                on_exit=[TimerAction(period=1.0, actions=[Shutdown(reason="the bag has ended")])],
            ),
        ]
    )
