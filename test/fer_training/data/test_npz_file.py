"""Archives from anybody: damaged, encrypted, pickled, or far larger unpacked than packed."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fer_training.data import npz_file
from fer_training.data.npz_file import read_arrays


def npy(array: np.ndarray) -> bytes:
    data = io.BytesIO()
    np.save(data, array)
    return data.getvalue()


def archive(path: Path, method: int = zipfile.ZIP_STORED, /, **entries: bytes) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, data in entries.items():
            file.writestr(name.replace("_dot_", "."), data)
    return path


def header(shape: str) -> bytes:
    """An npy file whose header says so much and whose data is a few zeros."""
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(50)


def test_arrays_are_read_and_other_files_passed_over(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.npz", images_dot_npy=npy(np.arange(3)), README_dot_txt=b"hello")
    assert [(name, value.tolist()) for name, value in read_arrays(path).items()] == [("images", [0, 1, 2])]


@pytest.mark.parametrize(
    "data",
    [b"no array", header("(99999999999999999999999, 4)"), header("((((("), header("(True, 4)"), header("(100000, 4)")],
)
def test_entries_that_are_no_arrays(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_arrays(archive(tmp_path / "a.npz", images_dot_npy=data))


def _with(data: bytes, place: int, value: int) -> bytes:
    """Change a byte of the first entry in the archive's directory."""
    position = data.find(b"PK\x01\x02") + place
    return data[:position] + bytes([value]) + data[position + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: _with(data, 8, 1),  # encrypted
        lambda data: _with(data, 10, 99),  # a compression nobody knows
        lambda data: _with(data, 6, 200),  # a later version of the format
        lambda data: data[:50] + b"\xff" * 30 + data[80:],
        lambda data: data[:-30],
        lambda _: npy(np.arange(3)),
    ],
)
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_damage_of_every_kind_is_one_error(tmp_path: Path, damage: Callable[[bytes], bytes], method: int) -> None:
    path = archive(tmp_path / "a.npz", method, images_dot_npy=npy(np.random.default_rng(0).integers(0, 256, 500)))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=r".+"):
        read_arrays(path)


def test_a_small_file_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive(tmp_path / "a.npz", zipfile.ZIP_DEFLATED, images_dot_npy=npy(np.zeros(1_000_000, np.uint8)))
    assert len(read_arrays(path)["images"]) == 1_000_000
    monkeypatch.setattr(npz_file, "SMALL", 500_000)
    with pytest.raises(ValueError, match="would unpack to"):
        read_arrays(path)
    # Images, which hardly get smaller, may be as many as there are.
    path = archive(
        tmp_path / "a.npz", zipfile.ZIP_DEFLATED, images_dot_npy=npy(np.random.default_rng(0).random(99_999))
    )
    assert len(read_arrays(path)["images"]) == 99_999
