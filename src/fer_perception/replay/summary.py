"""Summary of the faces of a replay: duration and expressions of each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from fer_perception.replay.replay import ReplayedFrame
from fer_perception.results.json_lines import seconds


@dataclass
class SeenFace:
    """One face of one camera.

    Attributes:
        camera: topic.
        face_id: of the track.
        first_ns: stamp of the first frame with it.
        last_ns: stamp of the last one.
        emotions: number of frames by emotion, "" = undecided.
    """

    camera: str
    face_id: str
    first_ns: int
    last_ns: int
    emotions: Counter[str] = field(default_factory=Counter)

    @property
    def frames(self) -> int:
        """Number of frames with this face."""
        return sum(self.emotions.values())

    @property
    def emotion(self) -> str:
        """The most frequent emotion, "" where none was ever decided on."""
        decided = Counter({name: count for name, count in self.emotions.items() if name})
        return decided.most_common(1)[0][0] if decided else ""

    def to_json(self) -> dict[str, Any]:
        """One JSON object: camera, face_id, first and last (s), frames, emotion and its share of the frames."""
        return {
            "camera": self.camera,
            "face_id": self.face_id,
            "first": seconds(self.first_ns),
            "last": seconds(self.last_ns),
            "frames": self.frames,
            "emotion": self.emotion,
            "share": round(self.emotions[self.emotion] / self.frames, 4),
        }


class SeenFaces:
    """Collects the faces of a replay."""

    def __init__(self) -> None:
        self._faces: dict[tuple[str, str], SeenFace] = {}
        self._span: dict[str, tuple[int, int]] = {}

    def add(self, frame: ReplayedFrame) -> None:
        """Take one frame."""
        result = frame.result
        first, _ = self._span.get(result.camera, (frame.received_ns, 0))
        self._span[result.camera] = (first, frame.received_ns)
        for face in result.faces:
            seen = self._faces.setdefault(
                (result.camera, face.face_id),
                SeenFace(result.camera, face.face_id, result.stamp_ns, result.stamp_ns),
            )
            seen.last_ns = result.stamp_ns
            seen.emotions[face.emotion] += 1

    def seconds(self, camera: str) -> float:
        """Time from the first to the last frame of a camera as recorded, s: header stamps may begin anew in between."""
        first, last = self._span.get(camera, (0, 0))
        return seconds(last - first)

    def faces(self, camera: str | None = None) -> list[SeenFace]:
        """The faces of one camera or of all, the longest seen first."""
        chosen = [face for face in self._faces.values() if camera in (None, face.camera)]
        return sorted(chosen, key=lambda face: (-face.frames, face.camera, face.face_id))
