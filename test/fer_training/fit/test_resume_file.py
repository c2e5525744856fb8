"""A run directory that was damaged or filled by others: told before the training, with the way out."""

from __future__ import annotations

import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from fer_training.checkpoint import CheckpointError
from fer_training.fit.fit import _trainer
from fer_training.fit.resume_file import ResumeFileIO
from fer_training.fit.run_directory import RECIPE, RESUME, WEIGHTS, check_resume_file, claim, full_place
from fer_training.recipe import Recipe, RecipeError

STATE = {"weight": torch.ones(2, 3), "bias": torch.zeros(3)}


def whole(**change: Any) -> dict[str, Any]:
    parts = ("callbacks", "epoch", "global_step", "loops", "lr_schedulers", "optimizer_states")
    return {**dict.fromkeys(parts, 0), "pytorch-lightning_version": "2.5", "state_dict": STATE, **change}


def _check(path: Path) -> None:
    check_resume_file(path, STATE, kept=path.with_name(WEIGHTS))


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[object], Path]:
    def save(content: object) -> Path:
        torch.save(content, tmp_path / RESUME)
        (tmp_path / WEIGHTS).touch()
        return tmp_path / RESUME

    return save


def test_a_whole_file_is_taken(saved: Callable[[object], Path]) -> None:
    _check(saved(whole()))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([1], "is no checkpoint of a run"),
        ({"state_dict": STATE}, "is no checkpoint of a run"),
        (whole(state_dict={}), "holds another network"),
        (whole(state_dict={**STATE, "bias": torch.zeros(4)}), "holds another network"),
        (whole(state_dict=3), "holds another network"),
        (whole(epoch=Path()), "holds more than tensors and plain values"),
    ],
)
def test_other_contents(saved: Callable[[object], Path], content: object, words: str) -> None:
    with pytest.raises(CheckpointError, match=rf"{words}.*; start over with --fresh"):
        _check(saved(content))


def test_the_kept_weights_are_gone(saved: Callable[[object], Path]) -> None:
    path = saved(whole())
    path.with_name(WEIGHTS).unlink()
    with pytest.raises(CheckpointError, match=r"a run whose weights\.safetensors is gone; start over with --fresh"):
        _check(path)


def test_a_folder_instead_of_the_file(saved: Callable[[object], Path]) -> None:
    path = saved(whole())
    path.unlink()
    path.mkdir()
    with pytest.raises(CheckpointError, match=r"or is damaged \(.*directory.*\); start over with --fresh"):
        _check(path)


def test_damage_anywhere(saved: Callable[[object], Path]) -> None:
    path = saved(whole())
    data = path.read_bytes()
    for damaged in (b"", b"hello", pickle.dumps(print), data[:100], data[: len(data) // 2], data[:-30]):
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"or is damaged \(.+\); start over with --fresh"):
            _check(path)
    # A single number that has changed would go unnoticed by PyTorch.
    place = data.index(np.ones(6, np.float32).tobytes())
    path.write_bytes(data[:place] + b"\x01" + data[place + 1 :])
    with pytest.raises(CheckpointError, match=r"is damaged \(in its part .*\); start over with --fresh"):
        _check(path)


@pytest.mark.parametrize("recipe", [b"a: [", b"- 1", b"", b"\xff\xfe", b"2001-99-99", b"[" * 5000])
def test_a_damaged_recipe(tmp_path: Path, recipe: bytes) -> None:
    (tmp_path / RECIPE).write_bytes(recipe)
    (tmp_path / RESUME).touch()
    with pytest.raises(RecipeError, match="take another --out, or --fresh to start over"):
        claim(tmp_path, Recipe(), resume=True)
    claim(tmp_path, Recipe(), resume=False)
    assert not (tmp_path / RESUME).exists()


def killed_while_saving(folder: Path) -> int:
    """Ends a process in the midst of its second `resume.ckpt`."""
    code = f"""
import os, signal, torch
from pathlib import Path
from fer_training.fit.resume_file import ResumeFileIO
path = Path({str(folder / RESUME)!r})
ResumeFileIO().save_checkpoint({{"epoch": 1, "w": torch.ones(100)}}, path)
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
os.fsync = die
ResumeFileIO().save_checkpoint({{"epoch": 2, "w": torch.ones(100)}}, path)
"""
    return subprocess.run([sys.executable, "-c", code], check=False).returncode


def test_a_kill_leaves_the_earlier_file_and_the_next_start_removes_the_rest(tmp_path: Path) -> None:
    assert killed_while_saving(tmp_path) == -signal.SIGKILL
    assert torch.load(tmp_path / RESUME, weights_only=True)["epoch"] == 1
    assert len(list(tmp_path.glob(".resume.ckpt.*.part"))) == 1
    (tmp_path / ".mine.part").touch()
    claim(tmp_path, Recipe(), resume=True)
    assert list(tmp_path.glob(".*.part")) == [tmp_path / ".mine.part"]
    assert (tmp_path / RESUME).is_file()


def test_nothing_goes_through_the_directory_for_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "there is none"))
    ResumeFileIO().save_checkpoint({"epoch": 3}, tmp_path / "new" / RESUME)
    assert torch.load(tmp_path / "new" / RESUME, weights_only=True) == {"epoch": 3}


def test_the_trainer_writes_through_it(tmp_path: Path) -> None:
    trainer = _trainer(Recipe(), tmp_path, [], steps_per_epoch=1, progress=False)
    assert isinstance(trainer.strategy.checkpoint_io, ResumeFileIO)


def test_the_full_place_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert full_place(tmp_path) == ""
    free = {tmp_path: 10**9, Path(tempfile.gettempdir()): 100}
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free[path]))
    assert full_place(tmp_path) == f"{tempfile.gettempdir()} (TMPDIR)"
    free[tmp_path] = 0
    assert full_place(tmp_path) == str(tmp_path)
