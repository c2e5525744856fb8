"""Result files: a check that they can be written, before the work, and atomic writes."""

from __future__ import annotations

import contextlib
import errno
import itertools
import math
import os
import shlex
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from fer_perception.errors import FerError, NotInstalledError, SourceError
from fer_perception.system.part_files import hold, part_of, remove_leftovers
from fer_perception.system.text import shown

#: Names for what a process has open: replacing the file behind one would leave the shell's own with the old content.
_OPEN_FILES = frozenset({Path("/dev"), Path("/dev/fd"), Path("/proc/self/fd")})

#: Characters of a YAML text; PyYAML reads some hundred thousand in ten seconds.
MAX_YAML_CHARACTERS = 500_000
#: Values and characters that any YAML text may unfold to.
_FREE_YAML = 100_000


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


def write_atomically(path: Path, content: bytes | str, *, error: type[FerError] = SourceError) -> None:
    """Write a file so that a crash or a full disk leaves the earlier one whole.

    A symbolic link stays one, and a file keeps its mode. What is no regular file (a pipe, /dev/stdout) is written to
    directly, and so is, without that promise, a file that may be changed in a folder that may not.

    Args:
        path: the file; its folder is made where it is missing.
        content: bytes, or text that becomes UTF-8; in it, bytes of file names that are no text are spelled out.
        error: what to raise, for callers that promise another class.

    Raises:
        FerError: of the class `error`; it could not be written.
    """
    data = content.encode(errors="backslashreplace") if isinstance(content, str) else content
    whole = False
    try:
        if not is_open_or_special(path):
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


def is_open_or_special(path: Path) -> bool:
    """True for a path that is no file to replace but a pipe, a device, or a name for what the process has open."""
    return path.absolute().parent in _OPEN_FILES or (path.exists() and not path.is_file())


def _replace(target: Path, data: bytes) -> bool:
    """Write beside a file, then take its place; False where the file can only be changed in place."""
    exists = target.exists()
    if exists and not os.access(target, os.W_OK):
        # Its folder may allow it, but whoever protected the file did not mean that.
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(target))
    try:
        replace_atomically(target, data)
    except OSError as err:
        # A folder that may not be changed, or a file that is mounted by itself (EBUSY).
        if exists and err.errno in {errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY}:
            return False
        raise
    return True


class UntrustedFileError(FerError):
    """A file that another user may have written, and that would run as code."""


def require_trusted(path: Path, handle: int | None = None) -> None:
    """See that nobody but this user and root can have written a file or directory, as ssh does with its keys.

    An engine of TensorRT is a program: whoever can write it can run whatever they like as this user.

    Args:
        path: of the file or directory.
        handle: of the file, open; else it is found by its path.

    Raises:
        UntrustedFileError: it belongs to somebody else, or others may write to it; says what to do.
        OSError: it is missing, or cannot be looked at.
    """
    if not hasattr(os, "getuid"):
        return
    found = path.stat() if handle is None else os.fstat(handle)
    if found.st_uid not in (os.getuid(), 0):
        msg = (
            f"{path} belongs to user {found.st_uid}, so it is not trusted; remove it, or set XDG_CACHE_HOME to a "
            "directory of your own"
        )
        raise UntrustedFileError(msg)
    others = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if others:
        msg = f"{path} can be written by others, so it is not trusted; run `chmod go-w {shlex.quote(str(path))}`"
        raise UntrustedFileError(msg)


def make_private_directory(path: Path) -> None:
    """Make a directory that only this user can enter (mode 0700), and those above it that are missing.

    Raises:
        OSError: it cannot be made.
    """
    for folder in (*reversed(path.parents), path):
        if not folder.exists():
            folder.mkdir(mode=0o700, exist_ok=True)
    if not path.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))


def replace_atomically(target: Path, data: bytes, *, mode: int | None = None) -> None:
    """Write a regular file beside its place and move it there: readers see the earlier one or this one, never a part.

    Args:
        target: the file, in a folder that exists; an earlier one's mode is kept, a new one's is as the umask says.
        data: its content.
        mode: permissions of the new file, instead of those.

    Raises:
        OSError: it could not be written; the earlier file is untouched and nothing is left beside it.
    """
    with replacing(target, mode=mode) as file:
        file.write(data)


@contextlib.contextmanager
def replacing(target: Path, *, mode: int | None = None) -> Iterator[BinaryIO]:
    """A new file beside `target` that takes its place when the block ends well, synced; else nothing has happened.

    Args:
        target: as for `replace_atomically`.
        mode: as for `replace_atomically`.

    Yields:
        The new file, open for reading and writing.

    Raises:
        OSError: it could not be written; the earlier file is untouched and nothing is left beside it.
    """
    remove_leftovers(target)
    temporary = part_of(target)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    handle = os.open(temporary, flags, 0o666 if mode is None else mode)
    try:
        with os.fdopen(handle, "w+b") as file:
            hold(handle)
            yield file
            file.flush()
            # Else the new name may outlive a loss of power, and its content not.
            os.fsync(file.fileno())
        if mode is None and target.exists():
            shutil.copymode(target, temporary)
        os.replace(temporary, target)  # noqa: PTH105  (atomic, same directory)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def parse_yaml(text: str) -> Any:
    """The plain values a YAML text holds (mappings, lists, text, numbers, dates, None).

    Aliases (`&`, `*`) may repeat values, not multiply them: a kilobyte of them unfolds to gigabytes.

    Args:
        text: up to `MAX_YAML_CHARACTERS`.

    Raises:
        NotInstalledError: PyYAML is not installed, or does not load.
        ValueError: it is no YAML, too long, unfolds to too much, or holds values that cannot be made; the words are
            one line.
    """
    if len(text) > MAX_YAML_CHARACTERS:
        msg = f"{len(text)} characters; expected settings or a list of up to {MAX_YAML_CHARACTERS}"
        raise ValueError(msg)
    try:
        # Here, so that `fer doctor` runs without it and says so.
        import yaml
    except ImportError as err:
        msg = f"the package PyYAML is not installed ({err}); `pip install pyyaml` brings it"
        raise NotInstalledError(msg) from None
    try:
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            # Without aliases every value stands in the text, so this is for them alone.
            if _unfolded(node, {}) > _FREE_YAML + 4 * len(text):
                msg = f"it unfolds to more than {_FREE_YAML + 4 * len(text)} values; write it without aliases (&, *)"
                raise ValueError(msg)
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except Exception as err:
        # Beside its own errors it passes on whatever impossible dates, numbers and endless nesting lead to.
        raise ValueError(shown(" ".join(str(err).split()), 500)) from err


def _unfolded(node: Any, known: dict[int, float]) -> float:
    """Values and characters a YAML node stands for, its aliases written out; infinite where it is inside of itself."""
    if isinstance(node.value, str):
        return 1.0 + len(node.value)
    if id(node) not in known:
        known[id(node)] = math.inf  # until it is known, for an alias inside of it
        # The value of a list is its nodes, that of a mapping pairs of them.
        parts = itertools.chain.from_iterable(part if isinstance(part, tuple) else (part,) for part in node.value)
        known[id(node)] = 1.0 + sum(_unfolded(part, known) for part in parts)
    return known[id(node)]
