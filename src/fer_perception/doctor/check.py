"""The result of one check: its subject, status, findings and fix."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class CheckStatus(Enum):
    """Status of a check; the values are the JSON spelling."""

    OK = "ok"
    #: Works, but something better is possible, or a part nobody may need is missing.
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: what.
        verdict: how it went.
        message: what was found.
        fix: what to do about it; "" where all is well.
    """

    name: str
    verdict: CheckStatus
    message: str
    fix: str = ""
