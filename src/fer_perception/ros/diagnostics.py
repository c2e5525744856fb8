"""Diagnostics of the node as diagnostic_msgs: status, message and figures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from fer_perception.live.camera_statistics import CameraSnapshot
from fer_perception.system.text import shown
from fer_perception.timing import stale_after

#: Causes of drops that are no fault of the image.
_NOT_BAD = ("overtaken", "max_rate", "out_of_order", "failed")
#: From this share of frames dropped because a newer one came, the machine counts as overloaded.
OVERLOAD_SHARE = 0.1

#: `ModelMetadata.precision` as it is shown.
_PRECISIONS = {"float16": "FP16", "int8": "INT8"}

_LEVELS = (DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR)


@dataclass(frozen=True)
class NodeState:
    """The node as a whole.

    Attributes:
        name: of the node, with its namespace, without the leading slash.
        lifecycle: label of the lifecycle state.
        enabled: by ~/set_enabled.
        failure: why the last configure or activate failed; "" = it did not.
        active_for: s since activation; None = not active.
        track_timeout: s of silence after which a camera counts as stale.
    """

    name: str
    lifecycle: str
    enabled: bool
    failure: str
    active_for: float | None
    track_timeout: float

    @property
    def running(self) -> bool:
        """True while images are processed."""
        return self.active_for is not None and self.enabled


def node_status(state: NodeState) -> DiagnosticStatus:
    """Lifecycle, and why it is not further."""
    if state.failure:
        level, message = 2, state.failure
    elif not state.enabled:
        level, message = 0, f"{state.lifecycle}, disabled by ~/set_enabled"
    else:
        level, message = 0, state.lifecycle
    values = {"lifecycle state": state.lifecycle, "enabled": str(state.enabled).lower()}
    return _status(f"{state.name}: node", state.name, level, message, values)


def pipeline_status(state: NodeState, pipeline: Any | None) -> DiagnosticStatus:
    """Status of the networks: backend and reason.

    Args:
        state: of the node.
        pipeline: with `classifier` and `detector`; None = not configured.
    """
    name = f"{state.name}: pipeline"
    if pipeline is None:
        return _status(name, state.name, 0, "not configured", {})
    classifier, detector = pipeline.classifier, pipeline.detector
    backend, _, variant = classifier.backend.partition("/")
    # An engine says what it calculates in; ONNX Runtime does what the file says.
    named = _PRECISIONS.get(classifier.metadata.precision, "FP32")
    values = {
        "backend": classifier.backend,
        "precision": variant if backend == "tensorrt" else named,
        "backend reason": classifier.reason,
        "model": classifier.metadata.model_id,
        "class prior": "stated" if classifier.metadata.class_prior else "not stated: uniform",
        "detector": detector.name,
        "detector reason": detector.reason,
        "detector file": detector.model_file,
    }
    troubles = []
    if classifier.fallback:
        troubles.append(f"fallen back to {classifier.backend}: {classifier.reason}")
    if detector.fallback:
        troubles.append(f"fallen back to the detector {detector.name}: {detector.reason}")
    message = "; ".join(troubles) or f"{detector.name} and {backend}"
    return _status(name, state.name, 1 if troubles else 0, message, values)


def camera_status(
    state: NodeState, camera: str, snapshot: CameraSnapshot, publishers: int, mismatch: str = ""
) -> DiagnosticStatus:
    """Rates, ages and drops of one camera.

    Args:
        state: of the node.
        camera: resolved topic.
        snapshot: its figures.
        publishers: how many publishers its topic has.
        mismatch: why nothing of what they send can arrive; "" where it can.
    """
    values: dict[str, str] = {
        "input rate (Hz)": f"{snapshot.received_hz:.1f}",
        "output rate (Hz)": f"{snapshot.published_hz:.1f}",
        "images received": str(snapshot.received),
        "results published": str(snapshot.published),
        "faces tracked": str(snapshot.faces),
        "last image age (s)": "never" if snapshot.last_received_age is None else f"{snapshot.last_received_age:.2f}",
        "publishers": str(publishers),
        "age at dequeue p50 (ms)": _ms(snapshot.age_at_dequeue.p50),
        "age at dequeue p95 (ms)": _ms(snapshot.age_at_dequeue.p95),
        "age at dequeue max (ms)": _ms(snapshot.age_at_dequeue.largest),
        "age at publish p50 (ms)": _ms(snapshot.age_at_publish.p50),
        "age at publish p95 (ms)": _ms(snapshot.age_at_publish.p95),
        "age at publish max (ms)": _ms(snapshot.age_at_publish.largest),
    }
    values |= {f"stage {stage} (ms)": _ms(seconds) for stage, seconds in snapshot.stages.items()}
    values |= {f"dropped {cause}": str(count) for cause, count in sorted(snapshot.dropped.items())}
    if snapshot.last_error:
        values["last error"] = snapshot.last_error
    level, message = _judge_camera(state, snapshot, publishers, mismatch)
    return _status(f"{state.name}: camera {camera}", camera, level, message, values)


def faces_status(
    state: NodeState, topic: str, publishers: int, faces: Mapping[str, tuple[CameraSnapshot, int]]
) -> DiagnosticStatus:
    """Status of another node's faces (`ros4hri: consume`), and the figures of all of them.

    One status for all: faces come and go under names of their own, and diagnostic_aggregator takes a status that is no
    longer sent for an error.

    Args:
        state: of the node.
        topic: where the faces are told.
        publishers: how many publishers that topic has.
        faces: that are followed now: topic of the crops -> its figures, and how many publishers it has.
    """
    judged = {face: _judge_camera(state, snapshot, crops, "") for face, (snapshot, crops) in faces.items()}
    snapshots = [snapshot for snapshot, _ in faces.values()]
    ages = [snapshot.age_at_publish.p95 for snapshot in snapshots if not math.isnan(snapshot.age_at_publish.p95)]
    alone = state.running and publishers == 0
    told = ["nobody publishes faces: start a face detector of ROS4HRI" if alone else f"{len(faces)} faces followed"]
    worst = max((level for level, _ in judged.values()), default=0)
    if worst:
        bad = [f"{face}: {message}" for face, (level, message) in judged.items() if level == worst]
        told.append(bad[0] if len(bad) == 1 else f"{bad[0]} (and {len(bad) - 1} more)")
    values = {
        "publishers": str(publishers),
        "faces followed": str(len(faces)),
        "input rate (Hz)": f"{sum(snapshot.received_hz for snapshot in snapshots):.1f}",
        "output rate (Hz)": f"{sum(snapshot.published_hz for snapshot in snapshots):.1f}",
        "age at publish p95 (ms)": _ms(max(ages, default=math.nan)),
    }
    for face, (_, message) in judged.items():
        dropped = ", ".join(f"{count} {cause}" for cause, count in sorted(faces[face][0].dropped.items()))
        values[face] = f"{message}; dropped: {dropped}" if dropped else message
    return _status(f"{state.name}: faces {topic}", topic, max(worst, int(alone)), "; ".join(told), values)


def _judge_camera(state: NodeState, snapshot: CameraSnapshot, publishers: int, mismatch: str) -> tuple[int, str]:
    if not state.running:
        return 0, "not looked at"
    troubles = [_silence(state, snapshot, publishers, mismatch)]
    recent = snapshot.dropped_recently
    overtaken = recent.get("overtaken", 0)
    if snapshot.received_recently and overtaken > OVERLOAD_SHARE * snapshot.received_recently:
        troubles.append(
            f"overloaded: {overtaken} of the last {snapshot.received_recently} images were overtaken by newer ones "
            "(try max_rate_hz, detection_search_interval or a smaller detection_size)"
        )
    bad = {cause: count for cause, count in recent.items() if cause not in _NOT_BAD}
    if bad:
        counts = ", ".join(f"{count} {cause}" for cause, count in sorted(bad.items()))
        troubles.append(f"bad images ({counts}): {snapshot.last_error}")
    if recent.get("out_of_order"):
        troubles.append(f"{recent['out_of_order']} images out of order")
    noticed = snapshot.noticed_recently
    if noticed.get("restart", 0) > 1:
        several = f"; {publishers} publishers send to this topic, one should" if publishers > 1 else ""
        troubles.append(f"time went back {noticed['restart']} times, which ends all tracks{several}")
    if noticed.get("standing_stamp"):
        troubles.append("stamps stand still: no time passes, so no new face is reported and no label changes")
    if recent.get("failed"):
        return 2, f"processing fails: {snapshot.last_error}"
    message = "; ".join(trouble for trouble in troubles if trouble)
    return (1, message) if message else (0, f"{snapshot.published_hz:.1f} results a second")


def _silence(state: NodeState, snapshot: CameraSnapshot, publishers: int, mismatch: str) -> str:
    age = snapshot.last_received_age
    waits = [wait for wait in (state.active_for, snapshot.awaited_for) if wait is not None]
    since = min(waits, default=None) if age is None else age
    if since is None or since <= stale_after(state.track_timeout, snapshot.interval):
        return ""
    why = "; nobody publishes on this topic" if publishers == 0 else ""
    if mismatch:
        why = f"; {mismatch}"
    return f"stale: no image {'yet' if age is None else f'for {age:.1f} s'}{why}"


def _status(name: str, hardware: str, level: int, message: str, values: Mapping[str, str]) -> DiagnosticStatus:
    return DiagnosticStatus(
        level=_LEVELS[level],
        name=name,
        message=shown(message),
        hardware_id=hardware,
        # What others sent or named stands among them.
        values=[KeyValue(key=shown(key, 300), value=shown(value)) for key, value in values.items()],
    )


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.2f}"
