"""The house's rules: which package may import which, in one table, held against the real imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

#: The ground of the robot's side: everybody may import these.
GROUND = {"errors", "labels", "pipeline_types", "timing"}

#: What each package of `fer_perception` may import of the others, beside the ground; "" is the package itself (its
#: version). Every arrow points to a package further up in this table.
PERCEPTION: dict[str, set[str]] = {
    "errors": set(),
    "labels": set(),
    "pipeline_types": set(),
    "timing": set(),
    "system": set(),
    "settings": {"system"},
    "model_files": {"system"},
    "imaging": {"system"},
    "inference": {"system", "model_files"},
    "detection": {"system", "model_files", "imaging", "inference", "settings"},
    "classification": {"system", "model_files", "inference", "settings"},
    "tracking": set(),
    "temporal": {"settings"},
    "pipeline": {"settings", "model_files", "imaging", "detection", "classification", "tracking", "temporal"},
    "crop_pipeline": {"settings", "imaging", "detection", "classification", "temporal", "pipeline"},
    "results": {"system", "imaging"},
    "live": {"settings"},
    "replay": {"system", "settings", "imaging", "results", "pipeline"},
    "ros": {
        *("system", "settings", "model_files", "imaging", "tracking", "results", "live"),
        *("pipeline", "crop_pipeline"),
    },
    "node": {"ros"},
    "image_source": {"ros"},
    "demo": {"system", "settings", "model_files", "imaging", "results", "replay", "pipeline"},
    "doctor": {"", "settings", "system", "model_files", "imaging", "inference", "detection", "classification", "ros"},
    "benchmark": {
        *("system", "settings", "model_files", "imaging", "inference", "detection", "classification"),
        *("tracking", "temporal", "pipeline", "results", "live", "ros", "demo"),
    },
    "cli": {
        *("", "system", "settings", "model_files", "imaging", "inference", "detection", "classification"),
        *("pipeline", "results", "replay", "doctor", "benchmark"),
    },
}

#: The same for `fer_training`.
TRAINING: dict[str, set[str]] = {
    "output_files": set(),
    "architectures": set(),
    "data": set(),
    "recipe": {"architectures", "data"},
    "checkpoint": set(),
    "onnx_file": set(),
    "deployed_network": {"architectures", "checkpoint"},
    "evaluation": {"data", "checkpoint", "onnx_file", "deployed_network"},
    "distillation": {"data", "recipe", "checkpoint", "deployed_network"},
    "export": {"output_files", "architectures", "checkpoint", "onnx_file", "deployed_network"},
    "report": {"architectures", "data", "checkpoint", "onnx_file", "deployed_network", "evaluation"},
    "fit": {
        *("", "architectures", "data", "recipe", "checkpoint", "deployed_network"),
        *("evaluation", "distillation", "export", "report"),
    },
    "reproduce": {"architectures", "data", "recipe", "fit", "report", "evaluation"},
    "cli": {
        *("", "output_files", "architectures", "data", "recipe", "checkpoint", "onnx_file", "deployed_network"),
        *("evaluation", "distillation", "export", "report", "fit", "reproduce"),
    },
}

#: What the training may know of the robot's side.
SHARED = {
    "errors",
    "labels",
    "pipeline_types",
    "system",
    "settings",
    "model_files",
    "imaging",
    "inference",
    "detection",
    "classification",
}

TRAINING_LIBRARIES = {"fer_training", "torch", "lightning", "kornia", "torchmetrics", "torch2trt"}
ROS = {"rclpy", "rosidl_runtime_py", "builtin_interfaces", "rcl_interfaces", "cv_bridge", "ament_index_python"}
#: Where ROS may be imported: packages, and single modules elsewhere.
ROS_PLACES = {
    # Decodes rare encodings with cv_bridge where ROS has it.
    "fer_perception.imaging.encodings",
    *("fer_perception.ros", "fer_perception.demo", "fer_perception.doctor.topic", "fer_perception.doctor.ros"),
    *("fer_perception.benchmark.ros", "fer_perception.benchmark.ros_rig", "fer_perception.benchmark.measured_node"),
}


def modules(top: str) -> dict[str, Path]:
    """Files of a package by dotted name."""
    base = ROOT / ("src" if top == "fer_perception" else "training")
    found = {}
    for path in sorted((base / top).rglob("*.py")):
        parts = path.relative_to(base).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path, known: dict[str, Path]) -> Iterator[tuple[str, int]]:
    """Dotted name and level of every import of a file, inside functions too; submodules by their own name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, 0
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield (full if full in known else node.module or ""), node.level


