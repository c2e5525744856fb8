"""Finder of faces over time: the whole image now and then, windows around known faces in between, for all cameras.

Between two searches a face is looked for around the place where it is expected; one that is not there any more is
searched for in the whole image at once. While a camera shows known faces, its searches are spread over consecutive
frames in parts, so that no frame takes much longer than the others, and faces are measured in their windows then too:
the detector measures the same face a little differently at another size, which would look like a movement.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fer_perception.detection.base import Detector, WindowDetector
from fer_perception.detection.scaling import intersection_over_union, keep_largest
from fer_perception.detection.scene import SceneCuts
from fer_perception.detection.windows import Window, window_around
from fer_perception.pipeline_types import STAMP_EPSILON, Detection

#: Parts of the interval by which the searches of one camera after the other are shifted: never alike for any number.
_GOLDEN = 0.618034
#: Images rarer than this part of the interval are all searched whole: windows would spare next to nothing.
_RARE = 0.5
#: Of so many cameras whose searches wait for their turn a second one is searched in the same call.
_CAMERAS_A_PART = 4
#: With more than the windows that a search costs the image is searched; with less than this part of them, no longer.
_CROWD_ENDS = 0.8
#: What lies in a window is the face it was made for if its middle is this near to the expected one, in face sizes, ...
_NEAR = 0.75
#: ... and it is larger or smaller by this factor at most.
_LIKE = 2.0
#: Boxes that overlap by more (intersection over union) are one face found twice.
_SAME = 0.3


@dataclass(frozen=True)
class KnownFace:
    """A face that is followed already.

    Attributes:
        id: of its track.
        box: (4,) float32 x, y, width, height where it is expected now, pixels of the image.
        lost: the latest image did not show it.
    """

    id: str
    box: NDArray[np.float32]
    lost: bool


@dataclass
class CameraView:
    """State of one camera between its images.

    Attributes:
        phase: shift of this camera's searches, in intervals.
    """

    phase: float = 0.0
    _slot: int | None = None
    _size: tuple[int, int] | None = None
    _stamp: float | None = None
    _pending: list[int] = field(default_factory=list)
    _windows: dict[str, Window] = field(default_factory=dict)
    _scene: SceneCuts = field(default_factory=SceneCuts)
    _crowded: bool = False


@dataclass(frozen=True)
class Request:
    """One image to find the faces in.

    Attributes:
        image: (H, W, 3) uint8 BGR or (H, W) uint8 gray.
        stamp_s: its time in s, which need not grow.
        known: the faces followed in it.
        camera: what is remembered of its camera; None = a still image, searched whole and thoroughly.
    """

    image: NDArray[np.uint8]
    stamp_s: float
    known: Sequence[KnownFace] = ()
    camera: CameraView | None = None


@dataclass(frozen=True)
class Found:
    """The answer to a `Request`.

    Attributes:
        detections: the faces, best score first.
        cut: the image shows another scene than the one before: no face in it is one that was known.
        seconds: what it took; windows of several images, looked into at once, are shared out evenly.
    """

    detections: list[Detection]
    cut: bool
    seconds: float


@dataclass
class _Plan:
    """Plan of one image: the places to look at, and the faces seen there.

    Attributes:
        request: the image.
        whole: search the whole image; there are no windows then.
        part: of the image that is searched besides the windows; None = none.
        windows: one for each known face.
        looked: what each of them shows.
        cut: see `Found`.
        seconds: spent so far.
    """

    request: Request
    whole: bool = False
    part: int | None = None
    windows: list[Window] = field(default_factory=list)
    looked: list[list[Detection]] = field(default_factory=list)
    cut: bool = False
    seconds: float = 0.0


class FaceFinder:
    """Finds the faces in the images of several cameras. Not thread-safe: one worker owns it.

    Args:
        detector: whose windows are looked into, if it is a `WindowDetector`; else every image is searched.
        interval: s between two searches of a camera's whole image; 0 = search every image.
    """

    def __init__(self, detector: Detector, interval: float) -> None:
        self.detector = detector
        self.interval = interval
        self._windows = detector if isinstance(detector, WindowDetector) else None
        self._cameras = 0

    def new_camera(self) -> CameraView:
        """The memory for a camera that is seen for the first time, or whose time began anew."""
        self._cameras += 1
        return CameraView(phase=math.modf((self._cameras - 1) * _GOLDEN)[0])

    def find(self, requests: Sequence[Request]) -> list[Found]:
        """Find the faces of some images, at best one of each camera; the windows of all are looked into in one batch.

        Args:
            requests: in any order.

        Returns:
            One answer an image, in the same order.
        """
        plans = [self._plan(request) for request in requests]
        _share_out_parts(plans)
        self._look(plans)
        return [self._finish(plan) for plan in plans]

    def warm_up(self, width: int, height: int) -> None:
        """Run the detector once on a blank image, in every way, so that the first real one does not pay for it."""
        blank = np.zeros((height, width, 3), np.uint8)
        self.detector.detect(blank)
        if self._windows is not None:
            self._windows.look([(blank, Window(0, 0, height))])

    def _plan(self, request: Request) -> _Plan:
        """Decide where to look in an image."""
        begin = time.perf_counter()
        plan = _Plan(request)
        camera = request.camera
        if camera is None:
            plan.whole = True
            return plan
        height, width = request.image.shape[:2]
        plan.cut = camera._scene.cut(request.image)
        pause = math.inf if camera._stamp is None else request.stamp_s - camera._stamp
        resized, camera._size, camera._stamp = camera._size != (width, height), (width, height), request.stamp_s
        if self.interval <= 0 or self._windows is None:
            plan.whole = True
        else:
            # A grid in header time: two runs search the same images, and cameras that were apart stay so.
            slot = math.floor(request.stamp_s / self.interval + camera.phase)
            due, camera._slot = slot != camera._slot, slot
            limit = self._windows.windows_for_a_search(width, height) * (_CROWD_ENDS if camera._crowded else 1.0)
            camera._crowded = len(request.known) > limit
            # Stamps that stand still say nothing about when to search.
            rare = pause > _RARE * self.interval or pause <= STAMP_EPSILON
            plan.whole = plan.cut or resized or rare or camera._crowded or (due and not request.known)
            if not plan.whole and due:
                # Parts that still wait come first.
                parts = range(self._windows.search_parts)
                camera._pending += [part for part in parts if part not in camera._pending]
        if plan.whole:
            camera._pending.clear()
            camera._windows.clear()
        else:
            camera._windows = {face.id: window_around(face.box, camera._windows.get(face.id)) for face in request.known}
            plan.windows = list(camera._windows.values())
        plan.seconds = time.perf_counter() - begin
        return plan

    def _look(self, plans: Sequence[_Plan]) -> None:
        """Look into the windows of all images."""
        views = [(plan.request.image, window) for plan in plans for window in plan.windows]
        if not views or self._windows is None:
            return
        begin = time.perf_counter()
        found = iter(self._windows.look(views))
        share = (time.perf_counter() - begin) / len(views)
        for plan in plans:
            plan.looked = [next(found) for _ in plan.windows]
            plan.seconds += share * len(plan.windows)

    def _finish(self, plan: _Plan) -> Found:
        """Search an image, or a part of it, where that was planned or a face is missing, and gather what was found."""
        begin = time.perf_counter()
        request, detector = plan.request, self.detector
        if plan.whole:
            detections = detector.detect(request.image, thorough=request.camera is None)
        else:
            detections, missing = _of_windows(plan)
            if missing:
                detections += detector.detect(request.image)
                if request.camera is not None:
                    request.camera._pending.clear()
            elif plan.part is not None and self._windows is not None:
                detections += self._windows.search_part(request.image, plan.part)
            detections = keep_largest(_distinct(detections), detector.min_face_size, detector.max_faces)
        return Found(detections, plan.cut, plan.seconds + time.perf_counter() - begin)


def _share_out_parts(plans: Sequence[_Plan]) -> None:
    """Let as few images as possible be searched in part at once; who has most parts left goes first, the rest waits."""
    waiting = [
        (camera, plan)
        for plan in plans
        if (camera := plan.request.camera) is not None and camera._pending and not plan.whole
    ]
    waiting.sort(key=lambda pair: -len(pair[0]._pending))
    for camera, plan in waiting[: 1 + len(waiting) // _CAMERAS_A_PART]:
        plan.part = camera._pending.pop(0)


def _of_windows(plan: _Plan) -> tuple[list[Detection], bool]:
    """Detections in the windows of an image.

    Returns:
        The known faces, then others that no edge of a window cuts; and whether one is missing that was there before.
    """
    known = plan.request.known
    height, width = plan.request.image.shape[:2]
    pairs = [
        (intersection_over_union(face.box, detection.box), index, number, detection)
        for index, (face, found) in enumerate(zip(known, plan.looked, strict=True))
        for number, detection in enumerate(found)
        if _is_face(face, detection)
    ]
    pairs.sort(key=lambda pair: (-pair[0], pair[1], pair[2]))
    of_known: dict[int, Detection] = {}
    for _, index, _, detection in pairs:
        # One face cannot be two that are known, even where two windows show it.
        if index not in of_known and _is_new(detection, of_known.values()):
            of_known[index] = detection
    others = [
        detection
        for window, found in zip(plan.windows, plan.looked, strict=True)
        for detection in found
        if window.holds(detection.box, width, height)
    ]
    missing = any(index not in of_known and not face.lost for index, face in enumerate(known))
    return [*of_known.values(), *sorted(others, key=lambda each: -each.score)], missing


def _is_face(face: KnownFace, detection: Detection) -> bool:
    """True where a detection may be the face that was expected."""
    expected, found = face.box.astype(np.float64), detection.box.astype(np.float64)
    sizes = [max(math.sqrt(float(box[2] * box[3])), 1.0) for box in (expected, found)]
    away = expected[:2] + 0.5 * expected[2:] - found[:2] - 0.5 * found[2:]
    return math.hypot(*away) <= _NEAR * sizes[0] and 1 / _LIKE <= sizes[1] / sizes[0] <= _LIKE


def _is_new(detection: Detection, others: Iterable[Detection]) -> bool:
    return all(intersection_over_union(detection.box, other.box) <= _SAME for other in others)


def _distinct(detections: Sequence[Detection]) -> list[Detection]:
    """Of faces found twice the first one; the known ones come first, as their windows measured them."""
    kept: list[Detection] = []
    for detection in detections:
        if _is_new(detection, kept):
            kept.append(detection)
    return kept
