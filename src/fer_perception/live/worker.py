"""Worker thread that owns the pipeline: takes the newest frames, runs them and hands the results on."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fer_perception.errors import FerError, ImageError
from fer_perception.live.camera_slots import CameraSlots, Received
from fer_perception.live.camera_statistics import CameraStatistics
from fer_perception.pipeline_types import Frame, FrameResult
from fer_perception.settings.pipeline_settings import PipelineSettings
from fer_perception.timing import CameraClock, IntervalEstimate, StampVerdict


class RunningPipeline(Protocol):
    """Interface of the pipeline that a worker runs."""

    def process(self, frames: Sequence[Frame]) -> list[FrameResult]:
        """Results of one frame of each camera, in the same order."""

    def end_camera(self, camera: str) -> None:
        """End the tracks of one camera."""

    def reset(self) -> None:
        """End all tracks."""

    def configure(self, settings: PipelineSettings) -> None:
        """Use the live settings from now on."""

    def close(self) -> None:
        """Release networks and devices."""


@dataclass(frozen=True)
class WorkerCallbacks:
    """Callbacks of the worker; all of them are called in the worker's thread.

    Attributes:
        build: make the pipeline.
        decode: message to image; raises ImageError.
        stamp_ns: header time of a message, ns; 0 = none.
        publish: a result with the message and the image it is of; nobody may pause the worker meanwhile, so be quick.
        published: the same, after it was published: the place for what takes longer.
        camera_ended: a camera fell silent and its tracks have ended.
        warn: camera, cause and text of something a person should read once.
    """

    build: Callable[[], RunningPipeline]
    decode: Callable[[Any], NDArray[np.uint8]]
    stamp_ns: Callable[[Any], int]
    publish: Callable[[FrameResult, Received, NDArray[np.uint8]], None]
    published: Callable[[FrameResult, Received, NDArray[np.uint8]], None]
    camera_ended: Callable[[str], None]
    warn: Callable[[str, str, str], None]


@dataclass
class _Camera:
    """State of one camera between its frames.

    Attributes:
        clock: follows its stamps.
        interval: between its frames, by the time of receipt.
        latest_s: monotonic time of receipt of its latest frame, s; None = nothing is tracked.
    """

    clock: CameraClock = field(default_factory=CameraClock)
    interval: IntervalEstimate = field(default_factory=IntervalEstimate)
    latest_s: float | None = None


class Worker:
    """Runs the pipeline over the frames in the slots.

    Results leave only while it is running (`resume` ... `pause`): once `pause` or `reset_tracks` has returned, no
    result of an earlier frame is published any more, without waiting for a frame in work.

    Args:
        slots: where the callbacks leave frames.
        statistics: by camera.
        settings: `track_timeout` is read here.
        callbacks: what the worker asks of its owner.
    """

    def __init__(
        self,
        slots: CameraSlots,
        statistics: Mapping[str, CameraStatistics],
        settings: PipelineSettings,
        callbacks: WorkerCallbacks,
    ) -> None:
        self._slots = slots
        self._statistics = statistics
        self._callbacks = callbacks
        self._track_timeout = settings.track_timeout
        self._commands: queue.SimpleQueue[Callable[[RunningPipeline], None]] = queue.SimpleQueue()
        self._cameras: dict[str, _Camera] = {}
        self._gate = threading.Lock()
        self._running = False
        # Frames received before it count no more; monotonic, s.
        self._cut_s = -math.inf
        self._stopping = threading.Event()
        self._ready = threading.Event()
        self._failure: Exception | None = None
        self.pipeline: RunningPipeline | None = None
        self._thread = threading.Thread(target=self._run, name="fer pipeline", daemon=True)

    def start(self) -> None:
        """Begin to build the pipeline, in the worker's thread."""
        self._thread.start()

    def wait_ready(self, timeout_s: float) -> bool:
        """Wait at most so long for the pipeline; True once it stands or could not be built (see `failure`)."""
        return self._ready.wait(timeout_s)

    @property
    def failure(self) -> Exception | None:
        """Reason why the pipeline could not be built."""
        return self._failure

    def resume(self) -> None:
        """Take frames and publish from now on."""
        with self._gate:
            self._running = True
        self._slots.open()

    def pause(self) -> None:
        """Publish nothing from now on; tracks end."""
        with self._gate:
            self._running = False
        self._slots.close()
        self.reset_tracks()

    def reset_tracks(self) -> None:
        """End all tracks; faces that are still there get new ids."""
        with self._gate:
            # In this order: a frame that counts is received when the command is there, which runs before it.
            self._call(self._reset)
            self._cut_s = time.monotonic()

    def end_camera(self, camera: str) -> None:
        """End the tracks of a camera that will not be heard of again."""

        def forget(_pipeline: RunningPipeline) -> None:
            self._end_camera(camera)
            self._cameras.pop(camera, None)

        self._call(forget)

    def configure(self, settings: PipelineSettings) -> None:
        """Use the live settings from the next frame on."""

        def change(pipeline: RunningPipeline) -> None:
            self._track_timeout = settings.track_timeout
            pipeline.configure(settings)

        self._call(change)

    def stop(self) -> None:
        """End the thread and release the pipeline; idempotent.

        Waits for a frame in work. A pipeline that is still being built (an engine takes minutes and cannot be
        interrupted) is not waited for: it is released as soon as it stands.
        """
        with self._gate:
            self._running = False
        self._stopping.set()
        self._slots.close()
        self._slots.wake()
        if self._thread.ident is not None and self._ready.is_set():
            self._thread.join()

    def _call(self, command: Callable[[RunningPipeline], None]) -> None:
        self._commands.put(command)
        self._slots.wake()

    def _run(self) -> None:
        try:
            self.pipeline = self._callbacks.build()
        except Exception as err:  # noqa: BLE001 - whatever it is, configure must fail with it instead of hanging
            self._failure = err
            return
        finally:
            self._ready.set()
        try:
            while not self._stopping.is_set():
                received = self._slots.take(self._time_to_silence())
                self._run_commands()
                if self._stopping.is_set():
                    break
                # Else what was taken before a cut would begin the tracks that come after it.
                self._guarded(self._process, [item for item in received if item.time_s >= self._cut_s])
                self._guarded(self._end_silent_cameras)
        finally:
            self._run_commands()
            self.pipeline.close()

    def _run_commands(self) -> None:
        while not self._commands.empty():
            self._guarded(self._commands.get(), self._built)

    def _guarded(self, step: Callable[..., None], *arguments: Any) -> None:
        try:
            step(*arguments)
        except Exception as err:  # noqa: BLE001 - the thread must live on
            self._callbacks.warn("pipeline", "failed", f"{step.__name__.strip('_')}: {err!r}")

    @property
    def _built(self) -> RunningPipeline:
        if self.pipeline is None:
            msg = "the pipeline has not been built"
            raise RuntimeError(msg)
        return self.pipeline

    def _process(self, received: list[Received]) -> None:
        usable: list[tuple[Received, Frame, float]] = []
        for item in received:
            now = time.monotonic()
            self._of(item.camera).dequeued(now, now - item.time_s)
            try:
                frame = self._decode(item)
            except Exception as err:  # noqa: BLE001 - one camera's frame must not cost the others theirs
                self._drop(item.camera, "failed", f"its image cannot be decoded: {err!r}")
                continue
            if frame is not None:
                usable.append((item, frame, time.monotonic() - now))
        for (item, frame, decode_s), result in zip(
            usable, self._results([frame for _, frame, _ in usable]), strict=True
        ):
            camera = self._cameras[item.camera]
            camera.latest_s = item.time_s
            camera.interval.observe(item.time_s)
            if result is not None:
                self._publish(item, frame, decode_s, result)

    def _decode(self, item: Received) -> Frame | None:
        camera = self._cameras.setdefault(item.camera, _Camera())
        judged = camera.clock.judge(self._callbacks.stamp_ns(item.message), item.time_s)
        if judged.unstamped:
            self._callbacks.warn(
                item.camera, "zero_stamp", "images have a zero stamp: the time of receipt is used instead"
            )
        if judged.standing:
            told = (
                "the stamps of many images in a row are one and the same: no time passes, so no new face is reported "
                "and no label changes"
            )
            self._callbacks.warn(item.camera, "standing_stamp", told)
            self._of(item.camera).noticed(time.monotonic(), "standing_stamp")
        if judged.verdict is StampVerdict.DROP:
            self._drop(item.camera, "out_of_order", "an image is older than the one before it; it is dropped")
            return None
        if judged.verdict is StampVerdict.RESTART:
            self._callbacks.warn(
                item.camera, "restart", "time went back by half a second or more: the tracks start anew"
            )
            self._of(item.camera).noticed(time.monotonic(), "restart")
            self._end_camera(item.camera)
        try:
            image = self._callbacks.decode(item.message)
        except ImageError as err:
            self._drop(item.camera, err.cause, str(err))
            return None
        return Frame(image=image, stamp_ns=judged.stamp_ns, camera=item.camera)

    def _results(self, frames: list[Frame]) -> list[FrameResult | None]:
        """One result a frame; None for a frame that failed."""
        if not frames:
            return []
        try:
            return list(self._built.process(frames))
        except Exception as err:  # noqa: BLE001 - one frame must not end the node
            if len(frames) > 1:
                # One camera's frame may be the cause: the others must not suffer for it.
                return [result for frame in frames for result in self._results([frame])]
            self._drop(frames[0].camera, "failed", str(err) if isinstance(err, FerError) else repr(err))
            return [None]

    def _publish(self, item: Received, frame: Frame, decode_s: float, result: FrameResult) -> None:
        before = time.monotonic()
        with self._gate:
            if not self._running or item.time_s < self._cut_s:
                return
            self._callbacks.publish(result, item, frame.image)
        now = time.monotonic()
        stages = {"decode": decode_s, **result.timings, "publish": now - before}
        self._of(item.camera).published(now, now - item.time_s, stages, len(result.faces))
        # What fails here costs neither the other cameras' results nor the next frame's.
        self._guarded(self._callbacks.published, result, item, frame.image)

    def _drop(self, camera: str, cause: str, text: str) -> None:
        self._of(camera).dropped(time.monotonic(), cause, text)
        self._callbacks.warn(camera, cause, text)

    def _reset(self, pipeline: RunningPipeline) -> None:
        pipeline.reset()
        for camera, state in self._cameras.items():
            state.latest_s = None
            state.clock.forget()
            self._of(camera).tracks_ended()
            self._callbacks.camera_ended(camera)

    def _end_camera(self, camera: str) -> None:
        self._built.end_camera(camera)
        if camera in self._cameras:
            self._cameras[camera].latest_s = None
        self._of(camera).tracks_ended()
        self._callbacks.camera_ended(camera)

    def _of(self, camera: str) -> CameraStatistics:
        """Figures of a camera; those of one that has been removed meanwhile go nowhere."""
        return self._statistics.get(camera) or CameraStatistics()

    def _time_to_silence(self) -> float | None:
        """Seconds until the first camera has been silent for too long; None where nothing is tracked."""
        ends = [
            camera.latest_s + camera.interval.timeout_s(self._track_timeout)
            for camera in self._cameras.values()
            if camera.latest_s is not None
        ]
        return max(0.0, min(ends) - time.monotonic()) if ends else None

    def _end_silent_cameras(self) -> None:
        now = time.monotonic()
        for name, camera in self._cameras.items():
            oldest = now - camera.interval.timeout_s(self._track_timeout)
            if camera.latest_s is None or camera.latest_s > oldest:
                continue
            # A frame that waits shows that the machine is slow, not the camera silent.
            waiting_s = self._slots.waiting_since(name)
            if waiting_s is not None and waiting_s > oldest:
                camera.latest_s = waiting_s
            else:
                self._end_camera(name)
