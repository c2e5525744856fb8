"""What can be said of the launch files where launch is not installed: they are read, not run."""

from __future__ import annotations

import ast
import dataclasses
from pathlib import Path

import pytest

from fer_perception.settings.declaration import declaration_of
from fer_perception.settings.node_settings import ImageSourceSettings, NodeSettings
from fer_perception.settings.pipeline_settings import PipelineSettings

FILES = ("fer.launch.py", "multi_camera.launch.py", "replay.launch.py")
ROS_PARAMETERS = {"use_sim_time"}


def names_of(*settings: type) -> set[str]:
    return {field.name for cls in settings for field in dataclasses.fields(cls)}


def parse(repository: Path, name: str) -> ast.Module:
    return ast.parse((repository / "launch" / name).read_text())


def declared_arguments(tree: ast.Module) -> dict[str, dict[str, object]]:
    """Name of every launch argument -> its options, as far as they are literals."""
    found = {}
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "DeclareLaunchArgument":
            options = {}
            for keyword in call.keywords:
                literal = not isinstance(keyword.value, ast.Name)
                options[keyword.arg] = ast.literal_eval(keyword.value) if literal else keyword.value.id
            found[ast.literal_eval(call.args[0])] = options
    return found


def assigned(tree: ast.Module, name: str) -> ast.expr:
    """The value that `name` gets, wherever that is."""
    for node in ast.walk(tree):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and any(getattr(t, "id", None) == name for t in targets):
            assert node.value is not None
            return node.value
    pytest.fail(f"{name} is not assigned")


def keys_set(tree: ast.Module, name: str) -> set[str]:
    """Literal keys that the dictionary `name` gets: from its display and from `name["key"] = ...`."""
    display = assigned(tree, name)
    assert isinstance(display, ast.Dict)
    keys = {ast.literal_eval(key) for key in display.keys if key is not None}
    for node in ast.walk(tree):
        stored = isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store)
        if stored and getattr(node.value, "id", None) == name and isinstance(node.slice, ast.Constant):
            keys.add(node.slice.value)
    return keys


@pytest.mark.parametrize("name", FILES)
def test_it_compiles(repository: Path, name: str) -> None:
    code = compile((repository / "launch" / name).read_text(), name, "exec")
    assert "generate_launch_description" in code.co_names


def test_no_launch_file_is_forgotten_here(repository: Path) -> None:
    assert sorted(path.name for path in (repository / "launch").glob("*.launch.*")) == sorted(FILES)


def test_arguments_of_fer_launch(repository: Path) -> None:
    arguments = declared_arguments(parse(repository, "fer.launch.py"))
    assert list(arguments) == [
        "image_topics",
        "params_file",
        "namespace",
        "backend",
        "ros4hri",
        "use_sim_time",
        "autostart",
        "log_level",
        "source",
    ]
    # Empty is "not given": a default of another kind would win over the params file.
    assert {options["default_value"] for options in arguments.values()} == {""}


@pytest.mark.parametrize("name", FILES)
def test_every_argument_has_a_description(repository: Path, name: str) -> None:
    for argument, options in declared_arguments(parse(repository, name)).items():
        assert str(options["description"]).endswith("."), argument


def test_choices_are_those_of_the_parameters(repository: Path) -> None:
    arguments = declared_arguments(parse(repository, "fer.launch.py"))
    assert arguments["ros4hri"]["choices"] == ["", *declaration_of(NodeSettings, "ros4hri").choices]


def test_every_parameter_set_is_declared_by_its_node(repository: Path) -> None:
    tree = parse(repository, "fer.launch.py")
    of_same_name = {
        *ast.literal_eval(assigned(tree, "STRING_PARAMETERS")),
        *ast.literal_eval(assigned(tree, "BOOLEAN_PARAMETERS")),
    }
    assert of_same_name <= set(declared_arguments(tree))
    node = of_same_name | keys_set(tree, "explicit")
    assert {"backend", "image_topics", "autostart", "ros4hri", "use_sim_time"} == node
    assert node <= names_of(NodeSettings, PipelineSettings) | ROS_PARAMETERS
    source = keys_set(tree, "image_parameters")
    assert source == {"source", "use_sim_time"}
    assert source <= names_of(ImageSourceSettings) | ROS_PARAMETERS


def test_executables_are_installed(repository: Path) -> None:
    setup = (repository / "setup.cfg").read_text()
    tree = parse(repository, "fer.launch.py")
    executables = [
        keyword.value.value
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        for keyword in call.keywords
        if keyword.arg == "executable" and isinstance(keyword.value, ast.Constant)
    ]
    assert executables == ["fer_node", "image_source"]
    for executable in executables:
        assert f"    {executable} = " in setup
