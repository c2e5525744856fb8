"""KDEF (Lundqvist et al. 1998): images named like AF01ANHL.JPG: session, person, expression, angle.

The letter before the person (A or B) is the session, not the person: AF01 and BF01 are the same woman.
"""

from __future__ import annotations

import re
from pathlib import Path

from fer_training.data.readers.named_images import read_named_images
from fer_training.data.records import Index

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
    """List the images of KDEF, in any depth below `root`; folders called like splits say which split.

    All angles are listed; `fer-train prepare` leaves out those in which it finds no face.

    Raises:
        DatasetError: no image is named as in KDEF.
    """
    return read_named_images(root, _told, labels=tuple(EXPRESSIONS.values()), name="KDEF", example="AF01ANHL.JPG")


def _told(stem: str) -> tuple[str, str] | None:
    match = NAME.match(stem)
    return None if match is None else (EXPRESSIONS[match[2].upper()], match[1].upper())
