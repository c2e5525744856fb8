"""Pipeline from decoded images to results: detect, track, crop, classify, smooth. Knows nothing of ROS."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_perception.classification.classifier import Classifier
from fer_perception.classification.create import create_classifier
from fer_perception.classification.faces import classify_faces
from fer_perception.detection.base import Detector
from fer_perception.detection.create import create_detector
from fer_perception.detection.finder import CameraView, FaceFinder, Found, KnownFace, Request
from fer_perception.imaging.crops import crop_faces, face_quality
from fer_perception.imaging.rotation import turn, turn_back
from fer_perception.model_files.store import ModelStore
from fer_perception.pipeline_types import FaceResult, Frame, FrameResult, Phase
from fer_perception.settings.pipeline_settings import PipelineSettings
from fer_perception.temporal.class_prior import takes_neutral_share
from fer_perception.temporal.smoother import Smoothed, Smoother, create_smoother
from fer_perception.timing import began_anew
from fer_perception.tracking.tracker import FaceIds, Track, Tracker

logger = logging.getLogger(__name__)

#: Settings whose change makes new smoothers, so that no state of another filter is carried over.
_TEMPORAL = ("filter", "ema_time_constant", "hmm_", "undecided_threshold", "hysteresis", "min_dwell", "neutral_share")


def temporal(settings: PipelineSettings) -> dict[str, Any]:
    """The settings of the filters."""
    return {f.name: getattr(settings, f.name) for f in fields(settings) if f.name.startswith(_TEMPORAL)}


@dataclass
class _Camera:
    """State of one camera between its frames."""

    tracker: Tracker
    view: CameraView
    smoothers: dict[str, Smoother] = field(default_factory=dict)
    #: Faces whose smoother was made with other settings than the present ones.
    outdated: set[str] = field(default_factory=set)
    stamp_ns: int | None = None


@dataclass
class _Look:
    """One frame and what was found in it."""

    frame: Frame
    camera: _Camera | None
    found: Found = field(default_factory=lambda: Found([], cut=False, seconds=0.0))


@dataclass
class _FrameState:
    """One frame on its way through the stages."""

    frame: Frame
    camera: _Camera | None
    tracks: list[Track]
    looked_at: list[Track]
    crops: NDArray[np.float32]
    timings: dict[str, float]


class Pipeline:
    """Turns frames into results; keeps tracks and filters per camera. Owned by one thread.

    Args:
        detector: finds the faces.
        classifier: names their expressions.
        settings: of tracking, smoothing and scheduling (those of the networks are theirs already).
        ids: where face ids come from, shared with earlier pipelines of the process; None = new ones.
        rotations: degrees clockwise by camera; for all others the setting `rotate` counts.

    Example:
        >>> from fer_perception.pipeline_types import Frame
        >>> settings = PipelineSettings(detector="haar", backend="onnxruntime", threads=1)
        >>> pipeline = build_pipeline(settings)
        >>> gray_wall = np.full((120, 160, 3), 128, dtype=np.uint8)
        >>> [result] = pipeline.process([Frame(gray_wall, stamp_ns=0, still=True)])
        >>> result.width, result.height, result.faces
        (160, 120, ())
        >>> pipeline.close()
    """

    def __init__(
        self,
        detector: Detector,
        classifier: Classifier,
        settings: PipelineSettings,
        *,
        ids: FaceIds | None = None,
        rotations: Mapping[str, int] | None = None,
    ) -> None:
        self.detector = detector
        self.finder = FaceFinder(detector, settings.detection_search_interval)
        self.classifier = classifier
        self.settings = settings
        self._ids = ids or FaceIds(deterministic=settings.deterministic_ids)
        self._rotations = dict(rotations or {})
        self._cameras: dict[str, _Camera] = {}
        self._warn_of_neutral_share(0.0)

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in the order of all scores."""
        return self.classifier.metadata.labels

    @property
    def model_id(self) -> str:
        """Name and short hash of the classifier."""
        return self.classifier.metadata.model_id

    def process(self, frames: Sequence[Frame]) -> list[FrameResult]:
        """Process frames, at best one of each camera: the faces of all of them go into one classifier batch.

        Args:
            frames: in any order; frames of one camera in the order of their stamps. Where the source began anew (see
                `timing.began_anew`), its tracks are forgotten.

        Returns:
            One result a frame, in the same order.

        Raises:
            BackendError: the classifier failed and there is nothing to fall back to.
        """
        # Everything in between knows upright images only.
        angles = [self._rotations.get(frame.camera, self.settings.rotate) for frame in frames]
        upright = [replace(frame, image=turn(frame.image, angle)) for frame, angle in zip(frames, angles, strict=True)]
        works = [self._follow(look) for look in self._detect(upright)]
        probabilities = self._classify(works)
        results = [self._conclude(work, rows) for work, rows in zip(works, probabilities, strict=True)]
        return [turn_back(result, angle) for result, angle in zip(results, angles, strict=True)]

    def reset(self) -> None:
        """Forget the tracks of all cameras; ids go on, so no face keeps its id."""
        self._cameras.clear()

    def end_camera(self, camera: str) -> None:
        """Forget the tracks of one camera (it fell silent)."""
        self._cameras.pop(camera, None)

    def track_count(self, camera: str | None = None) -> int:
        """Number of faces followed now, candidates included, of one camera or of all."""
        chosen = self._cameras.values() if camera is None else filter(None, [self._cameras.get(camera)])
        return sum(len(state.smoothers) for state in chosen)

    def configure(self, settings: PipelineSettings) -> None:
        """Take new live settings; faces keep their ids. Settings that are not live take no effect here."""
        anew = temporal(settings) != temporal(self.settings)
        share, self.settings = self.settings.neutral_share, settings
        self._warn_of_neutral_share(share)
        self.detector.threshold = settings.detection_threshold
        self.detector.detection_size = settings.detection_size
        self.detector.min_face_size = settings.min_face_size
        self.detector.max_faces = settings.max_faces
        self.finder.interval = settings.detection_search_interval
        for camera in self._cameras.values():
            camera.tracker.birth_time = settings.birth_time
            camera.tracker.track_timeout = settings.track_timeout
            if anew:
                camera.outdated = set(camera.smoothers)

    def warm_up(self, width: int = 640, height: int = 480) -> None:
        """Run both networks once on a blank image, so that the first real frame does not pay for lazy set-up."""
        self.finder.warm_up(width, height)
        channels, rows, columns = self.classifier.metadata.input_shape
        self.classifier.classify(np.zeros((1, channels, rows, columns), np.float32))

    def close(self) -> None:
        """Release the networks; idempotent."""
        self._cameras.clear()
        self.detector.close()
        self.classifier.close()

    def _warn_of_neutral_share(self, before: float) -> None:
        """Say once that the setting has no effect on this model."""
        share = self.settings.neutral_share
        if share not in (0.0, before) and not takes_neutral_share(self.labels):
            logger.warning(
                "neutral_share is %g, but %s has the classes %s: it has no effect; set it to 0",
                share,
                self.model_id,
                ", ".join(self.labels),
            )

    def _detect(self, frames: Sequence[Frame]) -> list[_Look]:
        """Find the faces of all frames, with the windows around known ones in one batch."""
        looks = [_Look(frame, None if frame.still else self._camera(frame)) for frame in frames]
        requests = []
        for look in looks:
            frame, camera = look.frame, look.camera
            stamp = frame.stamp_ns * 1e-9
            if camera is None:
                requests.append(Request(frame.image, stamp))
                continue
            expected = camera.tracker.expected(stamp, _size(frame))
            known = [KnownFace(face_id, box, lost) for face_id, box, lost in expected]
            requests.append(Request(frame.image, stamp, known, camera.view))
        for look, found in zip(looks, self.finder.find(requests), strict=True):
            look.found = found
        return looks

    def _follow(self, look: _Look) -> _FrameState:
        """Track and crop the faces of one frame."""
        frame, camera, found = look.frame, look.camera, look.found
        timings = {"detect": found.seconds}
        clock = time.perf_counter()
        if camera is None:
            tracker = Tracker(self._ids, birth_time=0.0, track_timeout=self.settings.track_timeout)
            tracks = tracker.update(found.detections, 0.0, image_size=_size(frame), immediate=True)
            looked_at = tracks
        else:
            if found.cut:
                camera.tracker.scene_changed()
            tracks = camera.tracker.update(found.detections, frame.stamp_ns * 1e-9, image_size=_size(frame))
            candidates = camera.tracker.tentative
            # A candidate is classified too: its filter is warm when the face is reported.
            looked_at = [track for track in (*tracks, *candidates) if track.observed]
            alive = {track.id for track in (*tracks, *candidates)}
            for face_id in [i for i in camera.smoothers if i not in alive]:
                del camera.smoothers[face_id]
        clock = _lap(timings, "track", clock)
        crops = self._crop(frame.image, looked_at)
        _lap(timings, "crop", clock)
        return _FrameState(frame, camera, tracks, looked_at, crops, timings)

    def _camera(self, frame: Frame) -> _Camera:
        camera = self._cameras.get(frame.camera)
        if camera is None or began_anew(camera.stamp_ns, frame.stamp_ns):
            tracker = Tracker(self._ids, birth_time=self.settings.birth_time, track_timeout=self.settings.track_timeout)
            camera = self._cameras[frame.camera] = _Camera(tracker, self.finder.new_camera())
        camera.stamp_ns = frame.stamp_ns
        return camera

    def _crop(self, image: NDArray[np.uint8], tracks: Sequence[Track]) -> NDArray[np.float32]:
        metadata = self.classifier.metadata
        channels, size, _ = metadata.input_shape
        boxes = np.array([track.box for track in tracks], np.float32).reshape(-1, 4)
        crops = crop_faces(
            image, boxes, [track.landmarks for track in tracks], template=metadata.landmark_template, size=size
        )
        return np.repeat(crops, channels, axis=1) if channels != 1 else crops

    def _classify(self, works: Sequence[_FrameState]) -> list[NDArray[np.float64]]:
        """One batch for all frames; returns the rows of each frame."""
        clock = time.perf_counter()
        batch = np.concatenate([work.crops for work in works]) if works else np.empty((0, 1, 1, 1), np.float32)
        if not len(batch):
            return [np.empty((0, len(self.labels))) for _ in works]
        probabilities = classify_faces(self.classifier, batch, mirror_average=self.settings.mirror_average)
        share = (time.perf_counter() - clock) / len(works)
        ends = np.cumsum([len(work.crops) for work in works])
        for work in works:
            work.timings["classify"] = share
        return np.split(probabilities, ends[:-1])

    def _conclude(self, work: _FrameState, rows: NDArray[np.float64]) -> FrameResult:
        """Smooth the scores of one frame and put its result together."""
        clock = time.perf_counter()
        frame = work.frame
        stamp = frame.stamp_ns * 1e-9
        raw = {track.id: (row, crop) for track, row, crop in zip(work.looked_at, rows, work.crops, strict=True)}
        smoothed: dict[str, Smoothed] = {}
        reported = {track.id for track in work.tracks}
        for face_id in {*reported, *raw}:
            smoother = self._smoother(work.camera, face_id, observed=face_id in raw)
            smoothed[face_id] = smoother.update(raw[face_id][0] if face_id in raw else None, stamp)
        faces = [
            self._face(frame, track, smoothed[track.id], raw.get(track.id), still=work.camera is None)
            for track in work.tracks
        ]
        _lap(work.timings, "smooth", clock)
        height, width = frame.image.shape[:2]
        return FrameResult(
            camera=frame.camera,
            stamp_ns=frame.stamp_ns,
            width=width,
            height=height,
            labels=self.labels,
            model_id=self.model_id,
            faces=tuple(sorted(faces, key=lambda face: face.face_id)),
            timings=work.timings,
        )

    def _smoother(self, camera: _Camera | None, face_id: str, *, observed: bool) -> Smoother:
        if camera is None:
            return create_smoother(
                self.labels, replace(self.settings, filter="none"), prior=self.classifier.metadata.prior
            )
        # A new smoother knows nothing: a face that is not seen now keeps what the old one says of it.
        if face_id not in camera.smoothers or (observed and face_id in camera.outdated):
            camera.smoothers[face_id] = create_smoother(
                self.labels, self.settings, prior=self.classifier.metadata.prior
            )
            camera.outdated.discard(face_id)
        return camera.smoothers[face_id]

    def _face(
        self,
        frame: Frame,
        track: Track,
        smoothed: Smoothed,
        raw: tuple[NDArray[np.float64], NDArray[np.float32]] | None,
        *,
        still: bool,
    ) -> FaceResult:
        height, width = frame.image.shape[:2]
        quality = math.nan
        if raw is not None:
            quality = face_quality(frame.image, track.box, track.landmarks, raw[1][0])
        return FaceResult(
            face_id=track.id,
            emotion=smoothed.emotion,
            confidence=smoothed.confidence,
            scores=smoothed.scores,
            raw_scores=None if raw is None else raw[0],
            valence=smoothed.valence,
            arousal=smoothed.arousal,
            phase=Phase.UNKNOWN if still else smoothed.phase,
            roi=clip_box(track.box, width, height),
            landmarks=track.landmarks,
            detection_confidence=float(track.score),
            quality=quality,
            tracked_for=max(0.0, frame.stamp_ns * 1e-9 - track.first_seen) if not still else 0.0,
            observed=raw is not None,
        )


