"""Detector of lasting changes of a face's expression: dwell and refractory time, free of ROS."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Seen:
    """One face of one EmotionArray.

    Attributes:
        face_id: as in fer_msgs/Emotion.
        emotion: label; "" = undecided.
        confidence: [0, 1].
        observed: False = carried over from an earlier image.
    """

    face_id: str
    emotion: str
    confidence: float
    observed: bool


@dataclass(frozen=True)
class Change:
    """A face's expression changed and stayed changed.

    Attributes:
        face_id: whose.
        previous: label before; "" = the face is new.
        current: label now; "" = the face has gone.
        confidence: of `current`, [0, 1].
    """

    face_id: str
    previous: str
    current: str
    confidence: float


@dataclass
class _Face:
    told: str = ""
    told_at: float | None = None
    candidate: str = ""
    since: float = 0.0


@dataclass
class _Camera:
    stamp: float | None = None
    faces: dict[str, _Face] = field(default_factory=dict)


class ExpressionChanges:
    """Turns labels that come with every image into rare events one can act on.

    A new label counts after it was seen for `dwell` without another one in between, with at least `min_confidence`, and
    not within `refractory` of the face's last change. Undecided moments interrupt a dwell but are no change.

    Args:
        dwell: s.
        refractory: s.
        min_confidence: [0, 1].
    """

    def __init__(self, *, dwell: float = 0.5, refractory: float = 2.0, min_confidence: float = 0.5) -> None:
        self.dwell = dwell
        self.refractory = refractory
        self.min_confidence = min_confidence
        self._cameras: dict[str, _Camera] = {}

    def update(self, camera: str, stamp: float, faces: Iterable[Seen]) -> list[Change]:
        """Take one EmotionArray.

        Args:
            camera: its topic.
            stamp: header stamp, s.
            faces: everybody in it; who was there before and is missing has gone.

        Returns:
            The changes this array confirms, the faces that left first.
        """
        known = self._cameras.setdefault(camera, _Camera())
        changes: list[Change] = []
        if known.stamp is not None and stamp < known.stamp:
            # A bag that starts again: what was is over.
            changes += self.end(camera)
            known = self._cameras.setdefault(camera, _Camera())
        known.stamp = stamp
        present = list(faces)
        # In order of the ids: that of a set would be another one in every process.
        for face_id in sorted(known.faces.keys() - {face.face_id for face in present}):
            changes += self._leave(known, face_id)
        for face in present:
            state = known.faces.setdefault(face.face_id, _Face())
            change = self._look(state, face, stamp)
            if change is not None:
                changes.append(change)
        return changes

    def end(self, camera: str) -> list[Change]:
        """The camera fell silent: everybody in front of it counts as gone."""
        known = self._cameras.pop(camera, _Camera())
        return [change for face_id in sorted(known.faces) for change in self._leave(known, face_id)]

    def _leave(self, camera: _Camera, face_id: str) -> list[Change]:
        state = camera.faces.pop(face_id)
        return [Change(face_id, state.told, "", 0.0)] if state.told else []

    def _look(self, state: _Face, face: Seen, stamp: float) -> Change | None:
        if not face.observed:
            return None
        sure = face.confidence >= self.min_confidence
        if face.emotion != state.candidate or not sure:
            state.candidate = face.emotion if sure else ""
            state.since = stamp
        rested = state.told_at is None or stamp - state.told_at >= self.refractory
        if state.candidate in {"", state.told} or stamp - state.since < self.dwell or not rested:
            return None
        change = Change(face.face_id, state.told, state.candidate, face.confidence)
        state.told, state.told_at = state.candidate, stamp
        return change
