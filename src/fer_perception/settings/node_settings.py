"""Settings of the ROS nodes beside the pipeline's; free of ROS, so that other readers of a params file know them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from fer_perception.errors import ConfigError
from fer_perception.settings.declaration import setting


@dataclass(frozen=True)
class NodeSettings:
    """Settings of the node `fer` that mean nothing to the pipeline."""

    image_topics: tuple[str, ...] = setting(
        (),
        "Image topics, one for each camera; empty ([''] in YAML) is one camera on image_raw, which can be remapped.",
    )
    image_transports: tuple[str, ...] = setting(
        (),
        "What each of image_topics carries: raw (sensor_msgs/Image), compressed (sensor_msgs/CompressedImage) or '' "
        "(by the name: compressed where the resolved topic ends in /compressed); one entry for each topic, or empty.",
    )
    max_rate_hz: float = setting(
        0.0,
        "At most so many frames a second of each camera are looked at, the newest ones; 0 = all.",
        minimum=0.0,
        maximum=1000.0,
        live=True,
    )
    autostart: bool = setting(
        True, "The node configures and activates itself; false leaves that to a lifecycle manager.", at_start=True
    )
    ros4hri: str = setting(
        "disabled",
        "ROS4HRI (REP-155): publish announces the faces under /humans/faces, consume reads the faces of another "
        "detector there and publishes only their expressions. Needs hri_msgs.",
        choices=("disabled", "publish", "consume"),
    )


def named_topics(settings: NodeSettings, default: str) -> list[tuple[str, str]]:
    """The image topics as they were named, each with its transport ("" = by the name).

    Args:
        settings: of the node.
        default: the only topic where none is named.

    Raises:
        ConfigError: the transports do not fit.
    """
    names = settings.image_topics or (default,)
    transports = settings.image_transports or ("",) * len(names)
    if len(transports) != len(names):
        msg = f"image_transports has {len(transports)} entries; expected one for each of {len(names)} image_topics"
        raise ConfigError(msg)
    for transport in transports:
        if transport not in ("", "raw", "compressed"):
            msg = f"image_transports has {transport!r}; expected raw, compressed or '' for each topic"
            raise ConfigError(msg)
    return list(zip(names, transports, strict=True))


def carries_compressed(topic: str, transport: str) -> bool:
    """Whether a topic is read as sensor_msgs/CompressedImage.

    Args:
        topic: fully resolved.
        transport: "raw", "compressed" or "": the name decides.
    """
    return transport == "compressed" or (not transport and topic.endswith("/compressed"))


@dataclass(frozen=True)
class ImageSourceSettings:
    """Settings of the node `image_source`."""

    source: str = setting(
        "",
        "What to publish: the index of a webcam, a stream's address, a video, an image or a directory of images.",
    )
    rate: float = setting(
        0.0,
        "Frames a second; 0 = the video's or camera's own rate. For images: how many a second are shown (0 = 1); "
        "each is published again and again until the next, as a camera would see it.",
        minimum=0.0,
        maximum=1000.0,
    )
    loop: bool = setting(
        True, "Start again at the end of a file or directory; false waits for a subscriber, plays once and ends."
    )
    frame_id: str = setting("camera_optical_frame", "Frame of the camera in the headers.")


#: Names that a reader of a params file meets beside the pipeline's settings; the last three are ROS's own.
NODE_ONLY: tuple[str, ...] = (
    *(item.name for item in dataclasses.fields(NodeSettings)),
    "qos_overrides",
    "use_sim_time",
    "start_type_description_service",
)
