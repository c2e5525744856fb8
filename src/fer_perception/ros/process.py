"""Shutdown of a spinning process: a signal is no error, wherever in rclpy it arrives."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.signals import uninstall_signal_handlers

from fer_perception.system.paths import share_directory


def leave_signals_to_rclpy() -> None:
    """Take Ctrl-C and SIGTERM from Python; call it before rclpy.init, whose own handler then ends the executor.

    Python's handler besides would raise KeyboardInterrupt at any place; inside rclpy's bindings that turns into a
    RuntimeError. Ignored rather than handled: the interpreter gives handled signals back to the system when it ends,
    and a second Ctrl-C (launch passes on what the terminal has sent already) would kill a process that is ending well.
    """
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)


@contextmanager
def ended_by_shutdown() -> Iterator[None]:
    """Within, callbacks are executed; Ctrl-C, SIGTERM and `rclpy.shutdown()` end it without an error.

    rclpy's signal handler shuts the context down at any moment. Between an executor's check that it is up and the wait
    for work, or inside a callback that publishes, rclpy then raises a RuntimeError of its own (RCLError) instead of
    ExternalShutdownException. While the context is up, every error is passed on.

    Afterwards rclpy handles no signals any more: at a second one it would touch executors and nodes that are being
    destroyed, and crash.
    """
    try:
        yield
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except RuntimeError:
        if rclpy.ok():
            raise
    finally:
        uninstall_signal_handlers()


#: Request, response as far as it was filled in, and the error -> response.
Refusal = Callable[[Any, Any, Exception], Any]


def refuse_errors(node: Node, service_type: type, errors: type[Exception], refusal: Refusal) -> None:
    """Answer requests that rclpy trips over, instead of ending.

    Args:
        node: whose services are guarded, as far as they exist by now.
        service_type: which of them, e.g. lifecycle_msgs.srv.ChangeState.
        errors: what they raise.
        refusal: makes the answer.
    """
    for service in node.services:
        if service.srv_type is service_type:
            service.callback = _guarded(service.callback, errors, refusal)


def _guarded(callback: Callable[[Any, Any], Any], errors: type[Exception], refusal: Refusal) -> Any:
    def answer(request: Any, response: Any) -> Any:
        try:
            return callback(request, response)
        except errors as err:
            return refusal(request, response, err)

    return answer


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


def params_files(arguments: Sequence[str]) -> list[Path]:
    """The params files that a command line names (`--ros-args --params-file FILE`), in order.

    rclpy reads them, and keeps of each what is for the node; it says nothing of the rest.

    Args:
        arguments: of the process.
    """
    files = []
    ours = False
    for index, argument in enumerate(arguments):
        if argument in ("--ros-args", "--"):
            ours = argument == "--ros-args"
        elif ours and argument == "--params-file" and index + 1 < len(arguments):
            files.append(Path(arguments[index + 1]))
    return files
