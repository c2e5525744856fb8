"""What this machine has, which parts will run and how to mend what will not."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from fer_perception import __version__
from fer_perception.errors import FerError
from fer_perception.settings import PipelineSettings


class Verdict(Enum):
    """How a check went; the values are the JSON spelling."""

    OK = "ok"
    #: Works, but something better is possible, or a part nobody may need is missing.
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: what.
        verdict: how it went.
        message: what was found.
        mend: what to do about it; "" where all is well.
    """

    name: str
    verdict: Verdict
    message: str
    mend: str = ""


def check_machine(settings: PipelineSettings, progress: Callable[[str], None]) -> list[Check]:
    """Everything that needs no ROS.

    Args:
        settings: whose backend, model and detector are tried.
        progress: is told what takes long (the build of an engine).
    """
    return [
        Check("fer_perception", Verdict.OK, f"{__version__}, Python {platform.python_version()}, {platform.machine()}"),
        _check_opencv(),
        _check_package("onnxruntime", "runs both networks on the processor", "pip install onnxruntime"),
        _check_package("scipy", "matches detections with tracks", "pip install scipy"),
        _check_package("rosbags", "fer replay reads and writes bags with it", "pip install rosbags", needed=False),
        *_check_model_files(),
        _check_detector(settings),
        _check_classifier(settings, progress),
        *_check_caches(),
    ]


def _check_package(name: str, what_for: str, mend: str, *, needed: bool = True) -> Check:
    if importlib.util.find_spec(name) is None:
        verdict = Verdict.FAILED if needed else Verdict.WARNING
        return Check(name, verdict, f"is not installed; {what_for}", mend)
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        # Builds for Jetson carry other distribution names.
        version = str(getattr(importlib.import_module(name), "__version__", "version unknown"))
    if name == "onnxruntime":
        providers = importlib.import_module(name).get_available_providers()
        version += f" with {', '.join(provider.removesuffix('ExecutionProvider') for provider in providers)}"
    return Check(name, Verdict.OK, version)


def _check_opencv() -> Check:
    if importlib.util.find_spec("cv2") is None:
        return Check("opencv", Verdict.FAILED, "is not installed", "pip install 'opencv-python-headless>=4.8,<5'")
    import cv2

    parts = tuple(int("".join(c for c in part if c.isdigit()) or 0) for part in cv2.__version__.split(".")[:2])
    if parts >= (5, 0):
        mend = "pip install 'opencv-python-headless<5'"
        return Check("opencv", Verdict.WARNING, f"{cv2.__version__}: has no Haar cascades and breaks cv_bridge", mend)
    if parts < (4, 8):
        told = f"{cv2.__version__}: its FaceDetectorYN cannot read YuNet of 2023; YuNet through ONNX Runtime can"
        return Check("opencv", Verdict.OK, told)
    return Check("opencv", Verdict.OK, cv2.__version__)


def _check_model_files() -> list[Check]:
    from fer_perception.model_store import FileState, ModelStore

    checks = []
    for status in ModelStore().verify():
        name = f"model {status.entry.name}"
        if status.state in {FileState.OK, FileState.NO_HASH}:
            checks.append(Check(name, Verdict.OK, str(status.path)))
        elif status.state is FileState.MISSING:
            mend = f"fer models fetch {FETCHED_WITH.get(status.entry.name, status.entry.name)}"
            checks.append(Check(name, Verdict.WARNING, "is not here; the Haar detector is weaker", mend))
        elif status.entry.urls:
            checks.append(Check(name, Verdict.FAILED, status.message, "remove the file and fetch it again"))
        else:
            # It may have been replaced on purpose; whether the one in use works is tried below.
            checks.append(Check(name, Verdict.WARNING, status.message, "see the message"))
    return checks


#: Models that come along when another one is fetched.
FETCHED_WITH = {"yunet_dynamic": "yunet"}


