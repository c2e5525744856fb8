"""JAFFE (Lyons et al. 1998): images named like KA.AN1.39.tiff: subject, expression and take, running number.

Copies in other formats (KA.AN1.39.jpg, KA.AN1.39.tiff.png) are as good; they often lie in class folders.
"""

from __future__ import annotations

import re
from pathlib import Path

from fer_training.data.readers.named_images import read_named_images
from fer_training.data.records import Index

#: Subject, expression code, take, running number: the name without its last ending.
NAME = re.compile(r"^([A-Z]{2})\.([A-Z]{2})(\d)\.(\d+)(?:\.tiff?)?$", re.IGNORECASE)

EXPRESSIONS = ("AN", "DI", "FE", "HA", "SA", "SU", "NE")


def read_jaffe(root: Path) -> Index:
    """List the images of JAFFE, in any depth below `root`; folders called like splits say which split.

    Raises:
        DatasetError: no image is named as in JAFFE.
    """
    return read_named_images(root, _told, labels=EXPRESSIONS, name="JAFFE", example="KA.AN1.39.tiff")


def _told(stem: str) -> tuple[str, str] | None:
    match = NAME.match(stem)
    if match is None or match[2].upper() not in EXPRESSIONS:
        return None
    return match[2].upper(), match[1].upper()
