"""Safe reader of untrusted npz and npy files: no pickle, bounded memory, one error."""

from __future__ import annotations

import io
import lzma
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Bytes that any file may unpack to.
SMALL = 2**30
#: How many times its own size a file may unpack to beyond that. Images pack to a half; zeros to a thousandth.
LARGEST_RATIO = 50

_LARGEST_SMALL_ARRAY = 2**16

#: What NumPy and zipfile raise at damaged, encrypted or other archives and array headers.
_DAMAGE = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    MemoryError,
    ArithmeticError,
    RuntimeError,
    SyntaxError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read all arrays.

    Folders and other files in the archive ("README.txt") are passed over.

    Args:
        path: an npz file.

    Returns:
        Name -> array.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: damaged, no npz file, pickled objects, or far larger unpacked than packed; the words say which.
    """
    try:
        _check_size(path)
        with np.load(path, allow_pickle=False) as file:
            values = {name: file[name] for name in file.files if not name.endswith("/")}
    except FileNotFoundError:
        raise
    except _DAMAGE as err:
        raise ValueError(" ".join(str(err).split()) or type(err).__name__) from err
    other = [name for name, value in values.items() if not isinstance(value, np.ndarray) and "." not in name]
    if other:
        msg = f"the entry {other[0]!r} is no array"
        raise ValueError(msg)
    return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}


def read_small_array(path: Path) -> NDArray[Any]:
    """Read the one array of an npy file of at most 64 KiB.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: damaged, larger, no npy file or pickled objects; the words say which.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(_LARGEST_SMALL_ARRAY + 1)
        if len(raw) > _LARGEST_SMALL_ARRAY or not raw.startswith(np.lib.format.MAGIC_PREFIX):
            msg = f"it is no npy file, or larger than {_LARGEST_SMALL_ARRAY} bytes"
            raise ValueError(msg)
        return np.asarray(np.load(io.BytesIO(raw), allow_pickle=False))
    except FileNotFoundError:
        raise
    except _DAMAGE as err:
        raise ValueError(" ".join(str(err).split()) or type(err).__name__) from err


def _check_size(path: Path) -> None:
    """Refuse what is no archive (NumPy would advise to unpickle it), and what would fill the memory."""
    with path.open("rb") as file:
        if not zipfile.is_zipfile(file):
            msg = "it is no zip archive, or not a whole one"
            raise ValueError(msg)
    with zipfile.ZipFile(path) as archive:
        # Not more than these sizes is unpacked, whatever the entries hold.
        unpacked = sum(entry.file_size for entry in archive.infolist())
    packed = path.stat().st_size
    if unpacked > max(SMALL, LARGEST_RATIO * packed):
        msg = (
            f"its {packed / 1e6:.0f} MB would unpack to {unpacked / 1e9:.1f} GB, which no set of images does; if it "
            "is one, write it with numpy.savez"
        )
        raise ValueError(msg)