def _check_detector(settings: PipelineSettings) -> Check:
    from fer_perception.detection import create_detector

    try:
        detector = create_detector(
            settings.detector,
            threshold=settings.detection_threshold,
            detection_size=settings.detection_size,
            min_face_size=settings.min_face_size,
            max_faces=settings.max_faces,
            threads=settings.threads,
        )
    except FerError as err:
        return Check("face detector", Verdict.FAILED, str(err), "fer models fetch yunet")
    try:
        if detector.name == "haar" and settings.detector == "auto":
            return Check("face detector", Verdict.WARNING, f"haar: {detector.reason}", "fer models fetch yunet")
        return Check("face detector", Verdict.OK, f"{detector.name}: {detector.reason}")
    finally:
        detector.close()


def _check_classifier(settings: PipelineSettings, progress: Callable[[str], None]) -> Check:
    from fer_perception.inference import create_classifier

    try:
        classifier = create_classifier(
            settings.model, backend=settings.backend, threads=settings.threads, progress=progress
        )
    except FerError as err:
        return Check("expression model", Verdict.FAILED, str(err), "see the message, or set model and backend")
    try:
        told = f"{classifier.metadata.model_id} on {classifier.backend}: {classifier.reason}"
        if classifier.fallback:
            mend = "see the reason, or set backend to onnxruntime if the processor will do"
            return Check("expression model", Verdict.WARNING, told, mend)
        return Check("expression model", Verdict.OK, told)
    finally:
        classifier.close()


def _check_caches() -> list[Check]:
    from fer_perception.inference.engine_cache import default_cache_directory
    from fer_perception.model_store import ModelStore

    return [
        check_writable("cache of models", ModelStore().cache_directory),
        check_writable("cache of engines", default_cache_directory()),
    ]


def check_writable(name: str, directory: Path) -> Check:
    """Whether files can be made in `directory` (which is made where it is missing)."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as err:
        mend = f"make {directory} writable, or set XDG_CACHE_HOME to another place"
        return Check(name, Verdict.WARNING, f"{directory} cannot be written: {err.strerror}", mend)
    return Check(name, Verdict.OK, str(directory))


#: Starts ROS and prints the middleware: it fails with whatever keeps a node from starting. It makes none itself: others
#: would go on looking for it, and find the one that looks at a topic right after it late. What lies in the working
#: directory is no module to it, as it is none to us.
_ROS = """
import sys
sys.path = [place for place in sys.path if place]
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
    command = [sys.executable, "-c", _ROS]
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
    """Whether a node starts and the messages are there."""
    mend = "source /opt/ros/<distribution>/setup.bash, or use the environment that `make setup` creates"
    missing = [name for name in ("rclpy", "sensor_msgs") if importlib.util.find_spec(name) is None]
    if missing:
        told = f"{' and '.join(missing)} cannot be imported; the node needs ROS 2, `fer run` and `fer replay` do not"
        return [Check("ROS 2", Verdict.WARNING, told, mend)]
    middleware, problem = _start_ros()
    if problem:
        mend += "; compare ROS_DOMAIN_ID (0 to 232), RMW_IMPLEMENTATION and ROS_LOG_DIR or HOME, where its log must go"
        return [Check("ROS 2", Verdict.FAILED, f"no node can be started: {problem}", mend)]
    domain = os.environ.get("ROS_DOMAIN_ID", "0")
    distribution = os.environ.get("ROS_DISTRO", "Python wheels")
    checks = [Check("ROS 2", Verdict.OK, f"{distribution}, {middleware}, ROS_DOMAIN_ID {domain}")]
    try:
        from fer_msgs.msg import EmotionArray

        EmotionArray.__class__.__import_type_support__()
    except ImportError:
        checks.append(
            Check(
                "fer_msgs",
                Verdict.FAILED,
                "is not built or not sourced",
                "colcon build, then source install/setup.bash",
            )
        )
    except Exception as err:  # noqa: BLE001 - rclpy's UnsupportedTypeSupport is no public name
        told = f"its libraries do not load ({err})"
        checks.append(Check("fer_msgs", Verdict.FAILED, told, "build it for this ROS and source install/setup.bash"))
    else:
        checks.append(Check("fer_msgs", Verdict.OK, str(Path(sys.modules["fer_msgs"].__file__ or "").parent)))
    if importlib.util.find_spec("cv_bridge") is None:
        checks.append(Check("cv_bridge", Verdict.OK, "not installed; only rare image encodings need it"))
    return checks
