"""What figures were judged by, in words: the data set's own labels or the FER+ votes, which do not compare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: What a title says; nothing where the data set's own labels were the judge.
_WORDS = {
    "labels": "",
    "ferplus_majority": "FER+ majority",
    "ferplus_plurality": "FER+ plurality",
    # A soft target judges by its largest part, the first of equal ones.
    "ferplus_soft": "FER+ most votes",
}


def targets_of(figures: Mapping[str, Any]) -> str:
    """The targets of figures, as `load_evaluation_data` names them.

    Args:
        figures: as from `evaluate_output`, or recorded in a model; the older ones have no key "targets".
    """
    if "targets" in figures:
        return str(figures["targets"])
    # Older figures betray it: judged by the majority, as many pictures agree with it, and of as many, as are right.
    ferplus = figures.get("ferplus") or {}
    by_votes = (ferplus.get("n"), ferplus.get("agreement")) == (figures.get("n"), figures.get("accuracy"))
    return "ferplus_majority" if by_votes else "labels"


def judged_by(figures: Mapping[str, Any]) -> str:
    """For example "FER+ majority"; "" for the data set's own labels."""
    targets = targets_of(figures)
    return _WORDS.get(targets, targets)


def with_judge(name: str, figures: Mapping[str, Any]) -> str:
    """The name of some pictures and, after a comma, what their figures were judged by if not their own labels."""
    return ", ".join(filter(None, (name, judged_by(figures))))
