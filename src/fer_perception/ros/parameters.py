"""ROS parameters from the declarations of settings classes; a bad value never raises at start."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rclpy.node import Node
from rclpy.parameter import Parameter

from fer_perception.errors import ConfigError
from fer_perception.ros.process import refuse_errors
from fer_perception.settings.declaration import RETIRED, check_value, declaration_of, default_of
from fer_perception.settings.params_file import qos_problem

S = TypeVar("S")
Check = Callable[[Any], Any]


class Parameters:
    """The parameters of one node.

    A value given at start (params file, command line) that is wrong does not stop the node: the parameter gets its
    default and the reason stays in `problems` until somebody sets the parameter to a good value. At run time a bad
    value is refused with the reason.

    Args:
        node: whose parameters they are.
        classes: settings dataclasses; every field becomes a parameter of its name.
        on_change: called with the names of those that got another value, after the values were checked and before rclpy
            stores them; the new values are in `settings(...)` already. None: the node reads them at its start only, and
            they cannot be set later.
    """

    def __init__(self, node: Node, classes: Iterable[type[Any]], on_change: Callable[[list[str]], None] | None) -> None:
        self._node = node
        self._on_change = on_change
        self._values: dict[str, Any] = {}
        self._checks: dict[str, Check] = {}
        self.problems: dict[str, str] = {}
        for cls in classes:
            for item in dataclasses.fields(cls):
                self._declare_setting(cls, item.name)
        node.add_on_set_parameters_callback(self._validate)
        # A value of a type that does not exist.
        refuse_errors(node, SetParameters, ValueError, _refuse_rest)
        refuse_errors(node, SetParametersAtomically, ValueError, _refuse_all)

    def settings(self, cls: type[S]) -> S:
        """The present values as an instance of one of the settings classes."""
        return cls(**{item.name: self._values[item.name] for item in dataclasses.fields(cls)})  # type: ignore[arg-type]

    def declare(self, name: str, default: Any, descriptor: ParameterDescriptor, check: Check) -> Any:
        """Declare one more parameter, unless it is there already.

        Args:
            name: full name.
            default: its value where nobody gave one (a ROS type).
            descriptor: description and range.
            check: returns the value to use, or raises ConfigError.

        Returns:
            The checked value; that of the default where the given one is bad (see `problems`).
        """
        if name in self._checks:
            return self._values[name]
        # rclpy raises where a value given at start has another type or is out of range. Declared with dynamic typing it
        # shows the value instead.
        loose = ParameterDescriptor(dynamic_typing=True)
        given = self._node.declare_parameter(name, default, loose).value
        self._node.undeclare_parameter(name)
        try:
            value = check(_from_ros(given, default))
        except ConfigError as err:
            self.problems[name] = f"parameter {err}"
            value = check(_from_ros(default, default))
        self._node.declare_parameter(name, _to_ros(value), descriptor, ignore_override=True)
        self._checks[name] = check
        self._values[name] = value
        return value

    def unknown(self, also: Iterable[str] = (), *, topics: bool) -> list[str]:
        """Values given at start (params file, command line) that no parameter takes, one sentence each.

        Args:
            also: names that are no parameters of this node and yet no mistake, such as those of the node beside it:
                both may read the same section of a params file.
            topics: look for `qos_overrides` of topics that the node does not have too; all of its own are declared.
        """
        # rclpy keeps them for parameters that are declared later, and says nothing of the rest.
        given: Iterable[str] = getattr(self._node, "_parameter_overrides", {})
        known = set(also)
        names = [name for name in given if not self._node.has_parameter(name) and name not in known]
        return [text for name in sorted(names) if (text := self._unknown(name, topics=topics))]

    def _unknown(self, name: str, *, topics: bool) -> str:
        if problem := qos_problem(name):
            return f"{problem}; it is ignored"
        if name.startswith("qos_overrides."):
            _, topic, kind, _ = name.split(".")
            declared = {tuple(each.split(".")[1:3]) for each in self._checks if each.startswith("qos_overrides.")}
            # The publisher of images it subscribes to may be the node beside it.
            if not topics or (kind == "publisher" and (topic, "subscription") in declared):
                return ""
            there = ", ".join(f"{topic} ({kind})" for topic, kind in sorted(declared))
            return f"{name} is of no topic of this node as it is configured and is ignored; there are: {there}"
        if name in RETIRED:
            now, meaning = RETIRED[name]
            return f"there is no parameter {name!r} any more, it is ignored; {now} replaces it ({meaning})"
        near = difflib.get_close_matches(name, self._checks, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "; `ros2 param list` shows those there are"
        return f"there is no parameter {name!r}, it is ignored{hint}"

    def _declare_setting(self, cls: type[Any], name: str) -> None:
        default = default_of(cls, name)

        def check(value: Any) -> Any:
            if isinstance(default, tuple) and isinstance(value, str):
                msg = f"{name} is {value!r}; expected a list of strings, for example [{value!r}]"
                raise ConfigError(msg)
            return check_value(cls, name, value)

        self.declare(name, _to_ros(default), descriptor(cls, name, read_only=self._on_change is None), check)

    def _validate(self, parameters: list[Parameter]) -> SetParametersResult:
        checked: dict[str, Any] = {}
        for parameter in parameters:
            check = self._checks.get(parameter.name)
            if check is None:
                continue
            try:
                checked[parameter.name] = check(_from_ros(parameter.value, _to_ros(self._values[parameter.name])))
            except ConfigError as err:
                return SetParametersResult(successful=False, reason=str(err))
        # `ros2 param load` sets every parameter of a file, most of them to what they are.
        changed = [name for name, value in checked.items() if value != self._values[name]]
        self._values.update(checked)
        for name in checked:
            self.problems.pop(name, None)
        if changed and self._on_change is not None:
            self._on_change(changed)
        return SetParametersResult(successful=True)


def descriptor(cls: type[Any], name: str, *, read_only: bool = False) -> ParameterDescriptor:
    """Description, range, choices and time of effect of one setting, as `ros2 param describe` shows them."""
    declared = declaration_of(cls, name)
    effect = "Read at the start." if read_only else f"Takes effect {declared.effect}."
    result = ParameterDescriptor(name=name, description=f"{declared.description} {effect}", read_only=read_only)
    if declared.choices:
        result.additional_constraints = f"One of: {', '.join(map(str, declared.choices))}"
        if isinstance(default_of(cls, name), int):
            numbers = sorted(int(choice) for choice in declared.choices)
            result.integer_range = [
                IntegerRange(from_value=numbers[0], to_value=numbers[-1], step=numbers[1] - numbers[0])
            ]
    if declared.minimum is not None and declared.maximum is not None:
        if isinstance(default_of(cls, name), int):
            result.integer_range = [IntegerRange(from_value=int(declared.minimum), to_value=int(declared.maximum))]
        else:
            # A parameter has one range only: what lies between 0 and the minimum is refused with a reason.
            low = 0.0 if declared.or_zero else float(declared.minimum)
            result.floating_point_range = [FloatingPointRange(from_value=low, to_value=float(declared.maximum))]
            if declared.or_zero:
                result.additional_constraints = f"0 or at least {declared.minimum:g}"
    return result


def _refuse_rest(request: Any, response: Any, err: Exception) -> Any:
    """Those before the one that raised have been set, or refused, each for itself."""
    refused = SetParametersResult(successful=False, reason=str(err))
    response.results.extend([refused] * (len(request.parameters) - len(response.results)))
    return response


def _refuse_all(_request: Any, response: Any, err: Exception) -> Any:
    response.result = SetParametersResult(successful=False, reason=str(err))
    return response


def _to_ros(value: Any) -> Any:
    """ROS has no empty string array: rclpy takes [] for bytes."""
    return (list(value) or [""]) if isinstance(value, tuple) else value


def _from_ros(value: Any, default: Any) -> Any:
    """The value of a parameter as the settings classes want it.

    [''] and an empty YAML list are no strings; a number where text is expected (`-p source:=0`) is that text,
    in lists too.
    """
    if isinstance(default, str) and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(default, list):
        if value is None or (not isinstance(value, str) and list(value) in ([], [""])):
            return ()
        return value if isinstance(value, str) else tuple(str(v) if type(v) is int else v for v in value)
    return value
