"""When silence means the end: a camera of one picture in two seconds is not gone after one."""

from __future__ import annotations

from collections import deque

#: So many usual pauses without a word are silence.
PAUSES = 2.5


class UsualPause:
    """Learns the pause between two events of a kind (pictures of a camera, searches for faces).

    The shorter one of the last two counts, so that one gap among regular events teaches nothing.
    """

    def __init__(self) -> None:
        self._last_s: float | None = None
        self._pauses: deque[float] = deque(maxlen=2)

    def heard(self, time_s: float) -> None:
        """An event at this time, s."""
        if self._last_s is not None:
            self._pauses.append(max(time_s - self._last_s, 0.0))
        self._last_s = time_s

    def patience(self, least_s: float) -> float:
        """How long after the latest event one has to wait, s: at least `least_s`."""
        return max(least_s, PAUSES * min(self._pauses, default=0.0))
