"""The files that pip, colcon and rosdep read agree with one another and with the tree."""

from __future__ import annotations

import ast
import configparser
import importlib.util
import itertools
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PACKAGES = {"fer_perception": "package.xml", "fer_msgs": "src/fer_msgs/package.xml"}


def project(repository: Path) -> dict[str, object]:
    with (repository / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)["project"]


def dependencies(path: Path, *kinds: str) -> set[str]:
    return {element.text or "" for kind in kinds for element in ET.parse(path).getroot().findall(kind)}  # noqa: S314


def test_setup_cfg_names_the_executables_of_pyproject_toml(repository: Path) -> None:
    parser = configparser.ConfigParser()
    parser.read(repository / "setup.cfg")
    lines = parser["options.entry_points"]["console_scripts"].split("\n")
    installed_by_colcon = dict(re.split(r"\s*=\s*", line.strip(), maxsplit=1) for line in lines if line.strip())
    scripts = dict(project(repository)["scripts"])
    assert scripts.pop("fer-train").startswith("fer_training.")
    assert installed_by_colcon == scripts


@pytest.mark.parametrize("name", PACKAGES)
def test_package_xml_is_valid_for_ros(repository: Path, name: str) -> None:
    catkin_package = pytest.importorskip("catkin_pkg.package", reason="catkin-pkg is not installed")
    warnings: list[str] = []
    package = catkin_package.parse_package(str(repository / PACKAGES[name]), warnings=warnings)
    package.validate(warnings=warnings)
    assert warnings == []
    assert package.name == name
    assert package.version == project(repository)["version"]
    assert package.licenses == ["Apache-2.0"]
    assert package.get_build_type() == "ament_cmake"


