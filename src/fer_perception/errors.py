"""The errors of this package: each says what was wrong, what was expected and how to fix it."""

from __future__ import annotations


class FerError(Exception):
    """Base of all errors a caller may want to catch; `str()` is one readable sentence or two."""


class ImageError(FerError):
    """An image that cannot be used.

    Args:
        cause: short stable key, by which diagnostics count and the log throttles.
        message: one sentence for people.

    Attributes:
        cause: short stable key ("encoding", "step", "truncated", "size", "corrupt", "too_large", "odd_size", ...), by
            which diagnostics count and the log throttles.
    """

    def __init__(self, cause: str, message: str) -> None:
        super().__init__(message)
        self.cause = cause


class ModelError(FerError):
    """A model file that is missing, truncated, of another kind, of the wrong shape or with the wrong hash."""


class BackendError(FerError):
    """An inference backend that is unknown, not installed or has failed."""


class ConfigError(FerError):
    """A setting that is out of range, of the wrong type or contradicts another one."""


class SourceError(FerError):
    """A file, bag, camera or directory of images that cannot be read."""


class NotInstalledError(BackendError):
    """A package, library or device that this machine does not have."""


class EngineCacheError(BackendError):
    """A directory for compiled engines that cannot be written."""
