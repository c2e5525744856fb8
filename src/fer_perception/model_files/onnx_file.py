"""Safe reader of ONNX files: type, hash, metadata and external data files."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from fer_perception.errors import ModelError
from fer_perception.model_files.metadata import ModelMetadata
from fer_perception.model_files.protobuf import WireError, onnx_control_flow, onnx_external_locations, onnx_metadata
from fer_perception.model_files.stored_file import StoredFile, read_stored_file
from fer_perception.system.paths import expanded

#: How files with a serialized TensorRT engine usually end.
ENGINE_SUFFIXES = (".engine", ".plan", ".trt")


@dataclass(frozen=True)
class ModelFile:
    """The content of an ONNX file, read once, so that what was checked is what runs.

    Attributes:
        path: where it was read.
        data: the file's bytes.
        sha256: of `data` followed by every external file, hexadecimal; of the file alone where it has none.
        props: the file's metadata map.
        external: absolute paths of the files with external tensor data; `fer-train export` never writes any.
    """

    path: Path
    data: bytes
    sha256: str
    props: dict[str, str]
    external: tuple[Path, ...]

    def metadata(self) -> ModelMetadata:
        """Metadata of the file.

        Raises:
            ModelError: it says nothing, or nonsense.
        """
        return ModelMetadata.from_props(self.props, path=str(self.path), sha256=self.sha256)


def version_path(model: Path, version: str) -> Path:
    """Path of a model's version in another precision, "fp16" or "int8": "m.onnx" -> "m_int8.onnx"."""
    return model.with_name(f"{model.stem}_{version}{model.suffix}")


def read_model_file(path: str | Path) -> ModelFile:
    """Read and check an ONNX file.

    Args:
        path: the file.

    Raises:
        ModelError: missing, unreadable, with another hash than the one recorded beside it, not ONNX, cut short, or
            with external data outside of its own directory.
    """
    return model_file(read_stored_file(expanded(path)))


def model_file(stored: StoredFile) -> ModelFile:
    """Check an ONNX file that was read, for example by `ModelStore.read`.

    Raises:
        ModelError: not ONNX, cut short, or with external data that is missing or outside of its own directory.
    """
    path, data = stored.path, stored.data
    view = memoryview(data)
    try:
        props = onnx_metadata(view)
        locations = onnx_external_locations(view)
        loops = onnx_control_flow(view)
    except WireError as err:
        if path.suffix in ENGINE_SUFFIXES:
            msg = (
                f"{path} is not an ONNX model; compiled engines are kept and found in the cache, so give the .onnx "
                "file it was built from"
            )
            raise ModelError(msg) from None
        msg = (
            f"{path} ({len(data)} bytes) is not an ONNX model or was cut short ({err}); "
            "get the file again or export it with `fer-train export`"
        )
        raise ModelError(msg) from None
    external = tuple(_external(path, location) for location in locations)
    if loops:
        msg = (
            f"{path} holds {', '.join(map(ascii, loops))}, which may run without end, so it is not loaded; export the "
            "network without loops and branches"
        )
        raise ModelError(msg)
    digest = hashlib.sha256(data)
    for file in external:
        digest.update(read_stored_file(file).data)
    return ModelFile(path=path, data=data, sha256=digest.hexdigest(), props=props, external=external)


def read_metadata(path: str | Path) -> ModelMetadata:
    """Metadata of a model file, without starting a backend.

    Args:
        path: an ONNX file.

    Returns:
        Its metadata with `sha256` filled in.

    Raises:
        ModelError: see `read_model_file` and `ModelMetadata.from_props`.
    """
    return read_model_file(path).metadata()


def _external(path: Path, location: str) -> Path:
    """Path of external data, if it lies where it may: below the directory of the model (links followed)."""
    directory = path.parent.resolve()
    target = Path(os.path.normpath(directory / location))
    inside = (
        bool(location)
        and "\0" not in location
        and not Path(location).is_absolute()
        and target.is_relative_to(directory)
    )
    if not inside or not target.resolve().is_relative_to(directory):
        msg = (
            f"{path} takes tensor data from {location!r}, outside of its own directory, so it is not loaded; "
            "export it as one file (`fer-train export` does) or put the data beside it"
        )
        raise ModelError(msg)
    return target
