"""One node for several cameras: their faces go through the network in one batch, and no two get the same id.

    ros2 launch fer_perception multi_camera.launch.py image_topics:=/front/image_raw,/rear/image_raw/compressed

Takes the arguments of fer.launch.py as well.
"""

from __future__ import annotations

from pathlib import Path

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "image_topics",
                default_value="front/image_raw,rear/image_raw",
                description="Image topics of the cameras, separated by commas; one that ends in /compressed carries "
                "CompressedImage.",
            ),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(str(Path(__file__).parent / "fer.launch.py")),
                launch_arguments={"image_topics": LaunchConfiguration("image_topics")}.items(),
            ),
        ]
    )
