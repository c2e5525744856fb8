"""Cache directory of compiled engines, each with a manifest: its key and its hash."""

from __future__ import annotations

import hashlib
import json
import statistics
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fer_perception.errors import EngineCacheError
from fer_perception.inference.tensorrt.engine_key import EngineKey
from fer_perception.system.files import (
    UntrustedFileError,
    make_private_directory,
    replace_atomically,
    require_trusted,
)
from fer_perception.system.paths import is_directory, user_cache

FORMAT = "fer_perception engine/1"


@dataclass(frozen=True)
class CachedEngine:
    """An engine out of the cache whose manifest and hash fit.

    Attributes:
        path: of the engine file.
        data: the serialized engine.
        precision: read from the engine when it was built ("FP16", ...); "" where unknown.
        build_seconds: how long it took to build.
        max_difference: largest difference to ONNX Runtime in any probability.
    """

    path: Path
    data: bytes
    precision: str = ""
    build_seconds: float = 0.0
    max_difference: float = 0.0


@dataclass(frozen=True)
class Lookup:
    """Answer of the cache.

    Attributes:
        engine: None where it has to be built.
        reason: why, in one phrase.
        refused: it was built before and refused; building it again would end the same way.
    """

    engine: CachedEngine | None
    reason: str
    refused: bool = False


def default_cache_directory() -> Path:
    """`$XDG_CACHE_HOME/fer_perception/engines`, else `~/.cache/fer_perception/engines`."""
    return user_cache() / "fer_perception" / "engines"


