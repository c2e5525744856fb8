"""A disk that is full, for what `output_place` writes."""

from __future__ import annotations

import errno
import os

import pytest


def fill_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every file written whole or not at all meet a full disk, in this process."""

    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", refuse)
