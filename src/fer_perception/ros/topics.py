"""Declarations of all topics and services: names and quality of service; docs/topics.md is made from them.

Free of ROS: message types are named, not imported.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Topic:
    """One topic, or one for each face.

    Attributes:
        name: relative, private (~) or absolute; `{id}` stands for a face's id.
        message_types: what it carries, e.g. "sensor_msgs/Image"; where there are two, the node's parameters decide.
        direction: seen from the node.
        reliable: the default; False = best effort. Durability is volatile everywhere.
        depth: history kept by default.
        description: for people.
    """

    name: str
    message_types: tuple[str, ...]
    direction: Literal["in", "out"]
    reliable: bool
    depth: int
    description: str


@dataclass(frozen=True)
class Service:
    """One service; attributes as of `Topic`."""

    name: str
    service_type: str
    description: str


#: The only camera where nobody names any. Sensor data: of an image that is not the newest nobody wants to hear.
IMAGES = Topic(
    "image_raw",
    ("sensor_msgs/Image", "sensor_msgs/CompressedImage"),
    "in",
    reliable=False,
    depth=1,
    description="camera images; remapped, or others named by `image_topics`; compressed where the name ends in "
    "`/compressed` or `image_transports` says so; only the newest is looked at",
)
EMOTIONS = Topic(
    "emotions",
    ("fer_msgs/EmotionArray",),
    "out",
    reliable=True,
    depth=5,
    description="all faces of one image, for every image looked at, with the image's header",
)
DEBUG_IMAGE = Topic(
    "~/debug_image",
    ("sensor_msgs/Image",),
    "out",
    reliable=True,
    depth=1,
    description="the image with boxes, ids, labels, confidences and phases; drawn only while somebody subscribes",
)
DEBUG_IMAGE_COMPRESSED = Topic(
    "~/debug_image/compressed",
    ("sensor_msgs/CompressedImage",),
    "out",
    reliable=True,
    depth=1,
    description="the same as JPEG",
)
DIAGNOSTICS = Topic(
    "/diagnostics",
    ("diagnostic_msgs/DiagnosticArray",),
    "out",
    reliable=True,
    depth=10,
    description="once a second, in every lifecycle state: backend, rates, latencies, counts of dropped images",
)

#: REP-155: the faces of a scene, and each face's own topics.
TRACKED_FACES = Topic(
    "/humans/faces/tracked",
    ("hri_msgs/IdsList",),
    "out",
    reliable=True,
    depth=1,
    description="`ros4hri: publish`: ids of all faces; `consume`: read instead",
)
FACE_ROI = Topic(
    "/humans/faces/{id}/roi",
    ("hri_msgs/NormalizedRegionOfInterest2D",),
    "out",
    reliable=True,
    depth=1,
    description="`ros4hri: publish`: the face's box",
)
FACE_CROPPED = Topic(
    "/humans/faces/{id}/cropped",
    ("sensor_msgs/Image",),
    "out",
    reliable=True,
    depth=1,
    description="`ros4hri: publish`: the face, 128x128; `consume`: read instead, best effort",
)
FACE_ALIGNED = Topic(
    "/humans/faces/{id}/aligned",
    ("sensor_msgs/Image",),
    "out",
    reliable=True,
    depth=1,
    description="`ros4hri: publish`: the face turned upright, 128x128",
)
FACE_EXPRESSION = Topic(
    "/humans/faces/{id}/expression",
    ("hri_msgs/Expression",),
    "out",
    reliable=True,
    depth=1,
    description="`ros4hri: publish` or `consume`: label, valence, arousal and confidence",
)

SET_ENABLED = Service(
    "~/set_enabled", "std_srvs/SetBool", "false: tracks end, images are ignored and `emotions` is silent; true: go on"
)
RESET_TRACKS = Service("~/reset_tracks", "std_srvs/Trigger", "all tracks end; whoever is still there gets a new id")

#: What the node image_source publishes.
SOURCE_IMAGES = Topic(
    "image_raw",
    ("sensor_msgs/Image",),
    "out",
    reliable=True,
    depth=5,
    description="the webcam, video or images that the parameter `source` names",
)

NODE_TOPICS = (IMAGES, EMOTIONS, DEBUG_IMAGE, DEBUG_IMAGE_COMPRESSED, DIAGNOSTICS)
ROS4HRI_TOPICS = (TRACKED_FACES, FACE_ROI, FACE_CROPPED, FACE_ALIGNED, FACE_EXPRESSION)
SOURCE_TOPICS = (SOURCE_IMAGES,)
SERVICES = (SET_ENABLED, RESET_TRACKS)
