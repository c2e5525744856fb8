"""How a process that spins ends: a signal is no error, wherever in rclpy it arrives."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import rclpy
from rclpy.executors import ExternalShutdownException


@contextmanager
def ended_by_shutdown() -> Iterator[None]:
    """Within, callbacks are executed; Ctrl-C, SIGTERM and `rclpy.shutdown()` end it without an error.

    rclpy's signal handler shuts the context down at any moment. Between an executor's check that it is up and the wait
    for work, or inside a callback that publishes, rclpy then raises a RuntimeError of its own (RCLError) instead of
    ExternalShutdownException. While the context is up, every error is passed on.
    """
    try:
        yield
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except RuntimeError:
        if rclpy.ok():
            raise
