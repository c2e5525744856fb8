"""Camera topics of the parameters: names, message types and subscriptions."""

from __future__ import annotations

from dataclasses import dataclass

from rclpy.exceptions import NameValidationException
from rclpy.node import Node
from rclpy.qos import QoSCompatibility, QoSProfile, qos_check_compatible
from rclpy.validate_full_topic_name import validate_full_topic_name
from sensor_msgs.msg import CompressedImage, Image

from fer_perception.errors import ConfigError
from fer_perception.ros.parameters import Parameters
from fer_perception.ros.qos import default_qos, overridden
from fer_perception.ros.topics import IMAGES
from fer_perception.settings.node_settings import NodeSettings, carries_compressed, named_topics, rotations


@dataclass(frozen=True)
class CameraTopic:
    """One image topic.

    Attributes:
        name: fully resolved.
        message_type: Image or CompressedImage.
        qos: of its subscription.
        rotate: degrees clockwise that its images are turned by; None = the pipeline's setting.
    """

    name: str
    message_type: type
    qos: QoSProfile
    rotate: int | None = None


def camera_topics(node: Node, parameters: Parameters) -> list[CameraTopic]:
    """The cameras that the parameters name.

    Raises:
        ConfigError: a topic is named twice or is no valid name, or the transports or rotations do not fit.
    """
    cameras: list[CameraTopic] = []
    settings = parameters.settings(NodeSettings)
    named = named_topics(settings, IMAGES.name)
    for (given, transport), rotate in zip(named, rotations(settings, len(named)), strict=True):
        name = _resolve(node, given)
        if any(camera.name == name for camera in cameras):
            msg = f"image_topics names {name} twice; expected different topics"
            raise ConfigError(msg)
        qos = overridden(parameters, name, "subscription", default_qos(IMAGES))
        message_type = CompressedImage if carries_compressed(name, transport) else Image
        cameras.append(CameraTopic(name, message_type, qos, rotate))
    return cameras


def mismatch(node: Node, camera: CameraTopic) -> str:
    """Reason why no publisher of a topic can be received: another type, or an incompatible quality of service.

    Returns:
        A sentence; "" where nobody publishes, or something can arrive.
    """
    offers = node.get_publishers_info_by_topic(camera.name)
    expected = f"sensor_msgs/msg/{camera.message_type.__name__}"
    fitting = [offer for offer in offers if offer.topic_type == expected]
    if offers and not fitting:
        found = sorted({offer.topic_type for offer in offers})
        # Of image_transport's plugins only compressed can be read: naming a transport does not help with theora.
        readable = any(name in found for name in ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"))
        fix = "remap it, or set image_transports" if readable else "name a topic of raw or compressed images"
        return f"the topic carries {', '.join(found)}, expected {expected}: {fix}"
    reasons = []
    for offer in fitting:
        compatible, reason = qos_check_compatible(offer.qos_profile, camera.qos)
        # Equal, but of another class than the one rclpy shows.
        if compatible != QoSCompatibility.ERROR:
            return ""
        reasons.append(" ".join(reason.removeprefix("ERROR: ").split()).rstrip(";"))
    return f"the offered quality of service does not fit ({'; '.join(reasons)})" if reasons else ""


def _resolve(node: Node, name: str) -> str:
    try:
        topic = str(node.resolve_topic_name(name))
        validate_full_topic_name(topic)
    except (ValueError, RuntimeError, NameValidationException) as err:
        text = " ".join(str(err).split())
        msg = f"image_topics has {name!r}, which is no valid topic name ({text})"
        raise ConfigError(msg) from None
    return topic
