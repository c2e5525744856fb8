"""Checks of output paths before the work, and errors that name the full disk."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from fer_perception.errors import ConfigError, SourceError
from fer_perception.system.files import require_writable


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


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """A temporary folder for what is not a result; the block may fail with `OSError` for nothing else than this folder.

    Raises:
        SourceError: there is no place for temporary files, or it is full.
    """
    try:
        with tempfile.TemporaryDirectory() as directory:
            yield Path(directory)
    except OSError as err:
        place = tempfile.tempdir or "(none was found)"
        msg = (
            f"the folder for temporary files {place} cannot be used ({err.strerror or err}); free some space there or "
            "set TMPDIR to another one"
        )
        raise SourceError(msg) from err
