"""Make the ROS wheels of this environment usable for building messages.

Their CMake files name the include directories of the machine that built them (`/opt/python/cp3XX-cp3XX/...`). This
rewrites those to the interpreter and the NumPy that run this script. Running it again changes nothing.
"""

from __future__ import annotations

import re
import sys
import sysconfig
from pathlib import Path

import numpy

BUILDER = r"/opt/python/cp3\d+-cp3\d+t?"
PYTHON_INCLUDE = re.compile(BUILDER + r"/include/python3\.\d+t?")
NUMPY_INCLUDE = re.compile(BUILDER + r"/lib/python3\.\d+t?/site-packages/numpy/_?core/include")


def python_include() -> Path:
    """Directory of Python.h.

    Raises:
        SystemExit: the headers are not installed.
    """
    candidates = [
        sysconfig.get_path("include"),
        sysconfig.get_path("platinclude"),
        sysconfig.get_config_var("INCLUDEPY"),
    ]
    for candidate in candidates:
        if candidate and (Path(candidate) / "Python.h").is_file():
            return Path(candidate)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    sys.exit(f"Python.h not found in {candidates}: install the headers (Debian: python{version}-dev)")


def fix(share: Path, python: Path, numpy_directory: Path) -> int:
    """Rewrite the paths in every CMake file below `share`; how many files changed."""
    changed = 0
    for path in share.rglob("*.cmake"):
        text = path.read_text(encoding="utf-8")
        # The replacement is a function: a path must not be read as a template.
        fixed = NUMPY_INCLUDE.sub(lambda _: numpy_directory.as_posix(), text)
        fixed = PYTHON_INCLUDE.sub(lambda _: python.as_posix(), fixed)
        if fixed != text:
            path.write_text(fixed, encoding="utf-8")
            changed += 1
    return changed


if __name__ == "__main__":
    count = fix(Path(sys.prefix) / "share", python_include(), Path(numpy.get_include()))
    print(f"{count} CMake files rewritten")
