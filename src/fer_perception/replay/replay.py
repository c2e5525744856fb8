"""Offline pipeline over a recorded bag: no frame is dropped, the same bag gives the same result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from rosbags.interfaces import Connection

from fer_perception.errors import ImageError
from fer_perception.pipeline import Pipeline
from fer_perception.pipeline_types import Frame, FrameResult
from fer_perception.replay.bags import (
    EMOTIONS_TYPE,
    IMAGE_TYPES,
    BagMessage,
    BagReader,
    BagWriter,
    fer_typestore,
)
from fer_perception.results.messages import message_from_result
from fer_perception.timing import CameraClock, IntervalEstimate, StampVerdict

#: Where the results go in the new bag; with "/replay" added where the old bag has it already.
EMOTIONS_TOPIC = "/emotions"


@dataclass(frozen=True)
class ReplayedFrame:
    """One frame of a bag with what the pipeline says of it.

    Attributes:
        index: number of the frame on its topic, from 0, unusable ones counted.
        received_ns: when it was recorded.
        image: (H, W, 3) uint8 BGR or (H, W) gray.
        result: of the pipeline.
    """

    index: int
    received_ns: int
    image: NDArray[np.uint8]
    result: FrameResult


class FrameSink(Protocol):
    """Takes the frames of a replay one by one (a file, a report)."""

    def add(self, frame: ReplayedFrame) -> None:
        """Take one frame."""


@dataclass
class ReplayStatistics:
    """Counts of a bag's images: processed, dropped, unusable.

    Attributes:
        frames: images that went through the pipeline, by topic.
        bad: images that could not be used, by topic and cause (see imaging/encodings.py; "out_of_order": the stamp
            went back a little).
        examples: the first message of every cause.
        restarts: how often the stamps of a topic began anew.
        topic: of the results in the new bag; "" if none was written.
        not_copied: topics that are missing in the new bag: their type is unknown, or they are not CDR.
        damage: what of the bag could not be read, or of the results not be written; "" if nothing.
        interrupted: the caller asked to stop.
    """

    frames: Counter[str] = field(default_factory=Counter)
    bad: dict[str, Counter[str]] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)
    restarts: Counter[str] = field(default_factory=Counter)
    topic: str = ""
    not_copied: list[str] = field(default_factory=list)
    damage: str = ""
    interrupted: bool = False

    def count_bad(self, topic: str, cause: str, message: str) -> None:
        """Note one unusable image."""
        self.bad.setdefault(topic, Counter())[cause] += 1
        self.examples.setdefault(cause, message)


@dataclass
class _Camera:
    clock: CameraClock = field(default_factory=CameraClock)
    interval: IntervalEstimate = field(default_factory=IntervalEstimate)
    received_ns: int | None = None
    seen: int = 0


class Replay:
    """Runs a pipeline over the image topics of a bag.

    Args:
        reader: the bag.
        pipeline: with `deterministic_ids`, or its ids differ from run to run.
        topics: image topics to look at.
        sinks: are given every frame.
        writer: a new bag: gets all messages of the old one and an EmotionArray after each image.
    """

    def __init__(
        self,
        reader: BagReader,
        pipeline: Pipeline,
        topics: Sequence[str],
        *,
        sinks: Sequence[FrameSink] = (),
        writer: BagWriter | None = None,
    ) -> None:
        self.statistics = ReplayStatistics()
        self._reader = reader
        self._pipeline = pipeline
        self._topics = tuple(topics)
        self._sinks = tuple(sinks)
        self._writer = writer
        self._cameras: dict[str, _Camera] = {topic: _Camera() for topic in topics}
        self._copies: dict[tuple[str, str], Connection | None] = {}
        self._store = fer_typestore()
        self._emotions: Connection | None = None
        if writer is not None:
            topic = EMOTIONS_TOPIC
            while topic in reader.topics:
                topic += "/replay"
            self.statistics.topic = topic
            self.statistics.not_copied += reader.passed_over
            self._emotions = writer.add_topic(topic, EMOTIONS_TYPE, self._store)

    def run(self, should_stop: Callable[[], bool] = lambda: False) -> Iterator[str]:
        """Replay to the end of the bag.

        Args:
            should_stop: asked between messages.

        Yields:
            The topic of each image dealt with, usable or not (for a progress bar).

        Raises:
            SourceError: the bag is damaged or the new one cannot be written; what came before is kept.
            BackendError: the classifier failed.
        """
        for message in self._reader.messages(() if self._writer is not None else self._topics):
            if should_stop():
                self.statistics.interrupted = True
                return
            self._copy(message)
            if message.topic in self._cameras and message.connection.msgtype in IMAGE_TYPES:
                self._look(message, self._cameras[message.topic])
                yield message.topic

    def _copy(self, message: BagMessage) -> None:
        if self._writer is None:
            return
        key = (message.topic, message.connection.msgtype)
        if key not in self._copies:
            self._copies[key] = self._writer.copy_connection(message.connection)
            if self._copies[key] is None:
                self.statistics.not_copied.append(message.topic)
        copy = self._copies[key]
        if copy is not None:
            self._writer.write(copy, message.received_ns, message.data)

    def _look(self, message: BagMessage, camera: _Camera) -> None:
        topic, index = message.topic, camera.seen
        camera.seen += 1
        # The live node ends the tracks of a camera that is silent for as long as this.
        silence = camera.interval.timeout_s(self._pipeline.settings.track_timeout) * 1e9
        if camera.received_ns is not None and message.received_ns - camera.received_ns > silence:
            self._pipeline.end_camera(topic)
        camera.received_ns = message.received_ns
        camera.interval.observe(message.received_ns * 1e-9)
        try:
            recorded = self._reader.read_image(message)
            image = recorded.decode()
        except ImageError as err:
            self.statistics.count_bad(topic, err.cause, str(err))
            return
        # Without a stamp from the driver, the time of recording is as near to the exposure as one gets.
        judged = camera.clock.judge(recorded.stamp_ns or message.received_ns, 0.0)
        if judged.verdict is StampVerdict.DROP:
            told = "the header stamp is earlier than that of the frame before"
            self.statistics.count_bad(topic, "out_of_order", told)
            return
        if judged.verdict is StampVerdict.RESTART:
            self.statistics.restarts[topic] += 1
            self._pipeline.end_camera(topic)
        result = self._pipeline.process([Frame(image, judged.stamp_ns, topic)])[0]
        self.statistics.frames[topic] += 1
        if self._writer is not None and self._emotions is not None:
            array = message_from_result(result, recorded.header, self._store.types)
            self._writer.write(self._emotions, message.received_ns, self._store.serialize_cdr(array, EMOTIONS_TYPE))
        frame = ReplayedFrame(index, message.received_ns, image, result)
        for sink in self._sinks:
            sink.add(frame)
