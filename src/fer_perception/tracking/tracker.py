"""Face tracker: stable ids from the detections of one camera's images, in header time."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_perception.pipeline_types import STAMP_EPSILON, Detection
from fer_perception.timing import IntervalEstimate
from fer_perception.tracking.matching import match, same_face
from fer_perception.tracking.motion import FaceMotion

#: An image whose width and height changed by factors this alike shows the same scene in another resolution.
_SAME_ASPECT = 0.02


class FaceIds:
    """Hands out face ids that start with a letter (REP-155) and never repeat; one for all cameras of a process.

    Args:
        deterministic: f00001, f00002, ... from the start; otherwise the ids of this process share a random part, so
            that ids of an earlier run do not come again.
    """

    def __init__(self, *, deterministic: bool = False) -> None:
        self._form = "f{:05d}" if deterministic else f"f{secrets.token_hex(4)}_{{}}"
        self._numbers = itertools.count(1)

    def __call__(self) -> str:
        """A new id. Safe to call from several threads."""
        return self._form.format(next(self._numbers))


@dataclass(frozen=True)
class Track:
    """One face at one time.

    Attributes:
        id: stable while the face is followed.
        box: (4,) float32 x, y, width, height in pixels: the detection's where observed, else predicted.
        landmarks: (5, 2) float32 pixels, likewise; None where the detector gives none.
        score: detector's confidence of the latest detection, [0, 1].
        observed: a detection of this very image belongs to it (never after `Tracker.predict`).
        detection_index: which of the detections given to `Tracker.update`; None where not observed.
        lost: the latest image that was searched did not show it.
        first_seen: stamp of the first detection, s.
        last_seen: stamp of the latest detection, s.
        confirmed: seen for `birth_time`; only such tracks are to be reported.
    """

    id: str
    box: NDArray[np.float32]
    landmarks: NDArray[np.float32] | None
    score: float
    observed: bool
    detection_index: int | None
    lost: bool
    first_seen: float
    last_seen: float
    confirmed: bool


@dataclass
class _Face:
    """State of one face in the tracker; `motion` is that at `last_seen`."""

    id: str
    motion: FaceMotion
    detection: Detection
    first_seen: float
    last_seen: float
    confirmed: bool
    lost: bool = False
    #: Nothing that is found from now on is this face.
    gone: bool = False

    def at(self, stamp: float) -> FaceMotion:
        return self.motion.predict(stamp - self.last_seen)

    def seen(self, detection: Detection, stamp: float) -> None:
        self.motion = self.at(stamp).correct(detection)
        self.detection, self.last_seen, self.lost = detection, stamp, False


class Tracker:
    """Follows the faces of one camera. Knows geometry and time only; not thread-safe.

    A face is confirmed once it was seen for `birth_time`: with a birth time above 0 that takes at least two
    detections, so a single false alarm is never reported. A candidate that is not seen for `birth_time` (and at the
    next image, where images are rarer) is forgotten. A confirmed face that is not found any more moves on with
    constant velocity until it was not seen for `track_timeout`, or has left the image. Where images are searched so
    rarely that this time is over before the next search, a face that nobody has looked for yet is not lost.

    Stamps must not fall; a stamp before the latest one is taken for the latest one. After a jump back in time call
    `reset`.

    Args:
        ids: where new ids come from, shared by all cameras.
        birth_time: s, >= 0.
        track_timeout: s, > 0.

    Example:
        >>> import numpy as np
        >>> tracker = Tracker(FaceIds(deterministic=True), birth_time=0.05, track_timeout=1.0)
        >>> face = Detection(box=np.array([40, 30, 50, 60], np.float32), landmarks=None, score=0.9)
        >>> tracker.update([face], 0.0)  # a candidate: not seen for the birth time yet
        []
        >>> [track] = tracker.update([face], 0.1)
        >>> track.id, track.observed
        ('f00001', True)
        >>> [track] = tracker.update([], 0.6)  # not found: moves on until the timeout
        >>> track.id, track.observed
        ('f00001', False)
        >>> tracker.update([], 1.2)
        []
    """

    def __init__(self, ids: Callable[[], str], *, birth_time: float = 0.05, track_timeout: float = 1.0) -> None:
        self.birth_time = birth_time
        self.track_timeout = track_timeout
        self._ids = ids
        self._faces: list[_Face] = []
        self._tentative: list[Track] = []
        self._stamp: float | None = None
        self._image_size: tuple[int, int] | None = None
        self._searches = IntervalEstimate()

    @property
    def tentative(self) -> list[Track]:
        """The candidates of the latest `update` or `predict`: faces too new to be reported."""
        return list(self._tentative)

    def reset(self) -> None:
        """Forget all faces and the time; ids go on."""
        self._faces.clear()
        self._tentative.clear()
        self._stamp = None
        self._image_size = None
        self._searches = IntervalEstimate()

    def expected(self, stamp_s: float, image_size: tuple[int, int]) -> list[tuple[str, NDArray[np.float32], bool]]:
        """Boxes in which the faces are expected in the next image, candidates included; nothing is changed.

        Args:
            stamp_s: time of the image, s.
            image_size: its width and height in pixels; where they changed, nothing is expected.

        Returns:
            For each face that may be found again: its id, its box (4,) float32 x, y, width, height in pixels, and
            whether the latest image did not show it.
        """
        if self._stamp is None or image_size != self._image_size:
            return []
        stamp = max(stamp_s, self._stamp)
        faces = [(face, face.at(stamp).box) for face in self._faces if not face.gone]
        return [(face.id, box, face.lost) for face, box in faces if not self._outside(box)]

    def scene_changed(self) -> None:
        """Marks a scene cut: no face that is followed is found again.

        Candidates end at once; confirmed faces are lost and go on as such until `track_timeout` is over.
        """
        self._faces = [face for face in self._faces if face.confirmed]
        for face in self._faces:
            face.lost = face.gone = True

    def update(
        self,
        detections: Sequence[Detection],
        stamp_s: float,
        *,
        image_size: tuple[int, int] | None = None,
        immediate: bool = False,
    ) -> list[Track]:
        """Take in the detections of one image.

        Args:
            detections: of this image, in any order; a face found twice is counted once.
            stamp_s: time of the image, s.
            image_size: width and height of the image in pixels. Where they change by the same factor the tracks
                scale with the image; where the aspect changes too, all tracks end.
            immediate: confirm every face at once (a still image).

        Returns:
            The confirmed tracks, oldest first.
        """
        stamp = self._advance(stamp_s)
        self._resize(image_size)
        used: dict[int, _Face] = {}
        for confirmed in (True, False):
            self._assign([f for f in self._faces if f.confirmed is confirmed], detections, stamp, used)
        self._begin(detections, stamp, used)
        matched = {id(face): index for index, face in used.items()}
        kept = []
        for face in self._faces:
            if id(face) in matched:
                if immediate or stamp - face.first_seen >= self.birth_time - STAMP_EPSILON:
                    face.confirmed = True
            else:
                face.lost = True
                timeout = self.track_timeout if face.confirmed else self.birth_time
                if stamp - face.last_seen > timeout + STAMP_EPSILON:
                    continue
                if self._outside(face.at(stamp).box):
                    continue
            kept.append(face)
        self._faces = kept
        self._searches.observe(stamp)
        return self._report(stamp, matched)

    def predict(self, stamp_s: float) -> list[Track]:
        """The tracks in an image that was not searched for faces: boxes and landmarks moved by the velocity.

        Args:
            stamp_s: time of the image, s.

        Returns:
            The confirmed tracks, oldest first, none of them observed; those with `lost` were not found in the latest
            image that was searched.
        """
        stamp = self._advance(stamp_s)
        self._faces = [face for face in self._faces if not self._outside(face.at(stamp).box)]
        return self._report(stamp, {})

    def _advance(self, stamp_s: float) -> float:
        """Take the new time and end the tracks that were not seen for too long."""
        self._stamp = stamp_s if self._stamp is None else max(stamp_s, self._stamp)
        unsearched = self._searches.timeout_s(self.track_timeout)
        self._faces = [
            face
            for face in self._faces
            if self._stamp - face.last_seen <= (self.track_timeout if face.lost else unsearched) + STAMP_EPSILON
        ]
        return self._stamp

    def _resize(self, image_size: tuple[int, int] | None) -> None:
        if image_size is None or image_size == self._image_size:
            return
        if self._image_size is not None:
            x, y = image_size[0] / self._image_size[0], image_size[1] / self._image_size[1]
            if abs(x / y - 1.0) > _SAME_ASPECT:
                self._faces.clear()
            for face in self._faces:
                face.motion = face.motion.scaled(x, y)
        self._image_size = image_size

    def _assign(
        self, faces: list[_Face], detections: Sequence[Detection], stamp: float, used: dict[int, _Face]
    ) -> None:
        faces = [face for face in faces if not face.gone]
        free = [i for i in range(len(detections)) if i not in used]
        for row, column in match([face.at(stamp) for face in faces], [detections[i] for i in free]):
            faces[row].seen(detections[free[column]], stamp)
            used[free[column]] = faces[row]

    def _begin(self, detections: Sequence[Detection], stamp: float, used: dict[int, _Face]) -> None:
        """Begin a candidate for each detection that is left and is not another one's double."""
        for index in sorted(range(len(detections)), key=lambda i: -detections[i].score):
            if index in used:
                continue
            detection = detections[index]
            if used and same_face(detection.box[None], np.stack([detections[i].box for i in used])).any():
                continue
            face = _Face(self._ids(), FaceMotion.begin(detection), detection, stamp, stamp, confirmed=False)
            self._faces.append(face)
            used[index] = face

    def _outside(self, box: NDArray[np.float32]) -> bool:
        if self._image_size is None:
            return False
        x, y, width, height = (float(v) for v in box)
        return x + width < 1 or y + height < 1 or x > self._image_size[0] - 1 or y > self._image_size[1] - 1

    def _report(self, stamp: float, matched: dict[int, int]) -> list[Track]:
        tracks = [self._track(face, stamp, matched.get(id(face))) for face in self._faces]
        self._tentative = [track for track in tracks if not track.confirmed]
        return [track for track in tracks if track.confirmed]

    def _track(self, face: _Face, stamp: float, index: int | None) -> Track:
        observed = index is not None
        motion = face.motion if observed else face.at(stamp)
        return Track(
            id=face.id,
            box=face.detection.box if observed else motion.box,
            landmarks=face.detection.landmarks if observed else motion.landmarks,
            score=face.detection.score,
            observed=observed,
            detection_index=index,
            lost=face.lost,
            first_seen=face.first_seen,
            last_seen=face.last_seen,
            confirmed=face.confirmed,
        )
