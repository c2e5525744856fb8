"""Fewer events a second than come: which of them to take."""

from __future__ import annotations


class RateLimit:
    """Takes at most so many events a second of those that come at their own pace, as evenly as that pace allows.

    Args:
        rate_hz: the limit; 0 = none.
        start_s: the first event is due then, s.
    """

    def __init__(self, rate_hz: float, start_s: float) -> None:
        self._period_s = 1.0 / rate_hz if rate_hz > 0 else 0.0
        self._due_s = start_s

    def takes(self, now_s: float) -> bool:
        """Whether to take the event that comes at this time, s."""
        # Cameras jitter: at a limit near the camera's own rate a frame that comes a little early is the one meant.
        if now_s < self._due_s - 0.1 * self._period_s:
            return False
        # From due time to due time, so that the rate is kept; what came too slowly, or not at all, is not made up for.
        self._due_s = max(self._due_s, now_s - self._period_s) + self._period_s
        return True
