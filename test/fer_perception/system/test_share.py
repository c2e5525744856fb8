"""Where the shared files are found: source tree, installation, AMENT_PREFIX_PATH."""

from __future__ import annotations

from pathlib import Path

import pytest

from fer_perception.errors import ModelError
from fer_perception.system import paths as share


def make_share(prefix: Path) -> Path:
    directory = prefix / "share" / "fer_perception"
    (directory / "models").mkdir(parents=True)
    (directory / "config").mkdir()
    return directory


def make_module(directory: Path) -> Path:
    file = directory / "system" / "paths.py"
    file.parent.mkdir(parents=True)
    file.touch()
    return file


def test_source_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(share, "__file__", str(make_module(tmp_path / "src" / "fer_perception")))
    monkeypatch.delenv("AMENT_PREFIX_PATH", raising=False)
    (tmp_path / "models").mkdir()
    (tmp_path / "config").mkdir()
    assert share.share_directory() == tmp_path


@pytest.mark.parametrize("packages", ["lib/python3.12/site-packages", "local/lib/python3.10/dist-packages"])
def test_installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packages: str) -> None:
    module = make_module(tmp_path / "install" / packages / "fer_perception")
    expected = make_share(tmp_path / "install")
    monkeypatch.setattr(share, "__file__", str(module))
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path / "another"))
    make_share(tmp_path / "another")
    assert share.share_directory() == expected


def test_symlink_installation_takes_the_installed_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make_module(tmp_path / "tree" / "src" / "fer_perception")
    (tmp_path / "tree" / "models").mkdir()
    (tmp_path / "tree" / "config").mkdir()
    expected = make_share(tmp_path / "install")
    link = tmp_path / "install" / "lib" / "fer_perception" / "share.py"
    link.parent.mkdir(parents=True)
    link.symlink_to(source)
    monkeypatch.setattr(share, "__file__", str(link))
    assert share.share_directory() == expected


def test_ament_prefix_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(share, "__file__", str(make_module(tmp_path / "venv" / "x" / "fer_perception")))
    expected = make_share(tmp_path / "second")
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{tmp_path / 'first'}:{tmp_path / 'second'}")
    assert share.share_directory() == expected


def test_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(share, "__file__", str(make_module(tmp_path / "venv" / "x" / "fer_perception")))
    monkeypatch.setenv("AMENT_PREFIX_PATH", "")
    with pytest.raises(ModelError, match=r"models/.*colcon"):
        share.share_directory()
