"""Publisher of /diagnostics: asks the statistics and the graph, and sends what `diagnostics` makes of them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node

from fer_perception.live.camera_statistics import CameraStatistics
from fer_perception.ros import diagnostics
from fer_perception.ros.cameras import CameraTopic, mismatch
from fer_perception.ros.outputs import send
from fer_perception.ros.qos import NO_OPTIONS, TopicQos
from fer_perception.ros.topics import DIAGNOSTICS, TRACKED_FACES


@dataclass(frozen=True)
class Observed:
    """Parts of a configured node, as far as diagnostics tell of them.

    Attributes:
        pipeline: None while it is being built.
        cameras: the image topics.
        statistics: of each camera, or of each face where another node's are consumed, by topic.
        consuming: another node's faces take the place of cameras.
    """

    pipeline: Any | None
    cameras: Sequence[CameraTopic]
    statistics: Mapping[str, CameraStatistics]
    consuming: bool


class DiagnosticsPublisher:
    """Publisher of a node's diagnostics, in every lifecycle state; it lives as long as the node.

    Args:
        node: whose diagnostics they are.
        qos: its quality of service, `qos_overrides` applied.
    """

    def __init__(self, node: Node, qos: TopicQos) -> None:
        self._node = node
        self._qos_of = qos
        self._qos = qos(DIAGNOSTICS, "publisher")
        self._publisher = self._create()

    def renew(self) -> None:
        """Publish as `qos_overrides` say now."""
        qos = self._qos_of(DIAGNOSTICS, "publisher")
        if qos != self._qos:
            self._node.destroy_publisher(self._publisher)
            self._qos = qos
            self._publisher = self._create()

    def publish(self, state: diagnostics.NodeState, observed: Observed | None) -> None:
        """Publish one message.

        Args:
            state: of the node.
            observed: None while it is not configured.
        """
        message = DiagnosticArray()
        message.header.stamp = self._node.get_clock().now().to_msg()
        pipeline = None if observed is None else observed.pipeline
        message.status = [diagnostics.node_status(state), diagnostics.pipeline_status(state, pipeline)]
        if observed is not None:
            message.status += self._inputs(state, observed)
        send(self._node, self._publisher, message)

    def _inputs(self, state: diagnostics.NodeState, observed: Observed) -> list[Any]:
        now = time.monotonic()
        snapshots = {
            topic: (statistics.snapshot(now), self._node.count_publishers(topic))
            for topic, statistics in observed.statistics.items()
        }
        told = []
        if observed.consuming:
            topic = self._node.resolve_topic_name(TRACKED_FACES.name)
            told.append(diagnostics.faces_status(state, topic, self._node.count_publishers(topic), snapshots))
        for camera in observed.cameras:
            snapshot, publishers = snapshots[camera.name]
            silent = publishers and snapshot.last_received_age is None
            why = mismatch(self._node, camera) if silent else ""
            told.append(diagnostics.camera_status(state, camera.name, snapshot, publishers, why))
        return told

    def _create(self) -> Any:
        return self._node.create_publisher(
            DiagnosticArray, DIAGNOSTICS.name, self._qos, qos_overriding_options=NO_OPTIONS
        )
