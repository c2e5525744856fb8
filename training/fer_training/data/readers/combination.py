"""A YAML file that lists data sets to be read as one.

- fer2013.csv
- {path: CK+48, use_as: train}
- {path: mine/manifest.csv, rename: {smile: happy, blink: null}, use_as: train}
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fer_perception.system.files import parse_yaml
from fer_perception.system.text import shown
from fer_training.data.samples import DatasetError


def read_combination(path: Path) -> list[dict[str, Any]]:
    """Read the list.

    Returns:
        What `load_dataset` takes for each data set: "path" (relative ones belong to the file's folder) and options.

    Raises:
        DatasetError: unreadable, no list, or an entry without a path.
    """
    try:
        entries = parse_yaml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        msg = f"cannot read the list of data sets {path}: {err}"
        raise DatasetError(msg) from err
    if not isinstance(entries, list) or not entries:
        msg = f"{path} holds no list; expected one data set a line: a path, or a mapping with path and options"
        raise DatasetError(msg)
    result = []
    for entry in entries:
        spec: dict[str, Any] = dict(entry) if isinstance(entry, Mapping) else {"path": entry}
        if not isinstance(spec.get("path"), str):
            msg = f"{path} has the entry {shown(repr(entry), 200)}; expected a path, or a mapping with path and options"
            raise DatasetError(msg)
        for key in ("path", "votes"):
            if isinstance(spec.get(key), str):
                spec[key] = path.parent / spec[key]
        result.append(spec)
    return result
