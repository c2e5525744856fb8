"""ONNX graphs as bytes and files: reading, metadata and inference on the CPU."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from fer_perception.errors import ModelError
from fer_perception.model_files.metadata import FP32_SHA256_KEY, PRECISION_KEY


def get_metadata(model: onnx.ModelProto) -> dict[str, str]:
    """The metadata of a graph."""
    return {entry.key: entry.value for entry in model.metadata_props}


def set_metadata(model: onnx.ModelProto, props: Mapping[str, str]) -> None:
    """Replace the metadata of a graph, in a fixed order (so that equal input gives equal bytes)."""
    del model.metadata_props[:]
    for key in sorted(props):
        model.metadata_props.add(key=key, value=props[key])


def version_metadata(single: onnx.ModelProto, data: bytes, *, precision: str) -> dict[str, str]:
    """The metadata of a version of a model in another precision.

    Args:
        single: the FP32 graph.
        data: the file it was read from.
        precision: "float16" or "int8".
    """
    return get_metadata(single) | {PRECISION_KEY: precision, FP32_SHA256_KEY: onnx_sha256(data)}


def repeats_figures(model: onnx.ModelProto) -> bool:
    """True for the FP16 or INT8 version of a model: its metadata holds the figures of the FP32 file."""
    # INT8 files did not always name their origin, but they cannot hide what they are.
    return FP32_SHA256_KEY in get_metadata(model) or any(node.op_type == "QuantizeLinear" for node in model.graph.node)


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
        if path.suffix.lower() == ".safetensors":
            msg = f"{path} is a checkpoint; expected an .onnx file, which `fer-train export` makes of it"
            raise ModelError(msg) from err
        msg = f"{path} is damaged or not an ONNX file ({err}); export it again"
        raise ModelError(msg) from err
    return model, data


def onnx_sha256(data: bytes) -> str:
    """SHA-256 of a file's bytes, hexadecimal: how models are identified."""
    return hashlib.sha256(data).hexdigest()


def onnx_bytes(model: onnx.ModelProto) -> bytes:
    """Serialize a graph; equal graphs give equal bytes."""
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def run_onnx(
    model: bytes | Path, images: NDArray[np.float32], *, batch: int = 64, threads: int = 1, name: str = "the graph"
) -> NDArray[np.float32]:
    """Probabilities of an exported graph from ONNX Runtime on the CPU.

    Args:
        model: the file or its bytes.
        images: (N, C, H, W) float32 in [0, 255].
        batch: images a call; a graph whose batch dimension is fixed gets that many.
        threads: of ONNX Runtime.
        name: of the model, for messages.

    Returns:
        (N, K) float32.

    Raises:
        ModelError: ONNX Runtime cannot load or run the graph, it takes images of another shape, or it does not answer
            each of them.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    source = model if isinstance(model, bytes) else str(model)
    try:
        # Without its fallback, which would tell of a damaged model on stdout, where results go.
        session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"], enable_fallback=0)
    except Exception as err:
        raise _not_run(name, err) from err
    feed = session.get_inputs()[0]
    _check_images(feed.shape, images, name)
    fixed = feed.shape[0] if feed.shape and isinstance(feed.shape[0], int) else 0
    parts = []
    for start in range(0, len(images), fixed or batch):
        part = images[start : start + (fixed or batch)]
        # Where the batch is fixed, black images behind the last ones.
        fed = np.concatenate([part, np.zeros((max(fixed - len(part), 0), *part.shape[1:]), np.float32)])
        try:
            answers = session.run(None, {feed.name: fed})[0]
        except Exception as err:
            raise _not_run(name, err) from err
        if answers.shape[:1] != (len(fed),):
            msg = f"{name} answers {len(fed)} images in shape {answers.shape}, expected (N, K); export it again"
            raise ModelError(msg)
        parts.append(answers[: len(part)])
    return np.concatenate(parts) if parts else np.zeros((0, session.get_outputs()[0].shape[1]), np.float32)


def _not_run(name: str, err: Exception) -> ModelError:
    # ONNX Runtime's exceptions have no base of their own.
    return ModelError(f"ONNX Runtime cannot run {name} ({' '.join(str(err).split())}); export it again")


def _check_images(shape: Sequence[int | str | None], images: NDArray[np.float32], name: str) -> None:
    """Compare the shape a graph declares, names and None for what is dynamic, with that of the images."""
    fits = len(shape) == images.ndim and all(
        wanted == given for wanted, given in zip(shape[1:], images.shape[1:], strict=True) if isinstance(wanted, int)
    )
    if shape and not fits:
        msg = (
            f"{name} takes images of shape {list(shape[1:])}, but was given {list(images.shape[1:])}; export it "
            "again, so that its graph and its metadata agree"
        )
        raise ModelError(msg)
