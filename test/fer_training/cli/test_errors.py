"""`fer-train` where the machine says no: one line, no stack of calls."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from fer_training.cli.app import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_a_run_directory_that_cannot_be_made(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (28, 48, 48), dtype=np.uint8)
    labels = np.arange(14, dtype=np.uint8) % 7
    data = tmp_path / "data.npz"
    np.savez(
        data,
        train_images=images[:14],
        train_labels=labels,
        validation_images=images[14:],
        validation_labels=labels,
    )
    (tmp_path / "file").write_text("in the way")
    out = tmp_path / "file" / "run"
    done = run(
        "fit",
        "--recipe",
        "arch1_fer2013",
        "--data",
        data,
        "--out",
        out,
    )
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last == f"fer-train: {out} cannot be used: Not a directory; choose another place"
    assert "Traceback" not in done.stderr


def test_the_data_set_of_a_recipe_is_elsewhere(tmp_path: Path) -> None:
    done = run("fit", "--recipe", "arch1_fer2013", "--out", tmp_path / "run", f"data={tmp_path / 'none.npz'}")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"fer-train: {tmp_path / 'none.npz'}, the recipe's data set, is not there; ")
    assert "--data" in line
    assert not (tmp_path / "run").exists()


def test_short_help() -> None:
    done = run("evaluate", "-h")
    assert done.returncode == 0
    assert "--model" in done.stdout


def test_an_interrupted_command_says_so() -> None:
    """Ctrl-C anywhere, not only while a network is trained."""
    program = """
import typer
from fer_training.cli import app as cli

def app():
    result = typer.Typer()
    @result.command()
    def command():
        raise KeyboardInterrupt
    return result

cli.build_app = app
cli.main()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 130
    assert done.stderr.startswith("fer-train: interrupted; of fit and reproduce")


def test_names_of_files_that_would_not_be_found_again_are_refused(tmp_path: Path) -> None:
    done = run("prepare", tmp_path, tmp_path / "out.csv")
    assert done.returncode == 1
    assert "would be no .npz file by its name; call it out.npz" in done.stderr


def test_without_the_packages_of_training_it_says_how_to_get_them() -> None:
    """`make demo` and `make setup` leave the program there, and PyTorch out."""
    program = "import sys; sys.modules['torch'] = None; from fer_training.cli.app import main; main()"
    command = [sys.executable, "-c", program, "summary", "arch1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("fer-train: torch is not installed; `make training`")
    assert done.stderr.count("\n") == 1


def test_the_version() -> None:
    done = run("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("fer-train ")
