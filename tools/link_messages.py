"""Let this environment find the built fer_msgs without sourcing anything.

`colcon build` puts the messages into `install/`; `install/setup.bash` would make them visible by PYTHONPATH and
LD_LIBRARY_PATH. Two kinds of links do the same for everything that runs in the environment, test runners and editors
included: the Python package in site-packages, and the libraries in `<environment>/lib`, where the ROS wheels look for
type support. The package fer_perception is not linked: pip has installed it from the source tree.
"""

from __future__ import annotations

import argparse
import sys
import sysconfig
from pathlib import Path


def link(target: Path, directory: Path) -> None:
    """Make `directory/<name of target>` a link to `target`, in place of an older link."""
    place = directory / target.name
    if place.is_symlink():
        place.unlink()
    place.symlink_to(target)


def link_messages(prefix: Path) -> None:
    """Link the messages below `prefix` (where colcon installed the package) into this environment.

    Raises:
        SystemExit: there are no built messages.
    """
    libraries = sorted((prefix / "lib").glob("libfer_msgs__*.so"))
    packages = sorted((prefix / "lib").glob("python3*/**/fer_msgs/__init__.py"))
    if not libraries or not packages:
        sys.exit(f"no built fer_msgs in {prefix}: run `make build`")
    for library in libraries:
        link(library, Path(sys.prefix) / "lib")
    link(packages[0].parent, Path(sysconfig.get_path("purelib")))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make the built fer_msgs visible in this environment.")
    parser.add_argument("prefix", type=Path, help="where colcon installed it, e.g. install/fer_perception")
    link_messages(parser.parse_args().prefix.resolve())
