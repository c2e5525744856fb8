"""JAFFE (Lyons et al. 1998): pictures named like KA.AN1.39.tiff: subject, expression and take, running number.

Copies in other formats (KA.AN1.39.jpg, KA.AN1.39.tiff.png) are as good; they often lie in class folders.
"""

from __future__ import annotations

import re
from pathlib import Path

from .folders import pictures_below, split_of
from .records import Index, Record
from .samples import DatasetError, Skip

#: Subject, expression code, take, running number: the name without its last ending.
NAME = re.compile(r"^([A-Z]{2})\.([A-Z]{2})(\d)\.(\d+)(?:\.tiff?)?$", re.IGNORECASE)

EXPRESSIONS = ("AN", "DI", "FE", "HA", "SA", "SU", "NE")


def read_jaffe(root: Path) -> Index:
    """List the pictures of JAFFE, in any depth below `root`; folders called like splits say which split.

    Raises:
        DatasetError: no picture is named as in JAFFE.
    """
    records = []
    skipped = []
    for path in pictures_below(root):
        match = NAME.match(path.stem)
        if match is None or match[2].upper() not in EXPRESSIONS:
            skipped.append(Skip(str(path), "not named as in JAFFE (KA.AN1.39.tiff)"))
            continue
        split = split_of(path, root)
        records.append(Record(path=path, label=match[2].upper(), split=split, subject=match[1].upper()))
    if not records:
        msg = f"{root} holds no picture named as in JAFFE; expected names like KA.AN1.39.tiff"
        raise DatasetError(msg)
    return Index(records=tuple(records), label_names=EXPRESSIONS, skipped=tuple(skipped))
