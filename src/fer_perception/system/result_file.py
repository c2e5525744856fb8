"""Text files of results that are written bit by bit and take their place when they are complete."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from fer_perception.errors import SourceError
from fer_perception.system.files import is_open_or_special
from fer_perception.system.part_files import hold, part_of, remove_leftovers


class ResultFile:
    """A UTF-8 text file that is complete or not there: whatever ends the program, an earlier file of its name is whole.

    It grows as `.NAME.<hex>.part` beside its place. What killed programs have left there is removed first. A symbolic
    link in its place is replaced, not followed: somebody else may have laid it there. What is no regular file (a pipe,
    /dev/stdout) is written to directly, and so is, without that promise, a file in a folder that may not be changed.
    Used with `with`, an exception discards it.

    Args:
        path: the file.

    Attributes:
        complete: it has taken its place.

    Raises:
        SourceError: it cannot be written; from every method.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.complete = False
        self._part: Path | None = None
        self._failed = False
        with self._told():
            if not is_open_or_special(path):
                remove_leftovers(path)
                self._part = self._make_part()
            if self._part is None:
                self._file = path.open("w", encoding="utf-8", errors="backslashreplace", newline="")

    def write(self, text: str) -> int:
        """Append text."""
        with self._told():
            return self._file.write(text)

    def close(self) -> None:
        """Let the file take its place, unless a part of it could not be written; idempotent."""
        if self._file.closed:
            return
        try:
            with self._told():
                self._file.flush()
                if self._part is not None and not self._failed:
                    self._replace(self._part)
                self.complete = not self._failed
                self._file.close()
        finally:
            self.discard()

    def discard(self) -> None:
        """Remove what was written, unless the file has taken its place; idempotent."""
        with contextlib.suppress(OSError):
            self._file.close()
        if self._part is not None:
            with contextlib.suppress(OSError):
                self._part.unlink(missing_ok=True)

    def __enter__(self) -> ResultFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def _make_part(self) -> Path | None:
        """Open the part; None where only the file itself may be changed."""
        regular = self.path.is_file() and not self.path.is_symlink()
        if regular and not os.access(self.path, os.W_OK):
            # Its folder may allow it, but whoever protected the file did not mean that.
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self.path))
        part = part_of(self.path)
        try:
            handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o666)
        except OSError as err:
            if regular and err.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
                return None
            raise
        hold(handle)
        self._file = os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace", newline="")
        return part

    def _replace(self, part: Path) -> None:
        # Else the new name may outlive a loss of power, and its content not.
        os.fsync(self._file.fileno())
        if self.path.is_file() and not self.path.is_symlink():
            shutil.copymode(self.path, part)
        try:
            part.replace(self.path)
        except OSError as err:
            # A file that is mounted by itself can only be changed in place.
            if err.errno != errno.EBUSY:
                raise
            shutil.copyfile(part, self.path)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turns what the disk says into an error that names the file."""
        try:
            yield
        except OSError as err:
            self._failed = True
            kept = (
                "; the earlier file of that name is untouched" if self._part is not None and self.path.exists() else ""
            )
            msg = f"{self.path} cannot be written: {err.strerror or err}{kept}"
            raise SourceError(msg) from None
