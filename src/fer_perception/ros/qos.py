"""Quality of service of the node's topics: defaults, and `qos_overrides` that can be corrected at run time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from rcl_interfaces.msg import ParameterDescriptor
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions

try:
    from rclpy.event_handler import PublisherEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks

from fer_perception.errors import ConfigError
from fer_perception.ros.parameters import Parameters
from fer_perception.ros.topics import Topic

Kind = Literal["publisher", "subscription"]

#: What a topic gets as a publisher or a subscription, overrides applied.
TopicQos = Callable[[Topic, Kind], QoSProfile]

_POLICIES: Mapping[str, Any] = {
    "reliability": ReliabilityPolicy,
    "durability": DurabilityPolicy,
    "history": HistoryPolicy,
}

#: For create_publisher and create_subscription: they need not declare what is declared here.
NO_OPTIONS = QoSOverridingOptions([])

#: For publishers that come and go in numbers: each event handler makes every turn of the executor longer.
NO_EVENTS = PublisherEventCallbacks(use_default_callbacks=False)


def default_qos(topic: Topic) -> QoSProfile:
    """Default quality of service of a topic: volatile, keep last."""
    reliability = ReliabilityPolicy.RELIABLE if topic.reliable else ReliabilityPolicy.BEST_EFFORT
    return QoSProfile(
        depth=topic.depth,
        history=HistoryPolicy.KEEP_LAST,
        reliability=reliability,
        durability=DurabilityPolicy.VOLATILE,
    )


def parameter_topic(topic: Topic) -> str:
    """The name by which `qos_overrides` knows a topic: without the id where each face has its own.

    /humans/faces/{id}/roi is `/humans/faces/roi` there, for all faces: nobody knows their ids beforehand.
    """
    return topic.name.replace("/{id}", "")


def overridden(parameters: Parameters, topic: str, kind: Kind, profile: QoSProfile) -> QoSProfile:
    """Apply `qos_overrides.<topic>.<kind>.{reliability,durability,history,depth}` to a profile.

    rclpy would declare them read-only and raise where one is bad; declared here they can be set right before the next
    configure, and a bad one lands in `parameters.problems`.

    Args:
        parameters: of the node.
        topic: fully resolved name; of a topic for each face see `parameter_topic`.
        kind: which end of it.
        profile: the default; changed in place.

    Returns:
        `profile`.
    """
    prefix = f"qos_overrides.{topic}.{kind}"
    for policy, values in _POLICIES.items():
        names = [name.lower() for name in values.__members__ if name.isupper() and name != "UNKNOWN"]
        default = getattr(profile, policy).name.lower()
        about = ParameterDescriptor(
            description=f"{policy} of the {kind} on {topic}. Takes effect at the next configure.",
            additional_constraints=f"One of: {', '.join(names)}",
        )
        chosen = parameters.declare(f"{prefix}.{policy}", default, about, _one_of(f"{prefix}.{policy}", names))
        setattr(profile, policy, values[chosen.upper()])
    about = ParameterDescriptor(
        description=f"History depth of the {kind} on {topic}. Takes effect at the next configure."
    )
    profile.depth = parameters.declare(f"{prefix}.depth", profile.depth, about, _depth(f"{prefix}.depth"))
    return profile


def _one_of(name: str, names: list[str]) -> Any:
    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in names:
            msg = f"{name} is {value!r}; expected one of: {', '.join(names)}"
            raise ConfigError(msg)
        return value

    return check


def _depth(name: str) -> Any:
    def check(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 1000:
            msg = f"{name} is {value!r}; expected a whole number from 1 to 1000"
            raise ConfigError(msg)
        return value

    return check
