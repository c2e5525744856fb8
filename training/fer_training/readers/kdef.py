"""KDEF (Lundqvist et al. 1998): pictures named like AF01ANHL.JPG: session, person, expression, angle.

The letter before the person (A or B) is the session, not the person: AF01 and BF01 are the same woman.
"""

from __future__ import annotations

import re
from pathlib import Path

from .folders import pictures_below, split_of
from .records import Index, Record
from .samples import DatasetError, Skip

#: Person (sex and number), expression code; before them the session, after them the angle (full or half left, straight,
#: half or full right).
NAME = re.compile(r"^[AB]([FM]\d{2})(AF|AN|DI|HA|NE|SA|SU)(?:FL|HL|S|HR|FR)$", re.IGNORECASE)

EXPRESSIONS = {
    "AF": "afraid",
    "AN": "angry",
    "DI": "disgusted",
    "HA": "happy",
    "NE": "neutral",
    "SA": "sad",
    "SU": "surprised",
}


def read_kdef(root: Path) -> Index:
    """List the pictures of KDEF, in any depth below `root`; folders called like splits say which split.

    All angles are listed; `fer-train prepare` leaves out those in which it finds no face.

    Raises:
        DatasetError: no picture is named as in KDEF.
    """
    records = []
    skipped = []
    for path in pictures_below(root):
        match = NAME.match(path.stem)
        if match is None:
            skipped.append(Skip(str(path), "not named as in KDEF (AF01ANHL.JPG)"))
            continue
        label = EXPRESSIONS[match[2].upper()]
        records.append(Record(path=path, label=label, split=split_of(path, root), subject=match[1].upper()))
    if not records:
        msg = f"{root} holds no picture named as in KDEF; expected names like AF01ANHL.JPG"
        raise DatasetError(msg)
    return Index(records=tuple(records), label_names=tuple(EXPRESSIONS.values()), skipped=tuple(skipped))
