"""How a process that spins ends: a signal is no error, wherever in rclpy it arrives."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.signals import uninstall_signal_handlers


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
