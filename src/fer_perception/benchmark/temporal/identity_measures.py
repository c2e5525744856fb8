"""Identity measures of a tracker: switches, fragments and MOTA (CLEAR MOT, Bernardin & Stiefelhagen 2008)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fer_perception.benchmark.temporal.face_worlds import World, detect
from fer_perception.tracking.tracker import FaceIds, Track, Tracker


@dataclass(frozen=True)
class IdentityMeasures:
    """Measures of one tracker on one world.

    Attributes:
        id_switches: how often a face came back under another id than it had before.
        fragments: how often a face that was visible and followed was not reported any more and then followed again.
        missed: images in which a visible face was not reported, summed over faces.
        false_tracks: reported faces that were no face, summed over images.
        mota: 1 - (missed + false_tracks + id_switches) / faces to be seen.
    """

    id_switches: int
    fragments: int
    missed: int
    false_tracks: int
    mota: float


def follow(
    world: World, *, seed: int = 0, dropped: float = 0.2, jitter: float = 0.05, tracker: Tracker | None = None
) -> IdentityMeasures:
    """Run a tracker over a world and measure it.

    Args:
        world: the truth.
        seed: of what the detector misses.
        dropped: see `face_worlds.detect`.
        jitter: likewise.
        tracker: default: a new one with default settings.
    """
    rng = np.random.default_rng(seed)
    tracker = Tracker(FaceIds(deterministic=True)) if tracker is None else tracker
    last: dict[int, str] = {}
    following: dict[int, bool] = {}
    switches = fragments = missed = false_tracks = total = 0
    for frame, stamp in enumerate(world.stamps):
        detections, faces = detect(world, frame, rng, dropped=dropped, jitter=jitter)
        tracks = tracker.update(detections, float(stamp))
        owners = _owners(world, frame, tracks, faces)
        false_tracks += sum(face is None for face in owners)
        ids = {face: track.id for face, track in zip(owners, tracks, strict=True) if face is not None}
        for face in np.flatnonzero(world.visible[:, frame]).tolist():
            total += 1
            if face not in ids:
                missed += 1
                following[face] = False
                continue
            switches += face in last and last[face] != ids[face]
            fragments += following.get(face) is False and face in last
            last[face], following[face] = ids[face], True
    return IdentityMeasures(switches, fragments, missed, false_tracks, 1 - (missed + false_tracks + switches) / total)


def _owners(world: World, frame: int, tracks: Sequence[Track], faces: Sequence[int]) -> list[int | None]:
    """The true face of each track: of its detection, else the nearest one without a track within half a face width."""
    owners: list[int | None] = [None if t.detection_index is None else faces[t.detection_index] for t in tracks]
    taken = {face for face in owners if face is not None}
    centers = world.boxes[:, frame, :2] + 0.5 * world.boxes[:, frame, 2:]
    for i, track in enumerate(tracks):
        if owners[i] is not None:
            continue
        away = np.linalg.norm(centers - (track.box[:2] + 0.5 * track.box[2:]), axis=1) / world.boxes[:, frame, 2]
        for face in np.argsort(away):
            if away[face] < 0.5 and face not in taken:
                owners[i] = int(face)
                taken.add(int(face))
                break
    return owners
