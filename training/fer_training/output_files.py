"""Files that a command writes: their place is seen to before the work, an earlier file stays whole until its end."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from fer_perception.errors import ConfigError, FerError, SourceError
from fer_perception.output_place import require_writable

#: Names for what a process has open: replacing the file behind one would leave the shell's own with the old content.
_OPEN_FILES = frozenset({Path("/dev"), Path("/dev/fd"), Path("/proc/self/fd")})


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


def write_atomically(path: Path, content: bytes | str, *, error: type[FerError] = SourceError) -> None:
    """Write a file so that a crash or a full disk leaves the earlier one whole.

    A symbolic link stays one, and a file keeps its mode. What is no regular file (a pipe, /dev/stdout) is written to
    directly, and so is, without that promise, a file that may be changed in a folder that may not.

    Args:
        path: the file; its folder is made where it is missing.
        content: bytes, or text that becomes UTF-8.
        error: what to raise, for callers that promise another class.

    Raises:
        FerError: of the class `error`; it could not be written.
    """
    data = content.encode() if isinstance(content, str) else content
    whole = False
    try:
        if not _is_open_or_special(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            whole = True
            if _replace(Path(os.path.realpath(path)), data):
                return
            whole = False
        path.write_bytes(data)
    except OSError as err:
        kept = "; the earlier file of that name is untouched" if whole and path.is_file() else ""
        msg = f"cannot write {path} ({err.strerror or err}){kept}; free some space or choose another place"
        raise error(msg) from err


def _is_open_or_special(path: Path) -> bool:
    return path.absolute().parent in _OPEN_FILES or (path.exists() and not path.is_file())


def _replace(target: Path, data: bytes) -> bool:
    """Write beside a file, then take its place; False where the file can only be changed in place."""
    exists = target.exists()
    if exists and not os.access(target, os.W_OK):
        # Its folder may allow it, but whoever protected the file did not mean that.
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(target))
    temporary = target.with_name(target.name + ".part")
    try:
        temporary.write_bytes(data)
        if exists:
            shutil.copymode(target, temporary)
        os.replace(temporary, target)  # noqa: PTH105  (atomic, same directory)
    except OSError as err:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        # A folder that may not be changed, or a file that is mounted by itself (EBUSY).
        if exists and err.errno in {errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY}:
            return False
        raise
    return True


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
