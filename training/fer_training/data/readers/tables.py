"""Tables as people save them: CSV with commas, semicolons or tabs, with fields as long as an image."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from fer_training.data.samples import LARGEST_SIDE, DatasetError

#: Characters of the longest field: the pixels of the largest image that is read, each of up to three digits.
LONGEST_FIELD = 4 * LARGEST_SIDE**2

_DELIMITERS = ",;\t"


@contextmanager
def open_table(path: Path, expected: str) -> Iterator[tuple[TextIO, str]]:
    """Open a table for the csv module; what goes wrong in the block because of the file becomes a DatasetError.

    Args:
        path: of the file, UTF-8.
        expected: what should be there, for the error.

    Yields:
        The open file, and the delimiter: whichever of comma, semicolon and tab its first line has most of.

    Raises:
        DatasetError: it cannot be read; says how to save it anew.
    """
    csv.field_size_limit(LONGEST_FIELD)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header = file.readline(LONGEST_FIELD)
            file.seek(0)
            yield file, max(_DELIMITERS, key=header.count)
    except UnicodeDecodeError as err:
        msg = f"cannot read {path} ({err}); save it anew as CSV in UTF-8; expected {expected}"
        raise DatasetError(msg) from err
    except (OSError, csv.Error) as err:
        msg = f"cannot read {path} ({err}); expected {expected}"
        raise DatasetError(msg) from err


def whole_number(text: str) -> str:
    """A number as it was before a spreadsheet or a data frame made a fraction of it ("3.0" -> "3"); else the text."""
    whole, point, rest = text.partition(".")
    return whole if point and whole.isdecimal() and not rest.strip("0") else text
