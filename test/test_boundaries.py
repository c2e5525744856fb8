"""Who may import what: the robot needs no PyTorch, the pipeline no ROS, and what happens over time no clock."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "fer_perception"
TRAINING = {"fer_training", "torch", "lightning", "kornia", "torchmetrics", "torch2trt"}
ROS = {"rclpy", "rosidl_runtime_py", "builtin_interfaces", "rcl_interfaces", "cv_bridge", "ament_index_python"}
OVER_TIME = ("tracking", "face_motion", "face_matching", "smoothing", "temporal_filters", "hidden_markov", "phases")
PIPELINE = (*OVER_TIME, "label_decision", "labels", "crops", "pipeline", "pipeline_types", "settings", "results_json")


def imported(path: Path) -> set[str]:
    """The packages that a file imports, inside functions too."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def test_the_robot_needs_no_pytorch() -> None:
    files = sorted(SOURCE.rglob("*.py"))
    assert len(files) > 100
    found = {str(path.relative_to(SOURCE)): sorted(imported(path) & TRAINING) for path in files}
    assert {name: packages for name, packages in found.items() if packages} == {}


@pytest.mark.parametrize(
    "path",
    [SOURCE / f"{name}.py" for name in PIPELINE]
    + sorted((SOURCE / "detection").glob("*.py"))
    + sorted((SOURCE / "inference").glob("*.py")),
    ids=lambda path: f"{path.parent.name}/{path.name}",
)
def test_the_pipeline_needs_no_ros(path: Path) -> None:
    names = imported(path)
    assert names
    assert {name for name in names if name in ROS or name.endswith("_msgs")} == set()


@pytest.mark.parametrize("name", [*OVER_TIME, "label_decision"])
def test_what_happens_over_time_reads_no_clock(name: str) -> None:
    assert imported(SOURCE / f"{name}.py") & {"time", "datetime"} == set(), "it gets stamps and steps in s"
