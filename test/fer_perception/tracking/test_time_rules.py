"""The tracker's rules of time against the same rules written out, for faces that stand far apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_perception.pipeline_types import Detection
from fer_perception.timing import stale_after
from fer_perception.tracking.tracker import FaceIds, Tracker

PLACES = 3
#: ms, so that a sum of them is a limit exactly, or misses it by far more than what the tracker takes for nothing.
STEPS = st.sampled_from([0, 17, 33, 100, 100, 100, 490, 510, 2000, 7000, 10**6])


@dataclass
class Face:
    """What the rules need to know of one face; times in ms."""

    first: int
    last: int
    confirmed: bool = False
    lost: bool = False


@dataclass
class Rules:
    """Which faces there are, and since when."""

    birth: int
    timeout: int
    faces: dict[int, Face]
    searches: list[int]

    def advance(self, now: int) -> None:
        intervals = [after - before for before, after in zip(self.searches, self.searches[1:], strict=False)][-2:]
        timeout = stale_after(self.timeout, min(intervals, default=0.0))
        self.faces = {
            place: face
            for place, face in self.faces.items()
            if now - face.last <= (self.timeout if face.lost else timeout)
        }

    def search(self, now: int, seen: set[int]) -> None:
        for place in seen:
            face = self.faces.setdefault(place, Face(now, now))
            face.last, face.lost = now, False
            face.confirmed = face.confirmed or now - face.first >= self.birth
        for place in self.faces.keys() - seen:
            face = self.faces[place]
            face.lost = True
            if now - face.last > (self.timeout if face.confirmed else self.birth):
                del self.faces[place]
        self.searches.append(now)


def detection(place: int) -> Detection:
    return Detection(np.array([20 + 200 * place, 100, 60, 70], np.float32), None, 0.9)


def place_of(box: np.ndarray) -> int:
    return round((float(box[0]) - 20) / 200)


@given(
    origin=st.sampled_from([0, 1_763_000_009_058]),
    birth=st.sampled_from([0, 50, 250, 1000]),
    timeout=st.sampled_from([50, 200, 1000, 5000]),
    images=st.lists(st.tuples(STEPS, st.none() | st.sets(st.integers(0, PLACES - 1))), min_size=1, max_size=25),
)
@settings(max_examples=100, deadline=None)
def test_who_is_reported_and_who_is_observed(
    origin: int, birth: int, timeout: int, images: list[tuple[int, set[int] | None]]
) -> None:
    rules = Rules(birth, timeout, {}, [])
    tracker = Tracker(FaceIds(deterministic=True), birth_time=birth * 1e-3, track_timeout=timeout * 1e-3)
    now = origin
    for step, seen in images:
        now += step
        stamp = now * 1_000_000 * 1e-9
        rules.advance(now)
        if seen is None:
            tracks = tracker.predict(stamp)
        else:
            rules.search(now, seen)
            tracks = tracker.update([detection(place) for place in sorted(seen)], stamp, image_size=(640, 480))
        reported = {place_of(track.box): track for track in tracks}
        assert len(reported) == len(tracks)
        assert reported.keys() == {place for place, face in rules.faces.items() if face.confirmed}
        assert {place for place, track in reported.items() if track.observed} == (seen or set()) & reported.keys()
        assert {place for place, track in reported.items() if track.lost} == {
            place for place in reported if rules.faces[place].lost
        }