@dataclass(frozen=True)
class EngineCache:
    """Engines in one directory.

    Attributes:
        directory: made when something is first written.
    """

    directory: Path = field(default_factory=default_cache_directory)

    def engine_path(self, key: EngineKey) -> Path:
        """Path of the engine of this key; its manifest lies beside it, ending in .json."""
        return self.directory / f"{key.stem}.engine"

    def find(self, key: EngineKey) -> Lookup:
        """Look an engine up; whatever does not fit is reported, never loaded.

        Args:
            key: of the engine that is wanted.
        """
        path = self.engine_path(key)
        manifest_path = path.with_suffix(".json")
        try:
            require_trusted(self.directory)
            manifest = json.loads(_read(manifest_path))
            data = _read(path) if not _is_refusal(manifest, key) else b""
        except UntrustedFileError as err:
            return Lookup(None, str(err))
        except OSError as err:
            missing = isinstance(err, FileNotFoundError)
            none_yet = "there is no engine for this device, model and TensorRT version yet"
            return Lookup(None, none_yet if missing else f"{path} cannot be read ({err.strerror})")
        except ValueError:
            return Lookup(None, f"the manifest {manifest_path} does not parse")
        if _is_refusal(manifest, key):
            return Lookup(None, f"{manifest['refused']} (`fer compile --force` tries again)", refused=True)
        fault = _fault(manifest, key, data)
        if fault:
            return Lookup(None, f"{path} {fault}")
        return Lookup(
            CachedEngine(
                path=path,
                data=data,
                precision=str(manifest.get("precision", "")),
                build_seconds=_number(manifest.get("build_seconds")),
                max_difference=_number(manifest.get("max_difference")),
            ),
            f"the engine in the cache ({path.name})",
        )

    def require_writable(self) -> None:
        """Find out before a build of minutes whether its result can be kept.

        Raises:
            EngineCacheError: it cannot; the message names the directory, the cause and the fix.
        """
        try:
            self._make_directory()
            with tempfile.NamedTemporaryFile(dir=self.directory, prefix=".probe-") as probe:
                probe.write(b"x")
        except OSError as err:
            raise self._unwritable(err) from err

    def store(
        self, key: EngineKey, data: bytes, *, precision: str, build_seconds: float, max_difference: float
    ) -> CachedEngine:
        """Keep an engine; a crash leaves the old pair of files or one whose hash does not fit, never a wrong one.

        Args:
            key: what it was built for.
            data: the serialized engine.
            precision: read from the engine.
            build_seconds: how long the build took, in s.
            max_difference: to ONNX Runtime, in any probability.

        Raises:
            EngineCacheError: the directory cannot be written.
        """
        path = self.engine_path(key)
        manifest = {
            "format": FORMAT,
            "key": key.as_dict(),
            "sha256": hashlib.sha256(data).hexdigest(),
            "bytes": len(data),
            "precision": precision,
            "build_seconds": round(build_seconds, 3),
            "max_difference": max_difference,
        }
        self._write(path, data)
        self._write(path.with_suffix(".json"), json.dumps(manifest, indent=2, sort_keys=True).encode() + b"\n")
        return CachedEngine(path, data, precision, build_seconds, max_difference)

    def refuse(self, key: EngineKey, reason: str) -> None:
        """Remember that the engine of this key was built and refused, so that no start spends minutes on it again.

        Args:
            key: what it was built for.
            reason: why it was refused.

        Raises:
            EngineCacheError: the directory cannot be written.
        """
        self.discard(key)
        manifest = {"format": FORMAT, "key": key.as_dict(), "refused": reason}
        self._write(self.engine_path(key).with_suffix(".json"), json.dumps(manifest, indent=2).encode() + b"\n")

    def discard(self, key: EngineKey) -> None:
        """Remove an engine that does not work, so that nobody loads it again; best effort."""
        path = self.engine_path(key)
        for file in (path.with_suffix(".json"), path):
            try:
                file.unlink(missing_ok=True)
            except OSError:
                return

    def timing_cache(self, key: EngineKey) -> bytes:
        """The kernel timings of earlier builds on this device with this TensorRT; empty where there are none."""
        try:
            require_trusted(self.directory)
            return _read(self._timing_path(key))
        except (OSError, UntrustedFileError):
            return b""

    def store_timing_cache(self, key: EngineKey, data: bytes) -> None:
        """Keep kernel timings for the next build.

        Raises:
            EngineCacheError: the directory cannot be written.
        """
        self._write(self._timing_path(key), data)

    def expected_build_seconds(self, key: EngineKey) -> float | None:
        """Median duration of the earlier builds on this device with this TensorRT, in s; None where there were none."""
        seconds = []
        for path in self.directory.glob("*.json") if is_directory(self.directory) else ():
            try:
                manifest = json.loads(_read(path))
                other = manifest["key"]
                if (other["gpu"], other["tensorrt"]) == (key.gpu, key.tensorrt) and other["builder"] == key.builder:
                    seconds.append(float(manifest["build_seconds"]))
            except (OSError, ValueError, TypeError, KeyError, UntrustedFileError):
                continue
        return statistics.median(seconds) if seconds else None

    def _timing_path(self, key: EngineKey) -> Path:
        device = hashlib.sha256(f"{key.gpu}|{key.compute_capability}|{key.tensorrt}|{key.cuda}".encode()).hexdigest()
        return self.directory / f"timing-{device[:16]}.cache"

    def _write(self, path: Path, data: bytes) -> None:
        try:
            self._make_directory()
            replace_atomically(path, data, mode=0o600)
        except OSError as err:
            raise self._unwritable(err) from err

    def _make_directory(self) -> None:
        """For this user alone.

        Raises:
            OSError: it cannot be made.
            EngineCacheError: it is another user's, or others may write there.
        """
        make_private_directory(self.directory)
        try:
            require_trusted(self.directory)
        except UntrustedFileError as err:
            raise EngineCacheError(str(err)) from None

    def _unwritable(self, err: OSError) -> EngineCacheError:
        return EngineCacheError(
            f"the engine cache {self.directory} cannot be written ({err.strerror}); free space or correct its "
            "permissions, or set XDG_CACHE_HOME to a directory that can be written"
        )


def _fault(manifest: Any, key: EngineKey, data: bytes) -> str:
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT or not isinstance(manifest.get("key"), dict):
        return "has a manifest of another kind"
    differences = key.differences(manifest["key"])
    if differences:
        return f"was built for something else ({'; '.join(differences)})"
    if manifest.get("bytes") != len(data):
        return f"was cut short: {len(data)} bytes, its manifest says {manifest.get('bytes')}"
    if manifest.get("sha256") != hashlib.sha256(data).hexdigest():
        return "does not have the hash of its manifest"
    return ""


def _read(path: Path) -> bytes:
    """A file of the cache, if nobody else can have written it; raises OSError and UntrustedFileError."""
    # Opened first, so that what is judged is what is read.
    with path.open("rb") as file:
        require_trusted(path, file.fileno())
        return file.read()


def _is_refusal(manifest: Any, key: EngineKey) -> bool:
    return (
        isinstance(manifest, dict)
        and manifest.get("format") == FORMAT
        and manifest.get("key") == key.as_dict()
        and isinstance(manifest.get("refused"), str)
    )


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0
