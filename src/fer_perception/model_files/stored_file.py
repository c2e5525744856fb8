"""Reading a model file once, and comparing its hash with the one recorded for it: what was checked is what runs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from fer_perception.errors import ModelError

#: Hashes of a directory's files, as `sha256sum *.onnx` writes them.
SUMS = "SHA256SUMS"

#: A protocol buffer message ends at 2 GiB; nothing this project runs comes near.
MAX_BYTES = 2**31 - 1


@dataclass(frozen=True)
class StoredFile:
    """A model file that was read.

    Attributes:
        path: where.
        data: its bytes.
    """

    path: Path
    data: bytes


def read_stored_file(path: Path, *, sha256: str = "", fix: str = "") -> StoredFile:
    """Read a model file and compare its hash with the recorded one.

    Args:
        path: the file.
        sha256: the recorded hash, hexadecimal; "" = that of `SUMS` beside the file, where it names the file.
        fix: what to run where the file is damaged.

    Raises:
        ModelError: missing, unreadable, larger than an ONNX file can be, or its hash is not the recorded one.
    """
    try:
        if not path.is_file():
            what = "is not a file" if path.exists() else "does not exist"
            msg = f"{path} {what}; expected an ONNX model"
            raise ModelError(msg)
        size = path.stat().st_size
        if size > MAX_BYTES:
            msg = f"{path} has {size} bytes, more than an ONNX file can have ({MAX_BYTES}); take another file"
            raise ModelError(msg)
        data = path.read_bytes()
    except OSError as err:
        msg = f"{path} cannot be read ({err.strerror}); {fix or 'check its name and permissions'}"
        raise ModelError(msg) from err
    fault = hash_fault(path, hashlib.sha256(data).hexdigest(), sha256=sha256, fix=fix)
    if fault:
        raise ModelError(fault)
    return StoredFile(path, data)


def hash_fault(path: Path, found: str, *, sha256: str = "", fix: str = "") -> str:
    """Fault of a file's hash, and its fix; "" where it is the recorded one or none is recorded.

    Args:
        path: the file.
        found: its hash, hexadecimal.
        sha256: the recorded one; "" = that of `SUMS` beside the file, where it names the file.
        fix: what to run where `sha256` is given and differs.
    """
    if sha256:
        if found == sha256:
            return ""
        return f"{path} has SHA-256 {found}, expected {sha256}; remove this damaged file and {fix or 'get it again'}"
    recorded = recorded_sum(path)
    if recorded in ("", found):
        return ""
    return (
        f"{path} has SHA-256 {found}, {SUMS} beside it says {recorded}: it is damaged, so build or install the "
        f"package again, or it was replaced, so run `sha256sum *.onnx > {SUMS}` there"
    )


def recorded_sum(path: Path) -> str:
    """Hash of a file as recorded by `SUMS` in its directory; "" where there is none."""
    try:
        lines = path.with_name(SUMS).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return ""
    sums = {name.strip().removeprefix("*"): digest for digest, _, name in (line.partition(" ") for line in lines)}
    return sums.get(path.name, "").lower()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal; raises OSError where it cannot be read."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
