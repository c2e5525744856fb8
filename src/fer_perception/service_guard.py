"""Services that rclpy answers itself: it lets their errors end the executor, and with it the node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node

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
