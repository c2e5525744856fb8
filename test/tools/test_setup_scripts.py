"""The scripts that `make` runs: what they print, and what they say when something is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def run(script: Path, *arguments: str, cwd: Path, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ) if path is None else {**os.environ, "PATH": str(path)}
    return subprocess.run(
        [str(script), *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    """A directory for PATH with the commands that every system has, and no compiler."""
    directory = tmp_path / "bin"
    directory.mkdir()
    for name in ("sh", "env"):
        (directory / name).symlink_to(shutil.which(name) or f"/bin/{name}")
    return directory


def add_command(directory: Path, name: str, text: str) -> None:
    path = directory / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_prerequisites_print_the_python_to_use(repository: Path, tmp_path: Path, commands: Path) -> None:
    add_command(commands, "g++", "exit 0")
    add_command(commands, "python3", f'exec "{sys.executable}" "$@"')
    result = run(repository / "tools/check_prerequisites", cwd=tmp_path, path=commands)
    assert (result.returncode, result.stderr) == (0, "")
    assert Path(result.stdout.strip()).samefile(sys.executable)


def test_a_python_of_the_wrong_version_is_passed_over(repository: Path, tmp_path: Path, commands: Path) -> None:
    add_command(commands, "g++", "exit 0")
    add_command(commands, "python3", "exit 1")
    add_command(commands, "python3.12", f'exec "{sys.executable}" "$@"')
    result = run(repository / "tools/check_prerequisites", cwd=tmp_path, path=commands)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("python", "expected"),
    [
        (
            "exit 1",
            "missing: Python 3.10 to 3.13; install it with: sudo apt install python3 python3-venv python3-dev\n",
        ),
        (
            'case "$2" in *ensurepip*) exit 1;; *sys.executable*) echo "$0";; *"%d.%d"*) echo python3.12;; esac',
            "missing: the venv module of {python3}; install it with: sudo apt install python3.12-venv\n",
        ),
        (
            'case "$2" in *pathlib*) exit 1;; *sys.executable*) echo "$0";; *"%d.%d"*) echo python3.12;; esac',
            "missing: the C headers of {python3}; install it with: sudo apt install python3.12-dev\n",
        ),
        (
            'case "$2" in *sys.executable*) echo "$0";; *"%d.%d"*) echo python3.12;; esac',
            "missing: the C++ compiler g++; install it with: sudo apt install g++\n",
        ),
    ],
    ids=["python", "venv", "headers", "compiler"],
)
def test_what_is_missing_is_named_in_one_line_with_its_package(
    repository: Path, tmp_path: Path, commands: Path, python: str, expected: str
) -> None:
    add_command(commands, "python3", python)
    result = run(repository / "tools/check_prerequisites", cwd=tmp_path, path=commands)
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr == expected.format(python3=commands / "python3")


def test_a_step_prints_one_line_and_keeps_the_output(repository: Path, tmp_path: Path) -> None:
    result = run(repository / "tools/step", "Saying hello", "echo", "hello", cwd=tmp_path)
    assert result.returncode == 0
    assert result.stdout == "Saying hello ... done (0 s)\n"
    assert (tmp_path / "build/setup/Saying_hello.log").read_text() == "hello\n"


def test_a_failed_step_shows_the_end_of_its_output(repository: Path, tmp_path: Path) -> None:
    result = run(repository / "tools/step", "Counting", "sh", "-c", "seq 100; exit 3", cwd=tmp_path)
    assert result.returncode == 3
    assert result.stdout == "Counting ... failed\n"
    lines = result.stderr.splitlines()
    assert lines[:30] == [str(number) for number in range(71, 101)]
    assert "status 3" in lines[30]
    assert "build/setup/Counting.log" in lines[30]


def test_the_build_environment_shows_the_wheels_and_no_other_ros(repository: Path, tmp_path: Path) -> None:
    environment = tmp_path / "env"
    (environment / "bin").mkdir(parents=True)
    (environment / "bin" / "python").symlink_to(sys.executable)
    other = "/opt/ros/x"
    sourced = {"PYTHONPATH": other, "LD_LIBRARY_PATH": other, "AMENT_PREFIX_PATH": other, "CMAKE_PREFIX_PATH": other}
    result = subprocess.run(
        [str(repository / "tools/with_env"), "env"],
        env={**os.environ, **sourced, "FER_VENV": str(environment)},
        capture_output=True,
        text=True,
        check=True,
    )
    variables = dict(line.split("=", 1) for line in result.stdout.splitlines() if "=" in line)
    assert variables["AMENT_PREFIX_PATH"] == variables["CMAKE_PREFIX_PATH"] == str(environment)
    assert variables["PATH"].startswith(f"{environment}/bin:")
    assert other not in variables.values()


def test_the_build_environment_asks_for_set_up_where_there_is_none(repository: Path, tmp_path: Path) -> None:
    result = subprocess.run(
        [str(repository / "tools/with_env"), "env"],
        env={**os.environ, "FER_VENV": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr == f"there is no environment at {tmp_path}: run `make setup`\n"


def test_messages_are_linked_into_the_environment(repository: Path, tmp_path: Path) -> None:
    prefix = tmp_path / "install"
    package = prefix / "lib" / "python3.11" / "site-packages" / "fer_msgs"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (prefix / "lib" / "libfer_msgs__rosidl_typesupport_c.so").touch()
    environment = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    command = [str(environment / "bin/python"), str(repository / "tools/link_messages.py"), str(prefix)]
    for _ in range(2):
        subprocess.run(command, check=True)
    found = subprocess.run(
        [command[0], "-c", "import fer_msgs; print(fer_msgs.__file__)"], capture_output=True, text=True, check=True
    )
    assert Path(found.stdout.strip()).resolve() == package / "__init__.py"
    library = environment / "lib" / "libfer_msgs__rosidl_typesupport_c.so"
    assert library.resolve() == prefix / "lib" / library.name

    nothing = subprocess.run([*command[:2], str(tmp_path / "nowhere")], capture_output=True, text=True, check=False)
    assert nothing.returncode == 1
    assert "run `make build`" in nothing.stderr


@pytest.mark.parametrize(
    ("target", "command"),
    [
        ("demo", ".venv/bin/python -m fer_perception.demo --out demo"),
        ("test", ".venv/bin/python -m pytest"),
        ("lint", "'ruff check' 'ruff format --check' mypy"),
        ("bench", ".venv/bin/fer benchmark --json build/benchmark.json"),
    ],
)
def test_make_sets_up_first(repository: Path, target: str, command: str) -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    plan = subprocess.run(
        ["make", "--dry-run", "--always-make", target], cwd=repository, capture_output=True, text=True, check=True
    ).stdout
    steps = ["tools/make_environment", "colcon build", "tools/link_messages.py", command]
    places = [plan.find(step) for step in steps]
    assert -1 not in places, plan
    assert places == sorted(places)
