"""Pipeline over face crops of another detector: classify and smooth, one face a camera."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fer_perception.classification.classifier import Classifier
from fer_perception.classification.faces import classify_faces
from fer_perception.detection.base import Detector
from fer_perception.imaging.crops import crop_faces
from fer_perception.pipeline import Pipeline, temporal
from fer_perception.pipeline_types import Detection, FaceResult, Frame, FrameResult
from fer_perception.settings.pipeline_settings import PipelineSettings
from fer_perception.temporal.smoother import Smoother, create_smoother


class CropPipeline:
    """Like `Pipeline`, for images that show one face each; `Frame.camera` says whose.

    The face detector only looks for the landmarks, by which crops are aligned like the training images; where it
    finds none, the whole image counts as the face's box.

    Args:
        pipeline: whose networks are used and closed.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self.detector: Detector = pipeline.detector
        self.classifier: Classifier = pipeline.classifier
        self._pipeline = pipeline
        self._settings = pipeline.settings
        self._smoothers: dict[str, Smoother] = {}
        self._first_seen_s: dict[str, float] = {}

    def process(self, frames: Sequence[Frame]) -> list[FrameResult]:
        """One result with one face, of id `camera`, for each frame, in the same order.

        Raises:
            BackendError: the classifier failed.
        """
        if not frames:
            return []
        clock = time.perf_counter()
        found = [self._find(frame) for frame in frames]
        metadata = self.classifier.metadata
        channels, size, _ = metadata.input_shape
        crops = [
            crop_faces(frame.image, face.box[None], [face.landmarks], template=metadata.landmark_template, size=size)
            for frame, face in zip(frames, found, strict=True)
        ]
        looked = time.perf_counter()
        batch = np.repeat(np.concatenate(crops), channels, axis=1)
        probabilities = classify_faces(self.classifier, batch, mirror_average=self._settings.mirror_average)
        done = time.perf_counter()
        timings = {"crop": (looked - clock) / len(frames), "classify": (done - looked) / len(frames)}
        return [
            self._result(frame, face, row, timings)
            for frame, face, row in zip(frames, found, probabilities, strict=True)
        ]

    def end_camera(self, camera: str) -> None:
        """Forget one face."""
        self._smoothers.pop(camera, None)
        self._first_seen_s.pop(camera, None)

    def reset(self) -> None:
        """Forget all faces."""
        self._smoothers.clear()
        self._first_seen_s.clear()

    def configure(self, settings: PipelineSettings) -> None:
        """Take new live settings; filters start anew where these are settings of theirs."""
        if temporal(settings) != temporal(self._settings):
            self._smoothers.clear()
        self._settings = settings
        self._pipeline.configure(settings)

    def close(self) -> None:
        """Release the networks; idempotent."""
        self._pipeline.close()

    def _find(self, frame: Frame) -> Detection:
        height, width = frame.image.shape[:2]
        faces = self.detector.detect(frame.image)
        if faces:
            return max(faces, key=lambda face: float(face.box[2] * face.box[3]))
        return Detection(np.array([0, 0, width, height], np.float32), None, 0.0)

    def _result(
        self, frame: Frame, face: Detection, row: NDArray[np.float64], timings: dict[str, float]
    ) -> FrameResult:
        stamp_s = frame.stamp_ns * 1e-9
        labels = self.classifier.metadata.labels
        if frame.camera not in self._smoothers:
            self._smoothers[frame.camera] = create_smoother(
                labels, self._settings, prior=self.classifier.metadata.prior
            )
        first_seen_s = self._first_seen_s.setdefault(frame.camera, stamp_s)
        smoothed = self._smoothers[frame.camera].update(row, stamp_s)
        height, width = frame.image.shape[:2]
        result = FaceResult(
            face_id=frame.camera,
            emotion=smoothed.emotion,
            confidence=smoothed.confidence,
            scores=smoothed.scores,
            raw_scores=row,
            valence=smoothed.valence,
            arousal=smoothed.arousal,
            phase=smoothed.phase,
            roi=(0, 0, width, height),
            landmarks=face.landmarks,
            detection_confidence=face.score,
            quality=float("nan"),
            tracked_for=max(0.0, stamp_s - first_seen_s),
            observed=True,
        )
        return FrameResult(
            camera=frame.camera,
            stamp_ns=frame.stamp_ns,
            width=width,
            height=height,
            labels=labels,
            model_id=self.classifier.metadata.model_id,
            faces=(result,),
            timings=timings,
        )
