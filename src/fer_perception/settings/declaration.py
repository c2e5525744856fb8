"""Declaration of a setting: default, range, description and live or not, in one place.

The ROS parameters, `config/fer.yaml`, `fer run --params` and the tables in the documentation are all made from these
declarations.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from fer_perception.errors import ConfigError

#: Settings of earlier versions: the one that replaces each, and what that one means.
RETIRED = {"detect_every": ("detection_search_interval", "s between two searches of the whole image, 0 = every image")}

T = TypeVar("T")

S = TypeVar("S")

#: Degrees clockwise that images can be turned by.
ROTATIONS = (0, 90, 180, 270)


@dataclass(frozen=True)
class Declaration:
    """Declaration of one setting, for people and parsers.

    Attributes:
        description: one or two sentences, with the unit.
        minimum: smallest allowed number; None where it is no number.
        maximum: largest allowed number.
        or_zero: 0, below the minimum, is allowed as well (it turns something off).
        choices: the only allowed values; empty = any.
        live: takes effect at once.
        at_start: read when the node starts, never again. Neither: at the next configure.
    """

    description: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] | tuple[int, ...] = ()
    live: bool = False
    at_start: bool = False
    or_zero: bool = False

    @property
    def range(self) -> str:
        """The allowed numbers in words, e.g. "0 or 0.05 to 0.95"; "" where it is no number."""
        if self.minimum is None or self.maximum is None:
            return ""
        return f"{'0 or ' if self.or_zero else ''}{self.minimum:g} to {self.maximum:g}"

    @property
    def effect(self) -> str:
        """Moment at which a change takes effect, in words."""
        return "at once" if self.live else "at the next start" if self.at_start else "at the next configure"


def setting(
    default: T,
    description: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] | tuple[int, ...] = (),
    live: bool = False,
    at_start: bool = False,
    or_zero: bool = False,
) -> T:
    """Declare one field of a settings dataclass together with its `Declaration`."""
    metadata = {"declaration": Declaration(description, minimum, maximum, choices, live, at_start, or_zero)}
    if isinstance(default, tuple):
        return cast(T, field(default_factory=lambda: default, metadata=metadata))
    return field(default=default, metadata=metadata)


def declaration_of(cls: type[Any], name: str) -> Declaration:
    """The declaration of field `name` of settings class `cls`."""
    for item in dataclasses.fields(cls):
        if item.name == name:
            return cast(Declaration, item.metadata["declaration"])
    raise KeyError(name)


def default_of(cls: type[Any], name: str) -> Any:
    """The default value of field `name` of settings class `cls`."""
    return getattr(cls(), name)


def check_value(cls: type[Any], name: str, value: Any) -> Any:
    """Check one value against its declaration.

    Args:
        cls: settings dataclass.
        name: name of the setting.
        value: what the user gave.

    Returns:
        The value in the type of the default (an int is taken for a float, a list for a tuple).

    Raises:
        ConfigError: unknown name, wrong type, out of range or not among the choices.
    """
    names = [item.name for item in dataclasses.fields(cls)]
    if name in RETIRED and name not in names:
        now, meaning = RETIRED[name]
        msg = f"{name} is no longer a setting; {now} replaces it ({meaning})"
        raise ConfigError(msg)
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; there are: {', '.join(names)}"
        msg = f"there is no setting {name!r}{hint}"
        raise ConfigError(msg)
    declared = declaration_of(cls, name)
    default = default_of(cls, name)
    if isinstance(default, bool):
        ok = isinstance(value, bool)
    elif isinstance(default, int):
        ok = isinstance(value, int) and not isinstance(value, bool)
    elif isinstance(default, float):
        ok = isinstance(value, (int, float)) and not isinstance(value, bool)
        value = float(value) if ok else value
    elif isinstance(default, tuple):
        ok = isinstance(value, (list, tuple)) and all(isinstance(v, str) for v in value)
        value = tuple(value) if ok else value
    else:
        ok = isinstance(value, str)
    if not ok:
        msg = (
            f"{name} is {value!r} ({type(value).__name__}); expected {type(default).__name__}, for example {default!r}"
        )
        raise ConfigError(msg)
    if declared.choices and value not in declared.choices:
        msg = f"{name} is {value!r}; expected one of: {', '.join(map(str, declared.choices))}"
        raise ConfigError(msg)
    low, high = declared.minimum, declared.maximum
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        below = low is not None and value < low and not (declared.or_zero and value == 0)
        above = high is not None and value > high
        if below or above or not math.isfinite(value):
            zero = "0 or " if declared.or_zero else ""
            msg = f"{name} is {value}; expected {zero}a number from {low} to {high}"
            raise ConfigError(msg)
    return value


def from_mapping(cls: type[S], values: Mapping[str, Any]) -> S:
    """Make settings from a mapping (a YAML file, parameters), defaults for what is not named.

    Raises:
        ConfigError: see `check_value`.
    """
    return cls(**{name: check_value(cls, name, value) for name, value in values.items()})