def clip_box(box: NDArray[np.float32], width: int, height: int) -> tuple[int, int, int, int]:
    """A box in whole pixels inside an image.

    Args:
        box: (4,) x, y, w, h in pixels, may reach over the border.
        width: of the image, pixels.
        height: of the image, pixels.

    Returns:
        x, y, w, h with 0 <= x < width, 0 <= y < height, w >= 1, h >= 1, x + w <= width and y + h <= height.
    """
    x, y, w, h = (float(value) for value in box)
    left = min(max(round(x), 0), width - 1)
    top = min(max(round(y), 0), height - 1)
    right = min(max(round(x + w), left + 1), width)
    bottom = min(max(round(y + h), top + 1), height)
    return left, top, right - left, bottom - top


def build_pipeline(
    settings: PipelineSettings,
    *,
    store: ModelStore | None = None,
    progress: Callable[[str], None] | None = None,
    ids: FaceIds | None = None,
    rotations: Mapping[str, int] | None = None,
) -> Pipeline:
    """Load the networks the settings name and put the pipeline together, warmed up.

    Args:
        settings: all of them.
        store: where model files are looked for.
        progress: is told what takes long (an engine build).
        ids: where face ids come from; None = new ones.
        rotations: degrees clockwise by camera; for all others the setting `rotate` counts.

    Raises:
        ConfigError: a setting is out of range.
        ModelError: a model file is missing, damaged, unknown or of the wrong shape.
        BackendError: the backend is unknown, not installed or does not work.
    """
    options: dict[str, Any] = {} if progress is None else {"progress": progress}
    with ExitStack() as made:
        detector = create_detector(
            settings.detector,
            threshold=settings.detection_threshold,
            detection_size=settings.detection_size,
            min_face_size=settings.min_face_size,
            max_faces=settings.max_faces,
            threads=settings.threads,
            store=store,
        )
        made.callback(detector.close)
        classifier = create_classifier(settings.model, backend=settings.backend, threads=settings.threads, **options)
        made.callback(classifier.close)
        pipeline = Pipeline(detector, classifier, settings, ids=ids, rotations=rotations)
        pipeline.warm_up()
        # They are the pipeline's from here on.
        made.pop_all()
    return pipeline


def _size(frame: Frame) -> tuple[int, int]:
    """Width and height of a frame, pixels."""
    return frame.image.shape[1], frame.image.shape[0]


def _lap(timings: dict[str, float], stage: str, since: float) -> float:
    """Note the seconds since `since` under `stage`; return the time now."""
    now = time.perf_counter()
    timings[stage] = now - since
    return now
