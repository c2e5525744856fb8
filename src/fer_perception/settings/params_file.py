"""Loader of settings from YAML: a ROS parameter file (`/**: ros__parameters:`) or a flat mapping."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_perception.errors import ConfigError
from fer_perception.settings.declaration import check_value, from_mapping
from fer_perception.settings.node_settings import NODE_ONLY, ImageSourceSettings, NodeSettings
from fer_perception.settings.pipeline_settings import PipelineSettings
from fer_perception.system.files import parse_yaml

#: The node whose parameters this package reads.
NODE = "fer"

_KEY = "ros__parameters"

_WILDCARDS = ("*", "**")
_EVERY_NODE = ("/**", "/*")

_QOS = "qos_overrides"
_QOS_KINDS = ("publisher", "subscription")
_QOS_POLICIES = ("reliability", "durability", "history", "depth")

_PIPELINE = frozenset(item.name for item in dataclasses.fields(PipelineSettings))
_IMAGE_SOURCE = frozenset(item.name for item in dataclasses.fields(ImageSourceSettings))
_OURS = _PIPELINE | frozenset(item.name for item in dataclasses.fields(NodeSettings))


@dataclass(frozen=True)
class Section:
    """The parameters of one `ros__parameters:` of a file, or of a file that is a flat mapping.

    Attributes:
        node: the names above it, for example "/robot/fer" or "/**"; "" for a flat mapping.
        values: by full name, e.g. "qos_overrides./emotions.publisher.depth".
    """

    node: str
    values: Mapping[str, Any]

    @property
    def for_several_nodes(self) -> bool:
        """True where nodes of any name read it."""
        return self.node.rpartition("/")[2] in _WILDCARDS

    def is_for(self, node: str) -> bool:
        """True where a node reads it.

        Args:
            node: its name, in whichever namespace; or, beginning with a "/", its full name.
        """
        if not node.startswith("/"):
            return self.for_several_nodes or self.node.rpartition("/")[2] in ("", node)
        parts = [{"*": "[^/]+", "**": ".*"}.get(part, re.escape(part)) for part in self.node.strip("/").split("/")]
        # "/**/fer" is "/fer" too.
        return re.fullmatch("/" + "/".join(parts).replace(".*/", "(.*/)?"), node) is not None


def read_pipeline_settings(path: Path, **overrides: Any) -> PipelineSettings:
    """Read the pipeline's settings from a parameter file.

    The sections for every node (`/**`) and those whose last name is `fer` count, the later ones over the earlier ones;
    sections for other nodes are passed over (see `passed_over`).

    Args:
        path: YAML: sections over `ros__parameters`, or the settings themselves. A relative path of a `model` is looked
            for beside the file first.
        overrides: settings that win over the file's.

    Raises:
        ConfigError: the file cannot be read or parsed, a setting is unknown or has a bad value, or two sections for
            `fer` in different namespaces differ; the message names the file and what is near.
    """
    values: dict[str, Any] = {}
    try:
        for section in _sections_for(NODE, read_sections(path)):
            for name, value in section.values.items():
                if name in _PIPELINE or not _is_for_a_node_only(name, section):
                    check_value(PipelineSettings, name, value)
                    values[name] = value
    except ConfigError as err:
        raise _about(path, err) from None
    beside = path.parent / values.get("model", "")
    if values.get("model", "").endswith(".onnx") and beside.is_file():
        values["model"] = str(beside)
    return from_mapping(PipelineSettings, {**values, **overrides})


def read_node_settings(path: Path) -> NodeSettings:
    """Read from a parameter file what only the ROS node `fer` uses; `['']` are no strings.

    Raises:
        ConfigError: the file cannot be read or parsed, or a setting has a bad value.
    """
    names = {item.name for item in dataclasses.fields(NodeSettings)}
    values = {name: value for name, value in read_parameters(path).items() if name in names}
    try:
        return from_mapping(NodeSettings, {name: [] if value == [""] else value for name, value in values.items()})
    except ConfigError as err:
        raise _about(path, err) from None


def read_parameters(path: Path, node: str = NODE) -> dict[str, Any]:
    """The parameters that a file gives a node, as one flat mapping; the later section wins.

    Args:
        path: YAML.
        node: its name.

    Raises:
        ConfigError: the file cannot be read, is no YAML, is no mapping of names to values, or two sections for this
            node in different namespaces differ.
    """
    sections = read_sections(path)
    try:
        return {name: value for section in _sections_for(node, sections) for name, value in section.values.items()}
    except ConfigError as err:
        raise _about(path, err) from None


def passed_over(path: Path, node: str = NODE) -> list[str]:
    """Entries of a file that a node does not take although the user may mean them, one sentence each.

    Args:
        path: YAML.
        node: its name, or, beginning with a "/", its full name.

    Raises:
        ConfigError: see `read_sections`.
    """
    sections = read_sections(path)
    others = [section for section in sections if not section.is_for(node)]
    told = []
    if sections and len(others) == len(sections):
        names = ", ".join(section.node for section in others)
        told.append(f"{path} has no section for {node}, so nothing is taken from it (there are: {names})")
    for section in others:
        ours = sorted(name for name in section.values if name in _OURS)
        if ours:
            told.append(
                f"{path}: the section {section.node} is not for {node}: {', '.join(ours)} there changes nothing"
            )
    return told


def read_sections(path: Path) -> list[Section]:
    """The sections of a parameter file in the order of the file; a flat mapping is one section.

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
        return []
    if not isinstance(tree, dict):
        msg = f"{path} holds a {type(tree).__name__}; expected a mapping of parameter names to values"
        raise ConfigError(msg)
    if _KEY not in tree and not _holds_section(tree):
        return [Section("", _flatten(tree))]
    try:
        return [Section(node, _flatten(values)) for node, values in _below(tree, "")]
    except ConfigError as err:
        raise _about(path, err) from None


