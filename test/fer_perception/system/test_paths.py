"""Users without a home, and folders they may not look into: what lies elsewhere is found all the same."""

from __future__ import annotations

import pwd
from pathlib import Path
from typing import Any

import pytest

from fer_perception.inference.tensorrt.engine_cache import default_cache_directory
from fer_perception.model_files.onnx_file import read_model_file
from fer_perception.model_files.store import ModelStore
from fer_perception.system import paths as share
from fer_perception.system.paths import expanded, is_directory, is_file, user_cache


@pytest.fixture
def no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a user that only a number names, started with an empty environment."""

    def nobody(number: int) -> Any:
        raise KeyError(number)

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)


@pytest.fixture
def unreachable(tmp_path: Path) -> Path:
    """A folder whose name is too long for any file system: asking for it fails like a folder that is closed to us.

    The latter cannot be tested as root, who may look everywhere.
    """
    return tmp_path / ("x" * 300)


def test_the_cache_of_the_specification(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/robot")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert user_cache() == Path("/home/robot/.cache")
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache/robot")
    assert user_cache() == Path("/var/cache/robot")
    assert expanded("~/models") == Path("/home/robot/models")


@pytest.mark.usefixtures("no_home")
class TestWithoutAHome:
    def test_the_caches_lie_where_containers_have_them(self) -> None:
        assert ModelStore().cache_directory == Path("/.cache/fer_perception/models")
        assert default_cache_directory() == Path("/.cache/fer_perception/engines")

    def test_the_models_are_found(self) -> None:
        assert ModelStore().find("arch1_fer2013").is_file()
        assert read_model_file(ModelStore().find("arch1_fer2013")).sha256

    def test_a_name_with_a_home_is_taken_as_it_is(self) -> None:
        with pytest.raises(Exception, match=r"there is no model file ~/mine\.onnx"):
            ModelStore().find("~/mine.onnx")


def test_what_cannot_be_reached_is_not_there(unreachable: Path) -> None:
    with pytest.raises(OSError, match="too long"):
        unreachable.is_file()
    assert not is_file(unreachable)
    assert not is_directory(unreachable)


class TestUnreachableFolders:
    def test_models_elsewhere_are_found(self, unreachable: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FER_MODEL_DIR", str(unreachable))
        store = ModelStore(cache_directory=unreachable)
        assert store.find("arch1_fer2013").is_file()
        assert {status.entry.name for status in store.verify()} >= {"arch1_fer2013", "yunet"}
        with pytest.raises(Exception, match="one of: arch1, arch1_fer2013,"):
            store.find("third")

    def test_fetching_says_what_is_wrong(self, unreachable: Path, tmp_path: Path) -> None:
        with pytest.raises(Exception, match=r"the model cache .* cannot be written .*; set XDG_CACHE_HOME"):
            ModelStore(cache_directory=unreachable, model_directory=tmp_path).fetch("yunet", source=tmp_path)
        with pytest.raises(Exception, match=r"there is no folder .* to take model files from"):
            ModelStore(cache_directory=tmp_path).fetch("yunet", source=unreachable)

    def test_prefixes_are_passed_over(self, unreachable: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(share, "__file__", str(tmp_path / "a" / "b" / "c" / "share.py"))
        found = tmp_path / "prefix" / "share" / "fer_perception"
        for name in ("models", "config"):
            (found / name).mkdir(parents=True)
        monkeypatch.setenv("AMENT_PREFIX_PATH", f"{unreachable}:{tmp_path / 'prefix'}")
        assert share.share_directory() == found
