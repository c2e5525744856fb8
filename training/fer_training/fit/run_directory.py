"""Run directory: its files, and checks that it belongs to the same run."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import fer_training
from fer_perception.system.files import parse_yaml, write_atomically
from fer_perception.system.part_files import remove_leftovers_in
from fer_training.checkpoint import CheckpointError
from fer_training.recipe import Recipe, RecipeError, recipe_to_yaml

#: The network's weights, safetensors.
WEIGHTS = "weights.safetensors"

#: Everything needed to go on after an interruption (a Lightning checkpoint; only read by the run that wrote it).
RESUME = "resume.ckpt"

#: Resolved recipe.
RECIPE = "recipe.yaml"

#: Final figures.
METRICS = "metrics.json"

#: Figures of every epoch.
EPOCHS = "epochs.csv"

#: Bytes that a file system keeps from everybody but root, or that a failed write has left.
_HARDLY_ANY = 2**20


def require_utf8(out: Path) -> None:
    """See that TensorBoard and safetensors can open what lies in a run directory.

    Args:
        out: the directory.

    Raises:
        RecipeError: its name is no text.
    """
    try:
        str(out).encode()
    except UnicodeEncodeError:
        msg = f"{out} has a name that is not UTF-8; take another directory"
        raise RecipeError(msg) from None


def refuse_other_run(out: Path, recipe: Recipe) -> None:
    """See that a directory is free, or holds a run of the same recipe; nothing is written.

    A run that never finished an epoch leaves nothing to lose: its directory is free for any recipe.

    Args:
        out: the directory.
        recipe: what will be trained.

    Raises:
        RecipeError: the directory holds a run of another recipe, or its recipe is damaged.
    """
    written = out / RECIPE
    if written.is_file() and ((out / RESUME).is_file() or (out / WEIGHTS).is_file()):
        other = _differences(_read_recipe(written), parse_yaml(recipe_to_yaml(recipe)))
        if other:
            msg = f"{out} holds a run of another recipe ({other}); take another --out, or --fresh to start over"
            raise RecipeError(msg)


def full_place(out: Path) -> str:
    """The place on whose file system hardly anything is free: the run directory or that of temporary files; else ""."""
    for name, folder in ((str(out), out), (f"{tempfile.gettempdir()} (TMPDIR)", Path(tempfile.gettempdir()))):
        with contextlib.suppress(OSError):
            if shutil.disk_usage(folder).free < _HARDLY_ANY:
                return name
    return ""


def claim(out: Path, recipe: Recipe, *, resume: bool) -> None:
    """Make the run directory, or take up an interrupted run in it.

    Args:
        out: the directory.
        recipe: what will be trained.
        resume: keep what is there; False: start over.

    Raises:
        RecipeError: see `refuse_other_run`; or it cannot be written there.
    """
    out.mkdir(parents=True, exist_ok=True)
    # Nobody else writes here (`sole_run`), so whatever was begun is that of a killed process.
    remove_leftovers_in(out)
    if resume:
        refuse_other_run(out, recipe)
    else:
        shutil.rmtree(out / "tensorboard", ignore_errors=True)
        for name in (RESUME, METRICS, WEIGHTS, EPOCHS):
            (out / name).unlink(missing_ok=True)
    # A kill in between must not leave a run whose recipe is gone: nobody could go on with it.
    write_atomically(out / RECIPE, recipe_to_yaml(recipe), error=RecipeError)
    write_atomically(out / "environment.json", json.dumps(_environment(), indent=2) + "\n", error=RecipeError)


def _read_recipe(path: Path) -> dict[str, object]:
    try:
        values = parse_yaml(path.read_text(encoding="utf-8"))
    except ValueError as err:
        msg = f"{path} is damaged ({err}); take another --out, or --fresh to start over"
        raise RecipeError(msg) from err
    if not isinstance(values, dict):
        msg = f"{path} holds no recipe; take another --out, or --fresh to start over"
        raise RecipeError(msg)
    return values


def _differences(there: object, asked: object, key: str = "") -> str:
    """The keys in which two recipes differ, with both values; "" where they are equal."""
    if isinstance(there, dict) and isinstance(asked, dict):
        names = dict.fromkeys((*there, *asked))
        parts = [_differences(there.get(n), asked.get(n), f"{key}.{n}" if key else str(n)) for n in names]
        return ", ".join(part for part in parts if part)
    return "" if there == asked else f"{key} is {there!r} there, {asked!r} asked for"


def source_commit() -> str:
    """Commit of the source tree this package runs from, with "+changes" where it is modified; "" outside git."""
    directory = Path(fer_training.__file__).parent
    git = shutil.which("git")
    if git is None:
        return ""

    def ask(*words: str) -> str:
        done = subprocess.run(  # noqa: S603  (fixed words, no shell)
            [git, "-C", str(directory), *words], capture_output=True, text=True, check=True, timeout=10
        )
        return done.stdout.strip()

    try:
        head = ask("rev-parse", "HEAD")
        changed = ask("status", "--porcelain", "--untracked-files=no", "--", str(directory))
    except (subprocess.SubprocessError, OSError):
        return ""
    return head + ("+changes" if changed else "")


def _environment() -> dict[str, object]:
    packages = {}
    for name in ("torch", "lightning", "kornia", "numpy", "fer_perception"):
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = "unknown"
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": packages,
        "source_commit": source_commit(),
        "command": sys.argv,
    }


#: Locked while somebody trains; holds the id of the process that did so last.
LOCK = ".lock"


@contextlib.contextmanager
def sole_run(out: Path) -> Iterator[None]:
    """Keep other trainings out of a run directory while the block runs; a process that was killed keeps nobody out.

    On file systems without locks, and where Python has none (Windows), everybody is let in.

    Args:
        out: the directory; made where missing.

    Raises:
        RecipeError: another process trains there.
    """
    out.mkdir(parents=True, exist_ok=True)
    handle = os.open(out / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        if not _taken(handle):
            there = os.read(handle, 20).decode(errors="replace").strip()
            msg = (
                f"another training{f' (process {there})' if there else ''} is at work in {out}; wait for its end, "
                "stop it, or take another --out"
            )
            raise RecipeError(msg)
        os.truncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(handle)


def _taken(handle: int) -> bool:
    """Take the lock; False where somebody has it."""
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # Some network file systems know no locks.
        return True
    return True


#: Without these Lightning cannot go on, or would begin anew without a word.
_PARTS = {
    "callbacks",
    "epoch",
    "global_step",
    "loops",
    "lr_schedulers",
    "optimizer_states",
    "pytorch-lightning_version",
    "state_dict",
}


def check_resume_file(path: Path, state: Mapping[str, Tensor], *, kept: Path) -> None:
    """See that a run can go on from a file.

    Args:
        path: a Lightning checkpoint.
        state: the state dict of the module that will take it up.
        kept: the weights that the run has kept so far; those of its best epoch may never be written again.

    Raises:
        CheckpointError: damaged, more than tensors and plain values, or of another network; the kept weights are gone.
    """
    if not kept.is_file():
        raise _unusable(path, f"belongs to a run whose {kept.name} is gone")
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
        # A run directory may come from somebody else: nothing that could execute.
        found: Any = torch.load(path, map_location="cpu", weights_only=True) if broken is None else None
    except Exception as err:  # whatever the unpickler and the readers of archives meet
        first = (str(err).strip().splitlines() or [type(err).__name__])[0]
        raise _unusable(path, f"holds more than tensors and plain values, or is damaged ({first[:120]})") from err
    if broken is not None:
        raise _unusable(path, f"is damaged (in its part {broken})")
    if not isinstance(found, dict) or not found.keys() >= _PARTS:
        raise _unusable(path, "is no checkpoint of a run")
    saved = found["state_dict"]
    shapes = {name: value.shape for name, value in state.items()}
    if not isinstance(saved, dict) or {n: getattr(v, "shape", None) for n, v in saved.items()} != shapes:
        raise _unusable(path, "holds another network than the recipe asks for")


def _unusable(path: Path, what: str) -> CheckpointError:
    return CheckpointError(f"{path} {what}; start over with --fresh")