def room(module: str) -> str:
    return ".".join(module.split(".")[1:2])


EVERYTHING = modules("fer_perception") | modules("fer_training")
ARROWS = {name: list(imports(path, EVERYTHING)) for name, path in EVERYTHING.items()}


def test_all_files_are_seen() -> None:
    assert len(EVERYTHING) > 200


@pytest.mark.parametrize(("top", "table"), [("fer_perception", PERCEPTION), ("fer_training", TRAINING)])
def test_packages_import_only_what_they_may(top: str, table: dict[str, set[str]]) -> None:
    ground = GROUND if top == "fer_perception" else set()
    wrong = [
        f"{module} imports {target}"
        for module, arrows in ARROWS.items()
        if module.split(".")[0] == top and room(module)
        for target, _ in arrows
        if target.split(".")[0] == top and room(target) != room(module)
        if room(target) not in table[room(module)] | ground
    ]
    assert wrong == []


@pytest.mark.parametrize("table", [PERCEPTION, TRAINING])
def test_the_table_has_no_cycle_and_no_arrow_upwards(table: dict[str, set[str]]) -> None:
    order = ["", *table]
    upwards = [
        f"{package} -> {target}"
        for package, targets in table.items()
        for target in targets
        if order.index(target) >= order.index(package)
    ]
    assert upwards == []


def test_no_module_is_imported_in_a_circle() -> None:
    direct = {name: {t for t, _ in arrows if t in EVERYTHING and t != name} for name, arrows in ARROWS.items()}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join([*trail[trail.index(name) :], name])
        if name not in done:
            for target in sorted(direct[name]):
                visit(target, (*trail, name))
            done.add(name)

    for name in EVERYTHING:
        visit(name, ())
    assert done == set(EVERYTHING)


def test_imports_are_absolute() -> None:
    assert [name for name, arrows in ARROWS.items() if any(level for _, level in arrows)] == []


def test_flat_in_the_package_lie_only_the_ground_the_pipeline_and_the_launchers() -> None:
    flat = {path.stem for path in (ROOT / "src" / "fer_perception").glob("*.py")}
    assert flat == {"__init__", *GROUND, "pipeline", "crop_pipeline", "node", "image_source"}


def test_the_robot_needs_no_pytorch() -> None:
    wrong = {
        name: sorted({target.split(".")[0] for target, _ in arrows} & TRAINING_LIBRARIES)
        for name, arrows in ARROWS.items()
        if name.startswith("fer_perception")
    }
    assert {name: packages for name, packages in wrong.items() if packages} == {}


def test_the_training_knows_only_the_shared_part_of_the_robot() -> None:
    wrong = [
        f"{name} imports {target}"
        for name, arrows in ARROWS.items()
        if name.startswith("fer_training")
        for target, _ in arrows
        if target.startswith("fer_perception.") and room(target) not in SHARED
    ]
    assert wrong == []


def test_ros_is_imported_only_where_it_may_be() -> None:
    wrong = [
        f"{name} imports {target}"
        for name, arrows in ARROWS.items()
        if not any(name == place or name.startswith(f"{place}.") for place in ROS_PLACES)
        for target, _ in arrows
        if target.split(".")[0] in ROS or target.split(".")[0].endswith("_msgs")
    ]
    assert wrong == []


@pytest.mark.parametrize("package", ["tracking", "temporal"])
def test_what_happens_over_time_reads_no_clock(package: str) -> None:
    found = {
        target.split(".")[0]
        for name, arrows in ARROWS.items()
        if name.startswith(f"fer_perception.{package}")
        for target, _ in arrows
    }
    assert "numpy" in found
    assert found & {"time", "datetime"} == set(), "it gets stamps and steps in s"


def test_a_recipe_is_checked_without_pytorch_and_opencv() -> None:
    """`fer-train fit` refuses a bad recipe before it loads anything heavy."""
    import subprocess
    import sys

    code = "import sys; import fer_training.recipe; print(sorted({'torch', 'cv2', 'lightning'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
