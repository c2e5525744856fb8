"""A machine on which a package is missing or does not load: what still works, and what is said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Protocol

import pytest
from run_fer import run_fer


class Block(Protocol):
    def __call__(self, *names: str, installed: bool = True) -> None: ...


#: Imports every module of the package but the launchers; prints those that fail.
_IMPORT_ALL = """
import importlib, pathlib, sys
import fer_perception
base = pathlib.Path(fer_perception.__file__).parents[1]
for path in sorted((base / "fer_perception").rglob("*.py")):
    name = ".".join(path.relative_to(base).with_suffix("").parts).removesuffix(".__init__")
    if name.endswith("__main__"):
        continue
    try:
        importlib.import_module(name)
    except ImportError as err:
        if "blocked by the test" in str(err):
            print(name)
"""


@pytest.fixture
def block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Block:
    """Makes the import of packages fail in the processes that the test starts."""

    def block(*names: str, installed: bool = True) -> None:
        for name in names:
            error = "ImportError('blocked by the test')"
            if not installed:
                error = f"ModuleNotFoundError('No module named {name} (blocked by the test)', name={name!r})"
            (tmp_path / f"{name}.py").write_text(f"raise {error}\n")
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))

    return block


@pytest.mark.parametrize("package", ["onnxruntime", "tensorrt", "pycuda", "cv_bridge", "matplotlib"])
def test_no_module_needs_an_optional_package_to_be_imported(block: Block, package: str) -> None:
    block(package)
    done = subprocess.run([sys.executable, "-c", _IMPORT_ALL], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("installed", [True, False])
def test_the_doctor_prints_without_onnxruntime(block: Block, installed: bool) -> None:
    block("onnxruntime", installed=installed)
    done = run_fer("doctor", "--json")
    assert done.returncode == 1, done.stderr
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert rows["onnxruntime"]["verdict"] == "failed"
    assert ("does not load" if installed else "is not installed") in rows["onnxruntime"]["message"]
    assert rows["onnxruntime"]["fix"].startswith("pip install onnxruntime")
    assert rows["expression model"]["verdict"] == "failed"
    assert "no backend works" in rows["expression model"]["message"]
    assert "pip install onnxruntime" in rows["expression model"]["message"]
    assert rows["face detector"]["verdict"] != "failed", "OpenCV runs YuNet too, and the Haar cascade is always there"
    assert rows["opencv"]["verdict"] == "ok"


@pytest.mark.yunet
def test_the_detector_falls_back_to_opencv_without_onnxruntime(block: Block) -> None:
    block("onnxruntime")
    rows = {row["name"]: row for row in json.loads(run_fer("doctor", "--json").stdout)}
    assert rows["face detector"]["message"].startswith("yunet_cv2")


@pytest.mark.parametrize(("package", "row"), [("scipy", "scipy"), ("cv2", "opencv"), ("yaml", "yaml")])
def test_the_doctor_prints_without_any_other_package(block: Block, package: str, row: str) -> None:
    block(package)
    done = run_fer("doctor", "--json")
    assert done.returncode == 1, done.stderr
    rows = {each["name"]: each for each in json.loads(done.stdout)}
    assert rows[row]["verdict"] == "failed"
    assert "does not load" in rows[row]["message"]


@pytest.mark.parametrize("package", ["scipy", "cv2"])
def test_other_commands_name_the_missing_package_in_one_line(block: Block, package: str, tmp_path: Path) -> None:
    block(package)
    done = run_fer("run", tmp_path / "nothing.png")
    assert done.returncode == 1
    assert "fer doctor" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_command_line_says_what_it_needs_itself(block: Block) -> None:
    block("typer")
    done = run_fer("doctor")
    assert done.returncode == 1
    assert (
        done.stderr
        == "fer: a package of the command line is missing (blocked by the test); run `pip install typer rich`\n"
    )


def test_a_params_file_without_pyyaml(block: Block, tmp_path: Path) -> None:
    block("yaml")
    params = tmp_path / "fer.yaml"
    params.write_text("threads: 1\n")
    done = run_fer("doctor", "--params", params)
    assert done.returncode == 1
    assert "pip install pyyaml" in done.stderr
    assert len(done.stderr.splitlines()) == 1
