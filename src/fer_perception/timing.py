"""Time rules of events: validation of header stamps, interval estimates and timeouts, rate limiter."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from enum import Enum, auto

#: Time back by less than this (ns) is frames out of order; by this or more it is a bag that starts again.
RESTART_NS = 500_000_000

#: So many equal stamps in a row are a clock that stands.
STANDING = 15


def began_anew(last_ns: int | None, stamp_ns: int) -> bool:
    """True where time went back so far that the source began anew (a looping bag), not by frames out of order.

    Args:
        last_ns: the latest stamp so far, ns; None = there was none.
        stamp_ns: the next one, ns.
    """
    return last_ns is not None and last_ns - stamp_ns >= RESTART_NS


class StampVerdict(Enum):
    """Treatment of a frame because of its stamp."""

    USE = auto()
    DROP = auto()
    RESTART = auto()


@dataclass(frozen=True)
class Judged:
    """A frame's time.

    Attributes:
        stamp_ns: time for the filters, ns.
        verdict: use it, drop it (out of order), or use it after the camera's tracks were reset.
        unstamped: the header had a zero stamp, so `stamp_ns` is the time of receipt.
        standing: the stamp has not changed for `STANDING` frames.
    """

    stamp_ns: int
    verdict: StampVerdict
    unstamped: bool
    standing: bool = False


class CameraClock:
    """Follows the header stamps of one camera."""

    def __init__(self) -> None:
        self._last_ns: int | None = None
        self._equal = 0
        # Wall time that never jumps.
        self._epoch_ns = time.time_ns() - time.monotonic_ns()

    def judge(self, stamp_ns: int, received_s: float) -> Judged:
        """Decide on the next frame.

        Args:
            stamp_ns: of the header; 0 = the driver has not set it.
            received_s: monotonic time of receipt, s.
        """
        unstamped = stamp_ns == 0
        if unstamped:
            stamp_ns = self._epoch_ns + round(received_s * 1e9)
        anew = began_anew(self._last_ns, stamp_ns)
        if not anew and self._last_ns is not None and stamp_ns < self._last_ns:
            return Judged(stamp_ns, StampVerdict.DROP, unstamped)
        self._equal = self._equal + 1 if stamp_ns == self._last_ns else 0
        self._last_ns = stamp_ns
        verdict = StampVerdict.RESTART if anew else StampVerdict.USE
        return Judged(stamp_ns, verdict, unstamped, standing=self._equal >= STANDING)

    def forget(self) -> None:
        """Take the next stamp as it comes."""
        self._last_ns = None


#: A source is stale after so many of its usual intervals without an event.
STALE_INTERVALS = 2.5


def stale_after(least_s: float, interval_s: float) -> float:
    """Time after its latest event at which a source is stale, s.

    Args:
        least_s: never sooner than this, s.
        interval_s: its usual interval, s; 0 = unknown.
    """
    return max(least_s, STALE_INTERVALS * interval_s)


class IntervalEstimate:
    """Estimate of the interval between two events of a kind (images of a camera, searches for faces).

    The shorter one of the last two counts, so that one gap among regular events teaches nothing.

    Example:
        >>> camera = IntervalEstimate()
        >>> for stamp in (0.0, 2.0, 4.0):
        ...     camera.observe(stamp)
        >>> camera.timeout_s(least_s=1.0)  # 2.5 intervals of 2 s
        5.0
    """

    def __init__(self) -> None:
        self._last_s: float | None = None
        self._intervals: deque[float] = deque(maxlen=2)

    def observe(self, time_s: float) -> None:
        """Take in an event at this time, s."""
        if self._last_s is not None:
            self._intervals.append(max(time_s - self._last_s, 0.0))
        self._last_s = time_s

    def timeout_s(self, least_s: float) -> float:
        """Time after the latest event at which the source is stale, s: at least `least_s`."""
        return stale_after(least_s, min(self._intervals, default=0.0))


class RateLimit:
    """Rate limiter for events that arrive at their own pace; spreads those it takes as evenly as that pace allows.

    Args:
        rate_hz: the limit; 0 = none.
        start_s: the first event is due then, s.
        made_up: an event that is late by up to so many periods leaves the next one due as if it had come in time, so
            that the rate is kept; what is later is not made up for.

    Example:
        >>> limit = RateLimit(rate_hz=10.0, start_s=0.0)
        >>> [limit.takes(stamp) for stamp in (0.0, 0.03, 0.06, 0.1, 0.13)]
        [True, False, False, True, False]
    """

    def __init__(self, rate_hz: float, start_s: float, *, made_up: float = 1.0) -> None:
        self._period_s = 1.0 / rate_hz if rate_hz > 0 else 0.0
        self._made_up_s = made_up * self._period_s
        self._due_s = start_s

    @property
    def next_s(self) -> float:
        """Earliest time at which an event is taken, s."""
        # Cameras jitter: at a limit near the camera's own rate a frame that comes a little early is the one meant.
        return self._due_s - 0.1 * self._period_s

    def takes(self, now_s: float) -> bool:
        """True where the event that comes at this time, s, is taken."""
        if now_s < self.next_s:
            return False
        self._due_s = max(self._due_s, now_s - self._made_up_s) + self._period_s
        return True
