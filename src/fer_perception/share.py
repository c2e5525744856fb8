"""Where the files that belong to the package lie: models/, config/ and launch/."""

from __future__ import annotations

import os
from pathlib import Path

from fer_perception.errors import ModelError
from fer_perception.user_paths import is_directory

_PACKAGE = "fer_perception"


def share_directory() -> Path:
    """The directory that holds models/ and config/.

    Looked for beside the imported package (an ament or colcon installation: `<prefix>/share/fer_perception`), then in
    the source tree the package is run from, then under every prefix of AMENT_PREFIX_PATH.

    Returns:
        An existing directory.

    Raises:
        ModelError: there is none, as after a plain `pip install` without the repository.
    """
    here = Path(__file__)
    candidates = [parent / "share" / _PACKAGE for parent in here.parents]
    # src/fer_perception/share.py: the source tree starts two levels above the package.
    candidates.append(here.resolve().parents[2])
    prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    candidates.extend(Path(prefix) / "share" / _PACKAGE for prefix in prefixes if prefix)
    for candidate in candidates:
        if is_directory(candidate / "models") and is_directory(candidate / "config"):
            return candidate
    msg = (
        f"the shared files of {_PACKAGE} (models/, config/) were not found beside {here.parent} nor under "
        "AMENT_PREFIX_PATH; build the package with colcon and source its setup file, or install it from its source "
        "tree with `pip install -e .`"
    )
    raise ModelError(msg)