def qos_problem(name: str) -> str:
    """The fault of a parameter's name below `qos_overrides`, and what was expected; "" for a good or another name."""
    first, *parts = name.split(".")
    if first != _QOS:
        return ""
    if len(parts) == 3 and parts[0].startswith("/") and parts[1] in _QOS_KINDS and parts[2] in _QOS_POLICIES:
        return ""
    expected = f"{_QOS}./TOPIC.{{{','.join(_QOS_KINDS)}}}.{{{','.join(_QOS_POLICIES)}}}"
    return f"there is no parameter {name!r}; expected {expected}"


def _sections_for(node: str, sections: list[Section]) -> list[Section]:
    """Those that a node of this name reads.

    Raises:
        ConfigError: two for nodes of this name in different namespaces differ.
    """
    found = [section for section in sections if section.is_for(node)]
    own = [section for section in found if section.node not in _EVERY_NODE]
    for other in own[1:]:
        if other.values != own[0].values:
            msg = (
                f"the sections {own[0].node} and {other.node} are both for {node} and differ, and which one is meant "
                "cannot be told here; leave one"
            )
            raise ConfigError(msg)
    return found


def _about(path: Path, err: ConfigError) -> ConfigError:
    return ConfigError(f"{path}: {err}")


def _below(tree: dict[Any, Any], names: str) -> Iterator[tuple[str, Any]]:
    """Each `ros__parameters` below node names and namespaces, with those names.

    Raises:
        ConfigError: one holds something else than parameters, or a value lies beside them, where nobody reads it.
    """
    for name, value in tree.items():
        if name == _KEY:
            if not isinstance(value, (dict, type(None))):
                msg = f"{_KEY} holds a {type(value).__name__}; expected a mapping of parameter names to values"
                raise ConfigError(msg)
            yield names or _EVERY_NODE[0], value or {}
        elif isinstance(value, dict):
            yield from _below(value, f"{names}/{str(name).strip('/')}")
        elif value is not None:
            msg = f"{name!r} lies outside of any {_KEY}; move it below the {_KEY} of a node"
            raise ConfigError(msg)


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


def _is_for_a_node_only(name: str, section: Section) -> bool:
    """True for a parameter of a node of this package that means nothing to the pipeline.

    Raises:
        ConfigError: it is under `qos_overrides` and nobody knows it there.
    """
    problem = qos_problem(name)
    if problem:
        raise ConfigError(problem)
    # What every node reads may be meant for the node beside ours.
    beside = section.for_several_nodes and name in _IMAGE_SOURCE
    return beside or name in NODE_ONLY or name.startswith(f"{_QOS}.")
