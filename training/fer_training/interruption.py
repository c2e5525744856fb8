"""Ctrl-C that waits for the end of a training step."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

import lightning as pl


class StopBetweenSteps(pl.Callback):
    """Turn Ctrl-C into a `KeyboardInterrupt` between two steps or at the end; a second Ctrl-C does not wait.

    Python raises `KeyboardInterrupt` wherever the program happens to be: in a finalizer it is lost, inside a log writer
    it leaves a lock behind on which the way out waits forever. Use as a context manager around `Trainer.fit`. In any
    other thread than the main one, where no signals arrive, it does nothing.
    """

    def __init__(self) -> None:
        self._asked = False
        self._previous: Any = None

    def __enter__(self) -> StopBetweenSteps:
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
        # Behind the last step: else whoever trains one network after another would begin with the next.
        if error is None:
            self._stop()

    def _ask(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True

    def _stop(self) -> None:
        if self._asked:
            raise KeyboardInterrupt

    def on_train_batch_end(self, *arguments: Any, **named: Any) -> None:
        """A step is over."""
        del arguments, named
        self._stop()

    def on_validation_batch_end(self, *arguments: Any, **named: Any) -> None:
        """A step of the validation is over."""
        del arguments, named
        self._stop()
