"""Settings of the ROS nodes beside the pipeline's; free of ROS, so that other readers of a params file know them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from fer_perception.errors import ConfigError
from fer_perception.settings.declaration import ROTATIONS, setting


@dataclass(frozen=True)
class NodeSettings:
    """Settings of the node `fer` that mean nothing to the pipeline."""

    image_topics: tuple[str, ...] = setting(
        (),
        "Image topics, one for each camera. Empty ([''] in YAML): one camera on image_raw, which can be remapped.",
    )
    image_transports: tuple[str, ...] = setting(
        (),
        "Transport of each of image_topics: raw (sensor_msgs/Image), compressed (sensor_msgs/CompressedImage) or '' "
        "(by the name: compressed where the resolved topic ends in /compressed). One entry for each topic, or empty.",
    )
    image_rotations: tuple[str, ...] = setting(
        (),
        "Degrees clockwise that the images of each of image_topics are turned by: '0', '90', '180' or '270'. One entry "
        "for each topic, or empty: rotate counts for all of them.",
    )
    max_rate_hz: float = setting(
        0.0,
        "Maximum number of frames per second and camera that are processed, in Hz; the newest are taken. 0 = all.",
        minimum=0.0,
        maximum=1000.0,
        live=True,
    )
    autostart: bool = setting(
        True,
        "Configures and activates the node at start; false leaves that to a lifecycle manager.",
        at_start=True,
    )
    ros4hri: str = setting(
        "disabled",
        "Role in ROS4HRI (REP-155): publish announces the faces under /humans/faces, consume reads the faces of "
        "another detector there and publishes only their expressions. Requires hri_msgs.",
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


def rotations(settings: NodeSettings, cameras: int) -> list[int | None]:
    """Degrees clockwise of each camera; None = the pipeline's setting `rotate`.

    Raises:
        ConfigError: the rotations do not fit.
    """
    given = settings.image_rotations or ("",) * cameras
    if len(given) != cameras:
        msg = f"image_rotations has {len(given)} entries; expected one for each of {cameras} image_topics"
        raise ConfigError(msg)
    for rotation in given:
        if rotation not in ("", *map(str, ROTATIONS)):
            msg = f"image_rotations has {rotation!r}; expected '0', '90', '180', '270' or '' for each topic"
            raise ConfigError(msg)
    return [int(rotation) if rotation else None for rotation in given]


def carries_compressed(topic: str, transport: str) -> bool:
    """True where a topic is read as sensor_msgs/CompressedImage.

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
        "Source of the images: index of a webcam, address of a stream, a video, an image or a directory of images.",
    )
    rate: float = setting(
        0.0,
        "Frame rate in Hz; 0 = the video's or camera's own. For images: number of images per second (0 = 1); each is "
        "published repeatedly until the next, as a camera would see it.",
        minimum=0.0,
        maximum=1000.0,
    )
    rotate: int = setting(
        0,
        "Images are turned clockwise by so many degrees before they are published, for a camera mounted upside down or "
        "on its side.",
        choices=ROTATIONS,
    )
    reconnect: float = setting(
        -1.0,
        "A camera or stream that ends is tried again for so long, in s; 0 = not at all, -1 = until it is back.",
        minimum=-1.0,
        maximum=86400.0,
    )
    loop: bool = setting(
        True,
        "Restarts at the end of a file or directory; false waits for a subscriber, plays once and ends.",
    )
    frame_id: str = setting("camera_optical_frame", "Coordinate frame of the camera in the message headers.")


#: Names that a reader of a params file meets beside the pipeline's settings; the last three are ROS's own.
NODE_ONLY: tuple[str, ...] = (
    *(item.name for item in dataclasses.fields(NodeSettings)),
    "qos_overrides",
    "use_sim_time",
    "start_type_description_service",
)
