"""The end of a spinning process: a shutdown at any moment is no error, everything else is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor

from fer_perception.ros.node import main
from fer_perception.ros.process import ended_by_shutdown

pytestmark = pytest.mark.ros


class ShutDownBeforeWaiting(SingleThreadedExecutor):
    """A signal that arrives after `spin` has seen that the context is up, before it waits for work."""

    def spin_once(self, timeout_sec: float | None = None) -> None:
        rclpy.try_shutdown()
        super().spin_once(timeout_sec)


@pytest.fixture
def context() -> Iterator[None]:
    rclpy.init()
    yield
    rclpy.try_shutdown()


@pytest.mark.usefixtures("context")
def test_a_shutdown_just_before_waiting_for_work_is_no_error() -> None:
    executor = ShutDownBeforeWaiting()
    executor.add_node(rclpy.create_node("ending"))
    with pytest.raises(RuntimeError, match="context"):
        executor.spin()
    rclpy.init()
    executor = ShutDownBeforeWaiting()
    executor.add_node(rclpy.create_node("ending"))
    with ended_by_shutdown():
        executor.spin()
    assert not rclpy.ok()


@pytest.mark.usefixtures("context")
def test_an_error_while_the_context_is_up_is_passed_on() -> None:
    with pytest.raises(RuntimeError, match="a bug"), ended_by_shutdown():
        raise RuntimeError("a bug")


@pytest.mark.usefixtures("context")
def test_ctrl_c_ends_it() -> None:
    with ended_by_shutdown():
        raise KeyboardInterrupt


def test_told_to_end_while_the_node_is_made(capsys: pytest.CaptureFixture[str]) -> None:
    """A signal between rclpy.init and the node: no failure to start, but an end as told."""

    def make(**_arguments: Any) -> Any:
        rclpy.shutdown()
        msg = "failed to create service: rcl node's context is invalid"
        raise RuntimeError(msg)

    assert main([], make) == 0  # type: ignore[arg-type]
    assert capsys.readouterr().err == ""


def test_told_to_end_just_after_the_node_was_made() -> None:
    def make(**_arguments: Any) -> Any:
        node = rclpy.create_node("ending")
        rclpy.shutdown()
        return node

    assert main([], make) == 0  # type: ignore[arg-type]
