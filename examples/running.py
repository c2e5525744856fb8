"""Helpers of the examples over rclpy: numbers as parameters, and a quiet end."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable

import rclpy
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.signals import uninstall_signal_handlers


def number(node: Node, name: str, default: float) -> float:
    """Declare a parameter that is a number; `2` will do where `2.0` is meant.

    Raises:
        ValueError: it is something else.
    """
    value = node.declare_parameter(name, default, ParameterDescriptor(dynamic_typing=True)).value
    try:
        return float(value)
    except (TypeError, ValueError):
        msg = f"{name} is {value!r}; expected a number"
        raise ValueError(msg) from None


def run(make: Callable[[], Node], args: list[str] | None = None) -> None:
    """Make a node and run it until Ctrl-C or SIGTERM; a bad parameter is one line on stderr and status 1."""
    # rclpy's own handler ends the executor; Python's besides would interrupt it anywhere. A second Ctrl-C (launch
    # passes on what the terminal has sent already) does nothing: rclpy would touch what is being destroyed by then.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    rclpy.init(args=args)
    try:
        try:
            node = make()
        except ValueError as err:
            sys.exit(f"{err}")
        try:
            rclpy.spin(node)
        finally:
            uninstall_signal_handlers()
    except ExternalShutdownException:
        pass
    except RuntimeError:
        # A signal ends the context between two steps of the executor, which then raises an error of its own.
        if rclpy.ok():
            raise
    finally:
        rclpy.try_shutdown()
