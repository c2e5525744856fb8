"""Model store: known files, search directories, download and verification of third-party ones.

Three places are searched, in this order: the directory named by FER_MODEL_DIR, the models/ directory of the package,
and the user's cache (`$XDG_CACHE_HOME/fer_perception/models`, else `~/.cache/fer_perception/models`). Only
`ModelStore.fetch` writes or uses the network.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import http.client
import logging
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from fer_perception.errors import ModelError
from fer_perception.model_files.stored_file import StoredFile, file_sha256, hash_fault, read_stored_file, recorded_sum
from fer_perception.system.files import replace_atomically
from fer_perception.system.paths import expanded, is_directory, is_file, share_directory, user_cache

log = logging.getLogger(__name__)

#: Called with (bytes so far, bytes in all).
Progress = Callable[[int, int], None]

_CHUNK = 64 * 1024
_TIMEOUT_S = 30.0
#: A server that sends a byte now and then never runs into that one: so long, in s, may one address take in all.
_ADDRESS_DEADLINE_S = 300.0


@dataclass(frozen=True)
class ModelEntry:
    """One model file this package can use.

    Attributes:
        name: what `find`, `fetch` and `verify` call it.
        file_name: in each of the searched directories.
        description: one line.
        license: SPDX name and holder; "" for our own models.
        sha256: hexadecimal; "" for expression models: their directory may hold their hashes (`stored_file.SUMS`).
        size: bytes; 0 where none is recorded.
        urls: commit-pinned addresses, tried in order; empty = cannot be fetched.
        with_it: names that are fetched together with this one.
    """

    name: str
    file_name: str
    description: str
    license: str = ""
    sha256: str = ""
    size: int = 0
    urls: tuple[str, ...] = ()
    with_it: tuple[str, ...] = ()


_ZOO = "opencv/opencv_zoo"
_ZOO_FILE = "f12e12798e8314f7c074a6656816c048dcc95b7a/models/face_detection_yunet/face_detection_yunet_2023mar.onnx"
_TRAIN = "ShiqiYu/libfacedetection.train"
_TRAIN_FILE = "2b5e61dee21441ef4676505f835ab63ee53bae1e/onnx/yunet_s_dynamic.onnx"

#: Models of others: fetched by the user, never shipped.
THIRD_PARTY_MODELS: tuple[ModelEntry, ...] = (
    ModelEntry(
        name="yunet",
        file_name="face_detection_yunet_2023mar.onnx",
        description="YuNet face detector of the OpenCV Zoo, for cv2.FaceDetectorYN",
        license="MIT (Shiqi Yu)",
        sha256="8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
        size=232589,
        urls=(
            f"https://media.githubusercontent.com/media/{_ZOO}/{_ZOO_FILE}",
            f"https://github.com/{_ZOO}/raw/{_ZOO_FILE}",
        ),
        with_it=("yunet_dynamic",),
    ),
    ModelEntry(
        name="yunet_dynamic",
        file_name="yunet_s_dynamic.onnx",
        description="the same YuNet with dynamic input size, for ONNX Runtime and TensorRT",
        license="Apache-2.0 (Shiqi Yu)",
        sha256="daede24002cc8590f457998cc5e6c9e8b82f45f6bd969506a8913cd4ed10a2d3",
        size=237823,
        urls=(
            f"https://raw.githubusercontent.com/{_TRAIN}/{_TRAIN_FILE}",
            f"https://github.com/{_TRAIN}/raw/{_TRAIN_FILE}",
        ),
    ),
)


class FileState(Enum):
    """Result of `ModelStore.verify`; the values are printed by the command line."""

    OK = "ok"
    MISSING = "missing"
    WRONG_HASH = "wrong hash"
    UNREADABLE = "unreadable"
    NO_HASH = "no hash recorded"


@dataclass(frozen=True)
class FileStatus:
    """State of one model file.

    Attributes:
        entry: which model.
        state: what was found.
        path: the file; None where it is missing.
        message: one sentence: what is wrong and how to fix it; "" where all is well.
    """

    entry: ModelEntry
    state: FileState
    path: Path | None
    message: str


class ModelStore:
    """Finds, fetches and verifies model files.

    Args:
        cache_directory: instead of the user's cache.
        model_directory: instead of FER_MODEL_DIR.
        _addresses: for tests: other addresses by model name, for which http is allowed too.
    """

    def __init__(
        self,
        *,
        cache_directory: Path | None = None,
        model_directory: Path | None = None,
        _addresses: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        named = os.environ.get("FER_MODEL_DIR", "")
        self._model_directory = model_directory or (expanded(named) if named else None)
        self._cache_directory = cache_directory or user_cache() / "fer_perception" / "models"
        self._addresses = _addresses or {}

    @property
    def cache_directory(self) -> Path:
        """Directory that `fetch` writes to; may not exist yet."""
        return self._cache_directory

    def directories(self) -> list[Path]:
        """The directories that are searched, in order."""
        found = [self._model_directory] if self._model_directory else []
        with contextlib.suppress(
            ModelError
        ):  # a plain pip installation has no shared files: the other places still count
            found.append(share_directory() / "models")
        found.append(self._cache_directory)
        return found

    def entries(self) -> list[ModelEntry]:
        """All known models: the third-party ones, then every other .onnx file in the searched directories, by name."""
        other = {entry.file_name for entry in THIRD_PARTY_MODELS}
        names = {
            path.name
            for directory in self.directories()
            if is_directory(directory)
            for path in directory.glob("*.onnx")
            if path.name not in other
        }
        ours = [ModelEntry(name[: -len(".onnx")], name, "expression model") for name in sorted(names)]
        return [*THIRD_PARTY_MODELS, *ours]

    def find(self, name: str | Path) -> Path:
        """The file of a model; see `read`, which also hands over the bytes that were compared."""
        return self.read(name).path

    def read(self, name: str | Path) -> StoredFile:
        """Find and read a model file.

        Args:
            name: of an entry (".onnx" may be left out), or the path of a file: a `Path`, or a text with a "/" or that
                names an .onnx file that is there.

        Returns:
            The file and its bytes; where a hash is recorded for it, these bytes have it.

        Raises:
            ModelError: unknown name, missing or unreadable file, or a hash that is not the recorded one.
        """
        as_path = expanded(name)
        if isinstance(name, Path) or "/" in name or (as_path.suffix == ".onnx" and is_file(as_path)):
            if not is_file(as_path):
                msg = f"there is no model file {as_path}; expected an .onnx file or one of: {self._names()}"
                raise ModelError(msg)
            return read_stored_file(as_path)
        entry = self._entry(name)
        refused: list[str] = []
        for path in (directory / entry.file_name for directory in self.directories()):
            if not is_file(path):
                continue
            try:
                found = read_stored_file(path, sha256=entry.sha256, fix=_fix(entry))
            except ModelError as err:
                refused.append(str(err))
                continue
            # A damaged file in an earlier place does not take away a whole one in a later place.
            for problem in refused:
                log.warning("%s; %s serves instead", problem, path)
            return found
        raise ModelError(refused[0] if refused else self._status(entry).message)

    def verify(self, name: str | None = None) -> list[FileStatus]:
        """Compare files with their recorded hashes.

        Args:
            name: of one entry; None = all.

        Raises:
            ModelError: unknown name.
        """
        chosen = self.entries() if name is None else [self._entry(name)]
        return [self._status(entry) for entry in chosen]

    def fetch(self, name: str, *, source: Path | None = None, progress: Progress | None = None) -> list[Path]:
        """Download a model, and those that belong to it, into the user's cache; files that are there and whole stay.

        Each file is written beside its place, compared with its recorded hash, and only then moved there, so a broken
        download never replaces anything. Where one file cannot be had, the others are fetched all the same.

        Args:
            name: of an entry.
            source: directory to copy the files from instead (no network needed); the hashes are checked alike.
            progress: called with (bytes so far, bytes in all) for each file.

        Returns:
            The files, the named one first.

        Raises:
            ModelError: unknown name, nothing to download from, no network, wrong hash or an unwritable cache; the
                message
                says how to fix it.
        """
        if source is not None and not is_directory(source):
            msg = f"there is no folder {source} to take model files from"
            raise ModelError(msg)
        entry = self._entry(name)
        wanted = [entry, *(self._entry(other) for other in entry.with_it)]
        paths: list[Path] = []
        problems: list[str] = []
        for each in wanted:
            try:
                paths.append(self._fetch_one(each, source, progress))
            except ModelError as err:
                problems.append(str(err))
        if problems:
            # An unwritable cache is one problem, not one a file.
            raise ModelError("; ".join(dict.fromkeys(problems)))
        return paths

    def _names(self) -> str:
        others = {entry.name for entry in THIRD_PARTY_MODELS}
        ours = [entry.name for entry in self.entries() if entry.name not in others]
        return f"{', '.join(ours) or 'none'}; third-party: {', '.join(sorted(others))}"

    def _entry(self, name: str) -> ModelEntry:
        wanted = name[: -len(".onnx")] if name.endswith(".onnx") else name
        for entry in self.entries():
            if wanted in (entry.name, entry.file_name[: -len(".onnx")]):
                return entry
        searched = ", ".join(str(directory) for directory in self.directories())
        msg = (
            f"there is no model {name!r}; expected the path of an .onnx file or one of: {self._names()} "
            f"(searched {searched})"
        )
        raise ModelError(msg)

    def _status(self, entry: ModelEntry) -> FileStatus:
        directories = self.directories()
        path = next((d / entry.file_name for d in directories if is_file(d / entry.file_name)), None)
        if path is None:
            searched = ", ".join(str(directory) for directory in directories)
            message = f"{entry.file_name} is in none of {searched}; {_fix(entry)} or set FER_MODEL_DIR"
            return FileStatus(entry, FileState.MISSING, None, message)
        return _file_status(entry, path)

    def _fetch_one(self, entry: ModelEntry, source: Path | None, progress: Progress | None) -> Path:
        addresses = self._addresses.get(entry.name, entry.urls)
        if not addresses:
            msg = f"{entry.name} is a model of this package and cannot be fetched; build or install the package again"
            raise ModelError(msg)
        place = self._cache_directory / entry.file_name
        if is_file(place) and _has_hash(place, entry.sha256):
            return place
        try:
            self._cache_directory.mkdir(parents=True, exist_ok=True)
            # Before the network is asked for what could not be kept.
            if not os.access(self._cache_directory, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except OSError as err:
            msg = f"the model cache {self._cache_directory} cannot be written ({err.strerror}); set XDG_CACHE_HOME"
            raise ModelError(msg) from None
        content = _copy(entry, source) if source else self._download(entry, addresses, progress)
        try:
            replace_atomically(place, content)
        except OSError as err:
            msg = f"{place} cannot be written ({err.strerror}); make room or set XDG_CACHE_HOME to another place"
            raise ModelError(msg) from None
        return place

    def _download(self, entry: ModelEntry, addresses: Sequence[str], progress: Progress | None) -> bytes:
        """The checked content of the first address that works."""
        problems = []
        for address in addresses:
            try:
                content = _read_address(address, entry, progress, insecure=entry.name in self._addresses)
            except (OSError, http.client.HTTPException, ValueError) as err:
                reason = getattr(err, "reason", None) or err
                problems.append(f"{address}: {reason}")
                continue
            found = hashlib.sha256(content).hexdigest()
            if found == entry.sha256:
                return content
            problems.append(f"{address}: SHA-256 {found} of {len(content)} bytes, expected {entry.sha256}")
        msg = (
            f"{entry.file_name} could not be fetched ({'; '.join(problems)}); check the network or a proxy "
            f"(https_proxy), or bring the file along and run `fer models fetch {entry.name} --from DIRECTORY`"
        )
        raise ModelError(msg)


def _fix(entry: ModelEntry) -> str:
    return f"run `fer models fetch {entry.name}`" if entry.urls else "build or install the package again"


def _file_status(entry: ModelEntry, path: Path) -> FileStatus:
    """State of an existing file."""
    try:
        found = file_sha256(path)
    except OSError as err:
        return FileStatus(entry, FileState.UNREADABLE, path, f"{path} cannot be read: {err.strerror}; {_fix(entry)}")
    fault = hash_fault(path, found, sha256=entry.sha256, fix=_fix(entry))
    if fault:
        return FileStatus(entry, FileState.WRONG_HASH, path, fault)
    state = FileState.OK if entry.sha256 or recorded_sum(path) else FileState.NO_HASH
    return FileStatus(entry, state, path, "")


def _copy(entry: ModelEntry, source: Path) -> bytes:
    """The checked content of a file that was brought along."""
    path = source / entry.file_name
    try:
        content = path.read_bytes()
    except OSError as err:
        msg = f"{path} cannot be read ({err.strerror}); expected the file {entry.file_name} in that directory"
        raise ModelError(msg) from None
    found = hashlib.sha256(content).hexdigest()
    if found != entry.sha256:
        msg = f"{path} has SHA-256 {found}, expected {entry.sha256}; it is damaged or another file"
        raise ModelError(msg)
    return content


def _has_hash(path: Path, sha256: str) -> bool:
    try:
        return file_sha256(path) == sha256
    except OSError:
        return False


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    """Refuses a redirection that leaves https."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:  # noqa: PLR0917
        """Follow a redirection; the signature is that of the base class."""
        if not newurl.startswith("https://"):
            problem = f"redirected to {newurl}, which is not https"
            raise urllib.error.URLError(problem)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _read_address(address: str, entry: ModelEntry, progress: Progress | None, *, insecure: bool) -> bytes:
    """Read at most the recorded size from an address; more is an error."""
    if not insecure and not address.startswith("https://"):
        msg = "expected an https address"
        raise ValueError(msg)
    opener = urllib.request.build_opener(*(() if insecure else (_HttpsOnly(),)))
    request = urllib.request.Request(address, headers={"User-Agent": "fer_perception"})  # noqa: S310 - scheme checked above
    content = bytearray()
    deadline = time.monotonic() + _ADDRESS_DEADLINE_S
    with opener.open(request, timeout=_TIMEOUT_S) as response:
        # What has arrived, instead of waiting for a whole chunk.
        while block := response.read1(_CHUNK):
            content += block
            if time.monotonic() > deadline:
                msg = f"{len(content)} of {entry.size} bytes after {_ADDRESS_DEADLINE_S:.0f} s"
                raise TimeoutError(msg)
            if len(content) > entry.size:
                msg = f"more than the expected {entry.size} bytes"
                raise ValueError(msg)
            if progress is not None:
                progress(len(content), entry.size)
    return bytes(content)
