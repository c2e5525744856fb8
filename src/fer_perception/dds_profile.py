"""Shared memory of Fast DDS that is large enough for images."""

from __future__ import annotations

import os
from pathlib import Path

from fer_perception.share import share_directory

#: Names the profile to Fast DDS 2 (Humble, Jazzy), and to Fast DDS 3, which warns of the older one or ignores it.
_PROFILE_2, _PROFILE_3 = "FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE"
#: What a user may have set to choose transports himself.
_CHOSEN_BY = (_PROFILE_2, _PROFILE_3, "FASTDDS_BUILTIN_TRANSPORTS")


def profile_path() -> Path:
    """The profile that is shipped; it says why and for which process it is needed."""
    return share_directory() / "config" / "fastdds_large_images.xml"


def use_large_shared_memory() -> bool:
    """Let this process publish large images without loss; call it before rclpy.init.

    Other middlewares ignore the variable. Where no ROS is sourced, the wheels are those of Jazzy.

    Returns:
        Whether the profile is used now; False where the user has chosen one, or it is not installed.
    """
    if any(os.environ.get(name) for name in _CHOSEN_BY) or not profile_path().is_file():
        return False
    older = os.environ.get("ROS_DISTRO", "jazzy") in ("humble", "jazzy")
    os.environ[_PROFILE_2 if older else _PROFILE_3] = str(profile_path())
    return True
