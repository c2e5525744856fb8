"""Check of an image topic: publishers, their QoS, and arriving images."""

from __future__ import annotations

import time
from typing import Any

from fer_perception.doctor.check import Check, CheckStatus
from fer_perception.errors import ImageError
from fer_perception.imaging.encodings import decode_message
from fer_perception.ros.topics import IMAGES
from fer_perception.settings.node_settings import NodeSettings, carries_compressed, named_topics

_IMAGE = "sensor_msgs/msg/Image"
_COMPRESSED = "sensor_msgs/msg/CompressedImage"


def check_topic(topic: str, wait_s: float, settings: NodeSettings | None = None) -> list[Check]:
    """Subscribe as the node does and look at what comes.

    Args:
        topic: of the images.
        wait_s: how long to wait for publishers and images, s.
        settings: of the node: what `image_transports` says of this topic counts; None = the defaults.

    Raises:
        ConfigError: the transports do not fit.
    """
    named = named_topics(settings or NodeSettings(), IMAGES.name)
    import rclpy
    from rclpy.executors import SingleThreadedExecutor

    context = rclpy.Context()
    rclpy.init(context=context, args=[])
    node = rclpy.create_node("fer_doctor", context=context, start_parameter_services=False)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    try:
        name = node.resolve_topic_name(topic)
    except (RuntimeError, ValueError) as err:
        fix = "give a name of letters, digits, _ and /, no part of which begins with a digit"
        return [Check("images", CheckStatus.FAILED, f"{topic!r} is no topic name: {' '.join(str(err).split())}", fix)]
    else:
        transport = next((said for each, said in named if _resolved(node, each) == name), "")
        return _Look(node, executor, name, transport, wait_s).checks()
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown(context=context)


def _resolved(node: Any, name: str) -> str:
    """A topic of the params file by its full name; "" where it is no valid name, of which the node itself tells."""
    try:
        return str(node.resolve_topic_name(name))
    except (RuntimeError, ValueError):
        return ""


class _Look:
    def __init__(self, node: Any, executor: Any, topic: str, transport: str, wait_s: float) -> None:
        self._node = node
        self._executor = executor
        self._topic = topic
        self._transport = transport
        self._wait_s = wait_s
        self._arrived: list[tuple[float, Any]] = []

    def checks(self) -> list[Check]:
        from rclpy.qos import qos_profile_sensor_data
        from sensor_msgs.msg import CompressedImage, Image

        publishers = self._publishers()
        if not publishers:
            return [self._nobody()]
        kinds = {info.topic_type for info in publishers}
        found = [self._offer(info) for info in publishers]
        kind = _COMPRESSED if carries_compressed(self._topic, self._transport) else _IMAGE
        if kind not in kinds:
            fix = "remap image_raw to an image topic, or set image_transports"
            by = "image_transports" if self._transport else "its name"
            told = f"carries {', '.join(sorted(kinds))}; by {by} the node expects {kind}"
            return [*found, Check("images", CheckStatus.FAILED, told, fix)]
        message_class = CompressedImage if kind == _COMPRESSED else Image
        self._node.create_subscription(message_class, self._topic, self._on_image, qos_profile_sensor_data)
        self._spin(lambda: len(self._arrived) >= 30)
        if not self._arrived:
            told = f"none arrived within {self._wait_s:g} s although somebody publishes"
            fix = "is the camera streaming? A firewall may let names through but not data"
            return [*found, Check("images", CheckStatus.FAILED, told, fix)]
        return [*found, self._rate(), self._image()]

    def _on_image(self, message: Any) -> None:
        self._arrived.append((time.monotonic(), message))

    def _spin(self, done: Any) -> None:
        end = time.monotonic() + self._wait_s
        while not done() and time.monotonic() < end:
            self._executor.spin_once(timeout_sec=0.1)

    def _publishers(self) -> list[Any]:
        found: list[Any] = []

        def look() -> bool:
            found[:] = self._node.get_publishers_info_by_topic(self._topic)
            # Endpoints are discovered before the names of the nodes they belong to.
            return bool(found) and all("UNKNOWN" not in info.node_name for info in found)

        self._spin(look)
        return found

    def _nobody(self) -> Check:
        images = sorted(
            name for name, kinds in self._node.get_topic_names_and_types() if {_IMAGE, _COMPRESSED} & set(kinds)
        )
        told = f"nobody publishes {self._topic}; image topics: {', '.join(images) or 'none'}"
        fix = (
            "start the camera driver, remap image_raw to one of these, or compare ROS_DOMAIN_ID and "
            "ROS_AUTOMATIC_DISCOVERY_RANGE (on Humble ROS_LOCALHOST_ONLY) on both machines"
        )
        return Check("publisher", CheckStatus.FAILED, told, fix)

    def _offer(self, info: Any) -> Check:
        qos = info.qos_profile
        told = (
            f"{info.node_namespace.rstrip('/')}/{info.node_name}: {info.topic_type}, {qos.reliability.name.lower()}, "
            f"{qos.durability.name.lower()}; the node asks for best effort and volatile, which takes every offer"
        )
        return Check("publisher", CheckStatus.OK, told)

    def _rate(self) -> Check:
        times = [when for when, _ in self._arrived]
        if len(times) < 2:
            told = f"only one image within {self._wait_s:g} s"
            return Check("rate", CheckStatus.WARNING, told, "faces are followed best at 10 Hz and more")
        rate = (len(times) - 1) / max(times[-1] - times[0], 1e-6)
        if rate < 5:
            return Check("rate", CheckStatus.WARNING, f"{rate:.1f} Hz", "faces are followed best at 10 Hz and more")
        return Check("rate", CheckStatus.OK, f"{rate:.1f} Hz")

    def _image(self) -> Check:
        message = self._arrived[-1][1]
        try:
            image = decode_message(message)
        except ImageError as err:
            return Check(
                "images", CheckStatus.FAILED, f"cannot be used ({err.cause}): {err}", "change the driver's encoding"
            )
        kind = message.encoding if hasattr(message, "encoding") else message.format
        told = f"{image.shape[1]}x{image.shape[0]} {kind}, frame {message.header.frame_id or '(none)'}"
        if not message.header.stamp.sec and not message.header.stamp.nanosec:
            told += ", without a stamp"
            return Check(
                "images", CheckStatus.WARNING, told, "let the driver stamp its images; until then receipt time counts"
            )
        return Check("images", CheckStatus.OK, told)
