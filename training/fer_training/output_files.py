"""Files that a command will write: what is wrong with their place is said before the work, not after it."""

from __future__ import annotations

import os
from pathlib import Path

from fer_perception.errors import ConfigError


def ready_for(path: Path, suffix: str = "") -> None:
    """Make the folder a file will be written to, and see that it can be.

    Args:
        path: the file; it may exist and is not touched.
        suffix: what its name must end with, with the dot; "" = anything.

    Raises:
        ConfigError: another ending, a folder of that name, or a folder that cannot be made or written.
    """
    if suffix and path.suffix.lower() != suffix:
        msg = f"{path} would be no {suffix} file by its name; call it {path.with_suffix(suffix).name}"
        raise ConfigError(msg)
    if path.is_dir():
        msg = f"{path} is a folder; expected the name of a file to write"
        raise ConfigError(msg)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        msg = f"the folder {path.parent} for {path.name} cannot be made ({err.strerror}); choose another place"
        raise ConfigError(msg) from err
    if not os.access(path.parent, os.W_OK):
        msg = f"nothing can be written to the folder {path.parent}; choose another place for {path.name}"
        raise ConfigError(msg)
