"""Latest-frame slots of the cameras, between the callbacks and the one worker thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

from fer_perception.timing import RateLimit


@dataclass(frozen=True)
class Received:
    """One message on its way.

    Attributes:
        camera: resolved image topic.
        message: sensor_msgs/Image or CompressedImage.
        time_s: monotonic time of receipt, s.
    """

    camera: str
    message: Any
    time_s: float


@dataclass
class _Slot:
    limit: RateLimit
    waiting: Received | None = None


class CameraSlots:
    """One slot a camera; a frame that nobody has taken is replaced by the next.

    `put` only swaps, so a callback never waits for the work. `take` hands over the frames of all cameras at once, each
    camera's newest: no camera waits for another, and under overload each keeps its share.

    Args:
        cameras: resolved topics.
        on_drop: called with the camera and the cause ("overtaken", "max_rate") of a frame that was replaced.
        max_rate_hz: at most so many frames a second of a camera are handed over; 0 = all.
    """

    def __init__(self, cameras: Iterable[str], on_drop: Callable[[str, str], None], max_rate_hz: float = 0.0) -> None:
        self._max_rate_hz = max_rate_hz
        self._slots = {camera: _Slot(self._limit()) for camera in cameras}
        self._on_drop = on_drop
        self._changed = threading.Condition()
        self._woken = False
        self._accepting = False

    def add(self, camera: str) -> None:
        """Make a slot for one more camera."""
        with self._changed:
            self._slots.setdefault(camera, _Slot(self._limit()))

    def remove(self, camera: str) -> None:
        """Forget a camera and the frame that waits there."""
        with self._changed:
            self._slots.pop(camera, None)

    def set_max_rate(self, max_rate_hz: float) -> None:
        """Change the limit; 0 = none."""
        with self._changed:
            self._max_rate_hz = max_rate_hz
            for slot in self._slots.values():
                slot.limit = self._limit()
            self._woken = True
            self._changed.notify()

    def open(self) -> None:
        """Take frames from now on."""
        with self._changed:
            self._accepting = True

    def close(self) -> None:
        """Refuse frames and forget those that wait."""
        with self._changed:
            self._accepting = False
            for slot in self._slots.values():
                slot.waiting = None

    def put(self, camera: str, message: Any) -> None:
        """Leave the newest frame of a camera; what waited there is dropped."""
        now = time.monotonic()
        with self._changed:
            slot = self._slots.get(camera)
            if slot is None or not self._accepting:
                return
            replaced = slot.waiting
            held_back = replaced is not None and replaced.time_s < slot.limit.next_s
            slot.waiting = Received(camera, message, now)
            self._changed.notify()
        if replaced is not None:
            self._on_drop(camera, "max_rate" if held_back else "overtaken")

    def take(self, timeout_s: float | None) -> list[Received]:
        """Wait for frames that are due and take them all, one a camera.

        Args:
            timeout_s: longest wait; None = for ever.

        Returns:
            The frames, the longest waiting first; empty after the time-out or `wake`.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with self._changed:
            while True:
                now = time.monotonic()
                ready = [slot for slot in self._slots.values() if slot.waiting is not None and slot.limit.next_s <= now]
                if ready or self._woken or (deadline is not None and now >= deadline):
                    self._woken = False
                    return sorted((self._hand_over(slot, now) for slot in ready), key=lambda item: item.time_s)
                times = [slot.limit.next_s for slot in self._slots.values() if slot.waiting is not None]
                if deadline is not None:
                    times.append(deadline)
                self._changed.wait(max(0.0, min(times) - now) if times else None)

    def waiting_since(self, camera: str) -> float | None:
        """Monotonic time, in s, at which the frame of this camera that waits to be taken arrived; None = none waits."""
        with self._changed:
            slot = self._slots.get(camera)
            return None if slot is None or slot.waiting is None else slot.waiting.time_s

    def wake(self) -> None:
        """End the present or next `take` at once."""
        with self._changed:
            self._woken = True
            self._changed.notify()

    def _limit(self) -> RateLimit:
        # After a longer pause than jitter the period runs from the frame on: no two follow each other at once.
        return RateLimit(self._max_rate_hz, 0.0, made_up=0.1)

    def _hand_over(self, slot: _Slot, now: float) -> Received:
        received, slot.waiting = cast(Received, slot.waiting), None
        slot.limit.takes(now)
        return received
