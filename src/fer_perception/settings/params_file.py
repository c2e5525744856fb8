"""Loader of settings from YAML: a ROS parameter file (`/**: ros__parameters:`) or a flat mapping."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from pathlib import Path
from typing import Any

from fer_perception.errors import ConfigError
from fer_perception.settings.declaration import check_value, from_mapping
from fer_perception.settings.pipeline_settings import PipelineSettings
from fer_perception.system.files import parse_yaml

_KEY = "ros__parameters"
#: Mappings and lists in a file; this project's has a few dozen.
_MOST_COLLECTIONS = 1000


def read_pipeline_settings(path: Path, *, node_only: Collection[str] = (), **overrides: Any) -> PipelineSettings:
    """Read the pipeline's settings from a parameter file.

    Args:
        path: YAML: `/**:`, `fer:` or any other node name over `ros__parameters:`, or the settings themselves.
        node_only: names of parameters that mean something to the ROS node alone; they are skipped.
        overrides: settings that win over the file's.

    Raises:
        ConfigError: the file cannot be read or parsed, or a setting is unknown or has a bad value; the message names
            the file and what is near.
    """
    values = {name: value for name, value in read_parameters(path).items() if not _is_node_only(name, node_only)}
    try:
        for name, value in values.items():
            check_value(PipelineSettings, name, value)
    except ConfigError as err:
        msg = f"{path}: {err}"
        raise ConfigError(msg) from None
    return from_mapping(PipelineSettings, {**values, **overrides})


def read_parameters(path: Path) -> dict[str, Any]:
    """All parameters of a YAML file as one flat mapping; of several nodes' sections the later wins.

    Raises:
        ConfigError: the file cannot be read, is no YAML, or is no mapping of names to values.
    """
    if path.is_fifo():
        msg = f"{path} is a pipe, which can be read only once; write the parameters to a file"
        raise ConfigError(msg)
    try:
        tree = parse_yaml(path.read_text(encoding="utf-8"))
    except OSError as err:
        msg = f"{path} cannot be read: {err.strerror}"
        raise ConfigError(msg) from None
    except UnicodeDecodeError:
        msg = f"{path} is not UTF-8 text; expected a YAML parameter file"
        raise ConfigError(msg) from None
    except ValueError as err:
        msg = f"{path} is no valid YAML: {err}"
        raise ConfigError(msg) from None
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        msg = f"{path} holds a {type(tree).__name__}; expected a mapping of parameter names to values"
        raise ConfigError(msg)
    _check_extent(tree, path)
    sections = [tree[_KEY]] if _KEY in tree else _sections(tree)
    values: dict[str, Any] = {}
    for section in sections:
        if section is None:
            continue
        if not isinstance(section, dict):
            msg = f"{path}: {_KEY} holds a {type(section).__name__}; expected a mapping of parameter names to values"
            raise ConfigError(msg)
        values.update(_flatten(section))
    return values


def _check_extent(tree: dict[Any, Any], path: Path) -> None:
    """Refuse what a few aliases make endless: a mapping inside of itself, or twice in each of thirty others."""
    left: list[Any] = [tree]
    for _ in range(_MOST_COLLECTIONS):
        if not left:
            return
        collection = left.pop()
        inside = collection.values() if isinstance(collection, dict) else collection
        left.extend(value for value in inside if isinstance(value, (dict, list)))
    msg = f"{path} unfolds to more than {_MOST_COLLECTIONS} mappings and lists; write it without aliases (&, *)"
    raise ConfigError(msg)


def _sections(tree: dict[Any, Any]) -> list[Any]:
    """The `ros__parameters` below node names and namespaces; the tree itself where there are none."""
    found: list[Any] = []
    for value in tree.values():
        if isinstance(value, dict):
            if _KEY in value:
                found.append(value[_KEY])
            elif _holds_section(value):
                found.extend(_sections(value))
    return found or [tree]


def _holds_section(tree: dict[Any, Any]) -> bool:
    return any(isinstance(value, dict) and (_KEY in value or _holds_section(value)) for value in tree.values())


def _flatten(section: dict[Any, Any], prefix: str = "") -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in section.items():
        if isinstance(value, dict):
            values.update(_flatten(value, f"{prefix}{name}."))
        else:
            values[f"{prefix}{name}"] = value
    return values


def _is_node_only(name: str, node_only: Collection[str]) -> bool:
    pipeline = {item.name for item in dataclasses.fields(PipelineSettings)}
    return name not in pipeline and (name in node_only or name.split(".", maxsplit=1)[0] in node_only)
