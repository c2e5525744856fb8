"""ONNX graphs as bytes and files: writing them so that the earlier file stays whole, running them on the CPU."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from fer_perception.errors import ModelError

#: Ends of the names of a model's other versions.
VERSIONS = ("_fp16", "_int8")


def repeats_figures(path: Path) -> bool:
    """Whether a file is the FP16 or INT8 version of a model: its metadata holds the figures of the FP32 file."""
    return path.stem.endswith(VERSIONS)


def load_onnx(path: Path) -> tuple[onnx.ModelProto, bytes]:
    """Read a graph and the bytes it is made of.

    Raises:
        ModelError: missing, or not an ONNX file.
    """
    try:
        data = path.read_bytes()
        model = onnx.load_from_string(data)
        onnx.checker.check_model(model)
    except FileNotFoundError:
        msg = f"there is no model {path}; expected an .onnx file written by `fer-train export`"
        raise ModelError(msg) from None
    except (OSError, DecodeError, onnx.checker.ValidationError) as err:
        if path.suffix == ".safetensors":
            msg = f"{path} is a checkpoint; expected an .onnx file, which `fer-train export` makes of it"
            raise ModelError(msg) from err
        msg = f"{path} is damaged or not an ONNX file ({err}); export it again"
        raise ModelError(msg) from err
    return model, data


def onnx_sha256(data: bytes) -> str:
    """SHA-256 of a file's bytes, hexadecimal: how models are identified."""
    return hashlib.sha256(data).hexdigest()


def onnx_bytes(model: onnx.ModelProto) -> bytes:
    """Serialise a graph; equal graphs give equal bytes."""
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that a crash or a full disk leaves the earlier one whole.

    Raises:
        ModelError: it could not be written.
    """
    temporary = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(data)
        os.replace(temporary, path)  # noqa: PTH105  (atomic, same directory)
    except OSError as err:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        msg = (
            f"cannot write {path}: {err}; an earlier file of that name is untouched, free some space or write elsewhere"
        )
        raise ModelError(msg) from err


def run_onnx(
    model: bytes | Path, images: NDArray[np.float32], *, batch: int = 64, threads: int = 1
) -> NDArray[np.float32]:
    """Probabilities of an exported graph from ONNX Runtime on the CPU.

    Args:
        model: the file or its bytes.
        images: (N, C, H, W) float32 in [0, 255].
        batch: pictures a call.
        threads: of ONNX Runtime.

    Returns:
        (N, K) float32.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    source = model if isinstance(model, bytes) else str(model)
    session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    feed = session.get_inputs()[0].name
    parts = [session.run(None, {feed: images[i : i + batch]})[0] for i in range(0, len(images), batch)]
    return np.concatenate(parts) if parts else np.zeros((0, session.get_outputs()[0].shape[1]), np.float32)