def test_colcon_takes_the_tree_for_one_ros_package(repository: Path) -> None:
    if importlib.util.find_spec("colcon_ros") is None:
        pytest.skip("colcon-ros is not installed")
    command = [sys.executable, "-m", "colcon", "list"]
    # colcon writes its log directory into the working directory unless told otherwise.
    listing = subprocess.run(
        [*command[:3], "--log-base", "/dev/null", *command[3:], "--base-paths", str(repository)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert [line.split("\t") for line in listing.stdout.splitlines()] == [
        ["fer_perception", str(repository), "(ros.ament_cmake)"]
    ]


def test_root_package_repeats_the_dependencies_of_the_messages(repository: Path) -> None:
    kinds = ("buildtool_depend", "depend", "exec_depend")
    root = dependencies(repository / PACKAGES["fer_perception"], *kinds)
    assert dependencies(repository / PACKAGES["fer_msgs"], *kinds) <= root


def test_every_message_is_generated(repository: Path) -> None:
    cmake = (repository / "src/fer_msgs/CMakeLists.txt").read_text()
    generated = re.findall(r'"(msg/\w+\.msg)"', cmake)
    assert generated == sorted(f"msg/{path.name}" for path in (repository / "src/fer_msgs/msg").iterdir())


def test_messages_use_only_packages_that_are_depended_on(repository: Path) -> None:
    cmake = (repository / "src/fer_msgs/CMakeLists.txt").read_text()
    text = "\n".join(path.read_text() for path in (repository / "src/fer_msgs/msg").glob("*.msg"))
    used = set(re.findall(r"^(\w+)/\w+(?:\[\])? ", text, flags=re.MULTILINE))
    declared = re.search(r"DEPENDENCIES ([\w ]+)\)", cmake)
    assert declared is not None
    assert used == set(declared[1].split()) == dependencies(repository / PACKAGES["fer_msgs"], "depend")


@pytest.mark.ros
def test_built_messages_are_those_of_the_tree(repository: Path) -> None:
    import fer_msgs.msg

    for path in (repository / "src/fer_msgs/msg").glob("*.msg"):
        lines = [line.split("#")[0].strip() for line in path.read_text().splitlines()]
        fields = [line.split()[1] for line in lines if line and "=" not in line]
        message = getattr(fer_msgs.msg, path.stem)
        assert list(message.get_fields_and_field_types()) == fields, f"{path.name} was changed: run `make build`"


@pytest.mark.ros
def test_message_constants_are_the_labels() -> None:
    from fer_msgs.msg import Emotion
    from fer_perception.labels import LABELS

    assert [getattr(Emotion, label.upper()) for label in LABELS] == list(LABELS)


def test_directories_that_are_installed_exist(repository: Path) -> None:
    cmake = (repository / "CMakeLists.txt").read_text()
    installed = re.search(r"install\(DIRECTORY ([\w ]+)", cmake)
    assert installed is not None
    assert set(installed[1].split()) == {"launch", "config", "models", "examples"}
    for directory in installed[1].split():
        assert any((repository / directory).iterdir()), f"{directory}/ is empty: git does not keep it"


def test_params_files_apply_in_every_namespace(repository: Path) -> None:
    files = sorted((repository / "config").glob("*.yaml"))
    if not files:
        pytest.skip("no params files in config/")
    for path in files:
        # A section named after the node would be ignored, silently, once the launch argument `namespace` is given.
        assert set(yaml.safe_load(path.read_text())) == {"/**"}, path.name


#: Import -> name on the package index, where they differ.
DISTRIBUTIONS = {"cv2": "opencv-python-headless", "yaml": "pyyaml", "google": "protobuf", "skimage": "scikit-image"}
#: Without a declaration: what only some machines have, with a message where it is missing; the library of Python 3.14.
OPTIONAL = {"PIL", "cv_bridge", "hri_msgs", "fer_msgs", "pycuda", "tensorrt", "torch2trt", "onnx", "compression"}


@pytest.mark.parametrize(("folder", "extras"), [("src", ("demo", "heif", "video")), ("training", ("train",))])
def test_what_is_imported_is_declared(repository: Path, folder: str, extras: tuple[str, ...]) -> None:
    """A package that another one happens to bring is gone when that one changes its mind."""
    lists = project(repository)
    optional = dict(lists["optional-dependencies"])
    requirements = [*lists["dependencies"], *(name for extra in extras for name in optional[extra])]
    declared = {re.split(r"[^\w-]", requirement)[0].lower().replace("_", "-") for requirement in requirements}
    imported: dict[str, str] = {}
    for path in (repository / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= dict.fromkeys((alias.name.split(".")[0] for alias in node.names), path.name)
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported[node.module.split(".")[0]] = path.name
    ros = {"rclpy", "rcl_interfaces", "builtin_interfaces"}
    left = {
        name: where
        for name, where in imported.items()
        if name not in sys.stdlib_module_names | ros | OPTIONAL | {"fer_perception", "fer_training"}
        and not name.endswith("_msgs")
        and name != "std_srvs"
        and DISTRIBUTIONS.get(name, name).lower().replace("_", "-") not in declared
    }
    assert "numpy" in imported
    assert left == {}


def test_data_of_the_packages_is_installed(repository: Path) -> None:
    with (repository / "pyproject.toml").open("rb") as file:
        patterns = tomllib.load(file)["tool"]["setuptools"]["package-data"]
    for package, folder in (("fer_perception", "src"), ("fer_training", "training")):
        root = repository / folder / package
        there = {path for path in root.rglob("*") if path.is_file() and path.suffix not in {".py", ".pyc"}}
        named = {path for pattern in patterns[package] for path in root.glob(pattern)}
        assert root / "py.typed" in named
        assert there - named == set()


def test_the_changelog_is_as_rep_132_wants(repository: Path) -> None:
    """`catkin_generate_changelog` and bloom read it: the title, then versions with their dates, the newest first."""
    lines = (repository / "CHANGELOG.rst").read_text(encoding="utf-8").splitlines()
    title = "Changelog for package fer_perception"
    assert lines[:3] == ["^" * len(title), title, "^" * len(title)]
    headings = [line for line, rule in itertools.pairwise(lines) if rule and set(rule) == {"-"}]
    versions = headings[1:] if headings[0] == "Forthcoming" else headings
    assert all(re.fullmatch(r"\d+\.\d+\.\d+ \(\d{4}-\d\d-\d\d\)", heading) for heading in versions)
    assert versions[0].split()[0] == project(repository)["version"]
    assert all(len(rule) == len(line) for line, rule in itertools.pairwise(lines) if rule and set(rule) == {"-"})
    assert [line for line in lines if line[:1] not in {"", "*", " ", "^", "-", "C", "F"} and line not in headings] == []
