"""Files that a command will write: what is wrong with their place is said before the work, not after it."""

from __future__ import annotations

from pathlib import Path

from fer_perception.errors import ConfigError
from fer_perception.output_place import require_writable


def ready_for(path: Path, suffix: str = "") -> None:
    """Make the folder a file will be written to, and see that it can be.

    Args:
        path: the file; it may exist and is not touched.
        suffix: what its name must end with, with the dot; "" = anything.

    Raises:
        ConfigError: another ending, or a folder that cannot be made.
        SourceError: the file cannot be written there.
    """
    if suffix and path.suffix.lower() != suffix:
        msg = f"{path} would be no {suffix} file by its name; call it {path.with_suffix(suffix).name}"
        raise ConfigError(msg)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        msg = f"the folder {path.parent} for {path.name} cannot be made ({err.strerror}); choose another place"
        raise ConfigError(msg) from err
    require_writable(path)
