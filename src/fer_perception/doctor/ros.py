"""Checks of ROS 2: rclpy and the messages."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from fer_perception.doctor.check import Check, CheckStatus
from fer_perception.system.process import python_command

#: Starts ROS and prints the middleware: it fails with whatever keeps a node from starting. It makes none itself: others
#: would go on looking for it, and find the one that looks at a topic right after it late.
_ROS = """
import sys
import rclpy
from rclpy.utilities import get_rmw_implementation_identifier
rclpy.init(args=[])
domain = rclpy.get_default_context().get_domain_id()
if domain > 232:
    sys.exit(f"ROS_DOMAIN_ID is {domain}, its largest value 232")
print(f"rmw:{get_rmw_implementation_identifier()}")
rclpy.try_shutdown()
"""
#: Far longer than it takes, s.
_ROS_DEADLINE = 60.0


def _start_ros() -> tuple[str, str]:
    """Start ROS in a process of its own: ROS ends the whole process where the middleware is another one.

    Returns:
        The middleware, and the reason why no node starts; one of them is "".
    """
    command = python_command(code=_ROS)
    try:
        done = subprocess.run(command, capture_output=True, timeout=_ROS_DEADLINE, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return "", f"it did not come up within {_ROS_DEADLINE:.0f} s"
    except OSError as err:
        return "", f"{sys.executable} cannot be run ({err.strerror})"
    said = done.stdout.decode(errors="replace").splitlines()
    found = [line.removeprefix("rmw:") for line in said if line.startswith("rmw:")]
    if done.returncode == 0 and found:
        return found[-1], ""
    complaints = [line.strip() for line in (*said, *done.stderr.decode(errors="replace").splitlines()) if line.strip()]
    return "", complaints[-1] if complaints else f"it ended with exit status {done.returncode}"


def check_ros() -> list[Check]:
    """Check that a node starts and the messages are there."""
    fix = "source /opt/ros/<distribution>/setup.bash, or use the environment that `make setup` creates"
    missing = [name for name in ("rclpy", "sensor_msgs") if importlib.util.find_spec(name) is None]
    if missing:
        told = f"{' and '.join(missing)} cannot be imported; the node needs ROS 2, `fer run` and `fer replay` do not"
        return [Check("ROS 2", CheckStatus.WARNING, told, fix)]
    middleware, problem = _start_ros()
    if problem:
        fix += "; compare ROS_DOMAIN_ID (0 to 232), RMW_IMPLEMENTATION and ROS_LOG_DIR or HOME, where its log must go"
        return [Check("ROS 2", CheckStatus.FAILED, f"no node can be started: {problem}", fix)]
    domain = os.environ.get("ROS_DOMAIN_ID", "0")
    distribution = os.environ.get("ROS_DISTRO", "Python wheels")
    checks = [Check("ROS 2", CheckStatus.OK, f"{distribution}, {middleware}, ROS_DOMAIN_ID {domain}")]
    try:
        from fer_msgs.msg import EmotionArray

        EmotionArray.__class__.__import_type_support__()
    except ImportError:
        checks.append(
            Check(
                "fer_msgs",
                CheckStatus.FAILED,
                "is not built or not sourced",
                "colcon build, then source install/setup.bash",
            )
        )
    except Exception as err:  # noqa: BLE001 - rclpy's UnsupportedTypeSupport is no public name
        told = f"its libraries do not load ({err})"
        checks.append(
            Check("fer_msgs", CheckStatus.FAILED, told, "build it for this ROS and source install/setup.bash")
        )
    else:
        checks.append(Check("fer_msgs", CheckStatus.OK, str(Path(sys.modules["fer_msgs"].__file__ or "").parent)))
    if importlib.util.find_spec("cv_bridge") is None:
        checks.append(Check("cv_bridge", CheckStatus.OK, "not installed; only rare image encodings need it"))
    return checks
