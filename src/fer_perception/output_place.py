"""Whether a file can be written, asked before the work whose result it will hold."""

from __future__ import annotations

import os
from pathlib import Path

from fer_perception.errors import SourceError


def require_writable(path: Path) -> None:
    """See that a file can be made or replaced; nothing is written.

    Args:
        path: the file; an existing one stays as it is.

    Raises:
        SourceError: it is a directory, its directory is missing, or one of them may not be written.
    """
    folder = path.absolute().parent
    if path.is_dir():
        reason = "it is a directory; name a file"
    elif not folder.is_dir():
        reason = f"there is no directory {folder}"
    elif not os.access(path if path.exists() else folder, os.W_OK):
        reason = "no permission; choose another place"
    else:
        return
    msg = f"{path} cannot be written: {reason}"
    raise SourceError(msg)
