"""Shared memory of Fast DDS that is large enough for images."""

from __future__ import annotations

import os
from pathlib import Path

from fer_perception.share import share_directory

#: What a user may have set to choose transports himself.
_CHOSEN_BY = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE", "FASTDDS_BUILTIN_TRANSPORTS")


def profile_path() -> Path:
    """The profile that is shipped; it says why and for which process it is needed."""
    return share_directory() / "config" / "fastdds_large_images.xml"


def use_large_shared_memory() -> bool:
    """Let this process publish large images without loss; call it before rclpy.init.

    Other middlewares ignore the variable.

    Returns:
        Whether the profile is used now; False where the user has chosen one, or it is not installed.
    """
    if any(os.environ.get(name) for name in _CHOSEN_BY) or not profile_path().is_file():
        return False
    os.environ["FASTRTPS_DEFAULT_PROFILES_FILE"] = str(profile_path())
    return True
