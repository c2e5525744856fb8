"""The worker's promises that a real pipeline cannot be made to test: failures, slowness, who is cut off when."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fer_perception.errors import BackendError, ModelError
from fer_perception.live.camera_slots import CameraSlots, Received
from fer_perception.live.camera_statistics import CameraStatistics
from fer_perception.live.worker import Worker, WorkerCallbacks
from fer_perception.pipeline_types import Frame, FrameResult
from fer_perception.settings.pipeline_settings import PipelineSettings
from fer_perception.timing import STANDING

IMAGE = np.zeros((4, 4), np.uint8)


@dataclass
class ScriptedPipeline:
    """Answers at once, unless told to fail or to wait."""

    calls: list[list[str]] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    resets: int = 0
    closed: bool = False
    poisonous: str = ""
    hold: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)

    def process(self, frames: Sequence[Frame]) -> list[FrameResult]:
        self.calls.append([frame.camera for frame in frames])
        self.entered.set()
        assert self.hold.wait(30.0)
        if any(frame.camera == self.poisonous for frame in frames):
            msg = "the device is gone"
            raise BackendError(msg)
        return [FrameResult(f.camera, f.stamp_ns, 4, 4, ("happy",), "m", ()) for f in frames]

    def end_camera(self, camera: str) -> None:
        self.ended.append(camera)

    def reset(self) -> None:
        self.resets += 1

    def configure(self, settings: PipelineSettings) -> None:
        if settings.max_faces == 1:
            msg = "no"
            raise ValueError(msg)

    def close(self) -> None:
        self.closed = True


class Rig:
    """A worker over two cameras; messages are stamps in ns."""

    def __init__(self, build: Callable[[], Any] | None = None, *, ready: bool = True, **settings: Any) -> None:
        self.pipeline = ScriptedPipeline()
        self.pipeline.hold.set()
        self.published: list[tuple[str, int]] = []
        self.warnings: list[tuple[str, str]] = []
        self.unprintable = ""
        #: Message whose decoding ends in an error that nobody expects.
        self.undecodable = 0
        self.statistics = {camera: CameraStatistics() for camera in ("a", "b")}
        self.slots = CameraSlots(self.statistics, self.count)
        work = WorkerCallbacks(
            build=build or (lambda: self.pipeline),
            decode=self.decode,
            stamp_ns=int,
            publish=self.publish,
            published=self.after,
            camera_ended=lambda _camera: None,
            warn=lambda camera, cause, _text: self.warnings.append((camera, cause)),
        )
        self.worker = Worker(self.slots, self.statistics, PipelineSettings(**{"track_timeout": 30.0, **settings}), work)
        self.worker.start()
        assert not ready or self.worker.wait_ready(30.0)

    def decode(self, message: int) -> NDArray[np.uint8]:
        if message == self.undecodable:
            raise MemoryError
        return IMAGE

    def count(self, camera: str, cause: str) -> None:
        self.statistics[camera].dropped(time.monotonic(), cause)

    def publish(self, result: FrameResult, received: Received, _image: Any) -> None:
        self.published.append((result.camera, received.message))

    def after(self, result: FrameResult, *_: Any) -> None:
        if result.camera == self.unprintable:
            msg = "no debug image of this"
            raise ValueError(msg)

    def until(self, condition: Callable[[], Any]) -> None:
        end = time.monotonic() + 30.0
        while not condition():
            assert time.monotonic() < end
            threading.Event().wait(0.005)

    def put_one_and_then_both(self) -> None:
        """A frame of one camera, and while it is in work a frame of each, which are taken together."""
        self.pipeline.hold.clear()
        self.slots.put("a", 1)
        assert self.pipeline.entered.wait(30.0)
        self.slots.put("a", 2)
        self.slots.put("b", 2)
        self.pipeline.hold.set()

    def dropped(self, camera: str) -> dict[str, int]:
        return dict(self.statistics[camera].snapshot(time.monotonic()).dropped)


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    rig.worker.resume()
    yield rig
    rig.pipeline.hold.set()
    rig.worker.stop()
    assert rig.pipeline.closed


def test_a_failing_build_is_told_and_the_thread_is_gone() -> None:
    def build() -> Any:
        msg = "no such model"
        raise ModelError(msg)

    rig = Rig(build)
    assert isinstance(rig.worker.failure, ModelError)
    rig.worker.stop()
    rig.worker.stop()


def test_stopping_does_not_wait_for_a_build_but_releases_what_it_built() -> None:
    building, pipeline = threading.Event(), ScriptedPipeline()

    def build() -> Any:
        assert building.wait(30.0)
        return pipeline

    rig = Rig(build, ready=False)
    assert not rig.worker.wait_ready(0.01)
    rig.worker.stop()
    assert not pipeline.closed
    building.set()
    rig.until(lambda: pipeline.closed)


def test_frames_of_all_cameras_at_hand_go_into_one_call(rig: Rig) -> None:
    rig.pipeline.hold.clear()
    rig.slots.put("a", 1)
    assert rig.pipeline.entered.wait(30.0)
    rig.slots.put("b", 5)
    rig.slots.put("a", 2)
    rig.slots.put("a", 3)
    rig.pipeline.hold.set()
    rig.until(lambda: len(rig.published) == 3)
    assert rig.pipeline.calls == [["a"], ["b", "a"]]
    assert rig.published == [("a", 1), ("b", 5), ("a", 3)]
    assert rig.dropped("a") == {"overtaken": 1}


def test_one_cameras_failure_costs_the_others_nothing(rig: Rig) -> None:
    rig.pipeline.poisonous = "b"
    rig.put_one_and_then_both()
    rig.until(lambda: rig.dropped("b"))
    rig.until(lambda: len(rig.published) == 2)
    assert rig.published == [("a", 1), ("a", 2)]
    assert rig.dropped("b") == {"failed": 1}
    assert ("b", "failed") in rig.warnings

    rig.pipeline.poisonous = ""
    rig.slots.put("b", 3)
    rig.until(lambda: rig.published[-1] == ("b", 3))


def test_one_cameras_unexpected_decode_error_costs_the_others_nothing(rig: Rig) -> None:
    rig.undecodable = 7
    rig.pipeline.hold.clear()
    rig.slots.put("a", 1)
    assert rig.pipeline.entered.wait(30.0)
    rig.slots.put("a", 7)
    rig.slots.put("b", 2)
    rig.pipeline.hold.set()
    rig.until(lambda: ("b", 2) in rig.published)
    assert rig.dropped("a") == {"failed": 1}
    assert rig.dropped("b") == {}
    assert ("a", "failed") in rig.warnings


@pytest.mark.parametrize("cut", ["pause", "reset_tracks"])
def test_a_frame_in_work_is_not_published_after_the_cut_and_the_cut_does_not_wait_for_it(rig: Rig, cut: str) -> None:
    rig.pipeline.hold.clear()
    rig.slots.put("a", 1)
    assert rig.pipeline.entered.wait(30.0)
    getattr(rig.worker, cut)()
    rig.pipeline.hold.set()
    rig.until(lambda: rig.pipeline.resets == 1)
    assert rig.published == []
    rig.worker.resume()
    rig.slots.put("a", 2)
    rig.until(lambda: rig.published)
    assert rig.published == [("a", 2)]


def test_a_cut_right_before_the_work_is_a_cut(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    run_commands, cuts = rig.worker._run_commands, [rig.worker.reset_tracks]

    def run_and_cut() -> None:
        run_commands()
        if cuts:
            cuts.pop()()

    monkeypatch.setattr(rig.worker, "_run_commands", run_and_cut)
    rig.slots.put("a", 1)
    rig.until(lambda: rig.pipeline.resets == 1)
    rig.slots.put("a", 2)
    rig.until(lambda: ("a", 2) in rig.published)
    assert rig.published == [("a", 2)]


@pytest.mark.parametrize("cut", ["pause", "reset_tracks"])
def test_a_cut_right_after_a_frame_was_taken_is_a_cut(rig: Rig, monkeypatch: pytest.MonkeyPatch, cut: str) -> None:
    take, cuts, waiting = rig.slots.take, [getattr(rig.worker, cut)], threading.Event()

    def take_and_cut(timeout_s: float | None) -> list[Received]:
        waiting.set()
        received = take(timeout_s)
        if received and cuts:
            cuts.pop()()
        return received

    monkeypatch.setattr(rig.slots, "take", take_and_cut)
    # The worker is still in the former one.
    rig.slots.wake()
    assert waiting.wait(30.0)
    rig.slots.put("a", 1)
    rig.until(lambda: rig.pipeline.resets == 1)
    rig.worker.resume()
    rig.slots.put("a", 2)
    rig.until(lambda: ("a", 2) in rig.published)
    assert rig.published == [("a", 2)]
    assert rig.pipeline.calls == [["a"]], "the frame before the cut began tracks that outlived it"


def test_a_command_that_fails_does_not_end_the_thread(rig: Rig) -> None:
    rig.worker.configure(PipelineSettings(max_faces=1))
    rig.until(lambda: rig.warnings)
    rig.slots.put("a", 1)
    rig.until(lambda: rig.published)


def test_what_fails_after_publishing_costs_the_other_cameras_nothing(rig: Rig) -> None:
    rig.unprintable = "a"
    rig.put_one_and_then_both()
    rig.until(lambda: len(rig.published) == 3)
    assert rig.pipeline.calls == [["a"], ["a", "b"]]
    assert rig.published == [("a", 1), ("a", 2), ("b", 2)]
    rig.slots.put("b", 3)
    rig.until(lambda: rig.published[-1] == ("b", 3))
    assert ("pipeline", "failed") in rig.warnings
    assert rig.dropped("a") == rig.dropped("b") == {}


def test_a_slow_camera_is_not_silent() -> None:
    rig = Rig(track_timeout=0.05)
    rig.worker.resume()
    for stamp in range(1, 7):
        rig.slots.put("a", stamp)
        threading.Event().wait(0.3)
    ended = len(rig.pipeline.ended)
    rig.until(lambda: len(rig.pipeline.ended) > ended)
    rig.worker.stop()
    # Once before its rhythm was known, and when it had fallen silent.
    assert ended <= 2


def test_time_that_stands_or_goes_back_again_and_again_is_counted(rig: Rig) -> None:
    for index, stamp in enumerate([10_000_000_000, 1_000_000_000] * 2 + [5_000_000_000] * 20):
        rig.slots.put("a", stamp)
        rig.until(lambda index=index: len(rig.published) == index + 1)
    noticed = rig.statistics["a"].snapshot(time.monotonic()).noticed_recently
    assert noticed["restart"] == 2
    assert noticed["standing_stamp"] == 20 - 1 - STANDING + 1
    assert ("a", "standing_stamp") in rig.warnings


def test_silence_ends_the_tracks_of_that_camera_once() -> None:
    rig = Rig(track_timeout=0.05)
    rig.worker.resume()
    rig.slots.put("a", 1)
    rig.until(lambda: rig.pipeline.ended)
    rig.slots.put("b", 1)
    rig.until(lambda: len(rig.pipeline.ended) == 2)
    rig.worker.stop()
    assert rig.pipeline.ended == ["a", "b"]


def test_time_far_back_ends_the_tracks_before_the_frame(rig: Rig) -> None:
    for stamp in (10_000_000_000, 1_000_000_000):
        rig.slots.put("a", stamp)
        rig.until(lambda stamp=stamp: ("a", stamp) in rig.published)
    assert rig.pipeline.ended == ["a"]
    assert ("a", "restart") in rig.warnings
