"""The path fixes of the ROS wheels, for every Python they exist for."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

import pytest

TEMPLATE = """
set_target_properties(std_msgs::std_msgs__rosidl_generator_py PROPERTIES
  INTERFACE_INCLUDE_DIRECTORIES "/opt/python/cp{v}-cp{v}/include/python3.{m};\
/opt/python/cp{v}-cp{v}/lib/python3.{m}/site-packages/numpy/{core}/include"
  INTERFACE_LINK_LIBRARIES "/opt/python/cp{v}-cp{v}/lib/libother.so")
"""
FIXED = """
set_target_properties(std_msgs::std_msgs__rosidl_generator_py PROPERTIES
  INTERFACE_INCLUDE_DIRECTORIES "/usr/include/python;/env\\1/numpy/include"
  INTERFACE_LINK_LIBRARIES "/opt/python/cp{v}-cp{v}/lib/libother.so")
"""


@pytest.fixture
def tool(repository: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(repository / "tools"))
    return pytest.importorskip("fix_ros_wheels")


@pytest.mark.parametrize("core", ["_core", "core"])
@pytest.mark.parametrize("minor", [10, 11, 12, 13])
def test_both_paths_are_rewritten_once(tmp_path: Path, tool, minor: int, core: str) -> None:
    path = tmp_path / "std_msgs" / "cmake" / "export_std_msgs__rosidl_generator_pyExport.cmake"
    path.parent.mkdir(parents=True)
    path.write_text(TEMPLATE.format(v=f"3{minor}", m=minor, core=core))
    other = tmp_path / "std_msgs" / "cmake" / "version.cmake"
    other.write_text("set(VERSION 1)\n")
    # A backslash in a path is no reference to a group.
    include = Path("/env\\1/numpy/include")
    assert tool.fix(tmp_path, Path("/usr/include/python"), include) == 1
    assert path.read_text() == FIXED.format(v=f"3{minor}")
    assert other.read_text() == "set(VERSION 1)\n"
    assert tool.fix(tmp_path, Path("/usr/include/python"), include) == 0


def test_python_include_has_the_headers(tool) -> None:
    assert (tool.python_include() / "Python.h").is_file()


def test_missing_headers_are_named_with_their_package(tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path))
    monkeypatch.setattr(sysconfig, "get_config_var", lambda _: None)
    with pytest.raises(SystemExit, match=rf"python3\.{sys.version_info.minor}-dev"):
        tool.python_include()


@pytest.mark.ros
def test_this_environment_is_fixed() -> None:
    share = Path(sys.prefix) / "share"
    left = [path for path in share.rglob("*.cmake") if "/opt/python/cp3" in path.read_text(encoding="utf-8")]
    assert left == []
