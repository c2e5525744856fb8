"""What ends a command from outside, besides Ctrl-C."""

from __future__ import annotations

import signal


def end_as_ctrl_c_does() -> None:
    """Let SIGTERM (`timeout`, services) and SIGHUP (a lost terminal or ssh) raise KeyboardInterrupt, as Ctrl-C does."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        # `nohup` ignores SIGHUP, and means it.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
