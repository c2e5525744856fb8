"""A run that is killed, stopped or out of disk space goes on and ends like an unbroken one."""

from __future__ import annotations

import contextlib
import json
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from quick_recipe import QUICK

from fer_training.checkpoint import load_checkpoint
from fer_training.fit.fit import fit
from fer_training.fit.run_directory import RECIPE, RESUME, claim
from fer_training.recipe import RecipeError, recipe_from_mapping

#: Runs `fit` and kills itself without warning when the epoch given begins.
KILLED = """
import json, os, signal, sys
from pathlib import Path
import fer_training.fit.fit as module

class Kill(module.EpochLines):
    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == int(sys.argv[4]):
            os.kill(os.getpid(), signal.SIGKILL)

module.EpochLines = Kill
module.fit(json.loads(sys.argv[1]), data=Path(sys.argv[2]), out=Path(sys.argv[3]), progress=False)
"""


#: Runs `fit` and sends itself a signal when the last epoch is over and saved.
ENDED = """
import json, os, sys
from pathlib import Path
import fer_training.fit.fit as module

class End(module.EpochLines):
    def on_train_end(self, trainer, pl_module):
        os.kill(os.getpid(), int(sys.argv[4]))

module.EpochLines = End
try:
    module.fit(json.loads(sys.argv[1]), data=Path(sys.argv[2]), out=Path(sys.argv[3]), progress=False)
except KeyboardInterrupt:
    print("interrupted")
"""


def _fit_killed_in_epoch(epoch: int, recipe: dict[str, Any], *, data: Path, out: Path) -> None:
    command = [sys.executable, "-c", KILLED, json.dumps(recipe), str(data), str(out), str(epoch)]
    killed = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr


def _without_time(figures: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in figures.items() if name != "training_seconds"}


def test_interrupted_run_ends_like_an_unbroken_one(tiny_npz: Path, tmp_path: Path) -> None:
    whole = fit(QUICK, data=tiny_npz, out=tmp_path / "whole", progress=False)
    out = tmp_path / "broken"
    script = (
        "import json, sys; from pathlib import Path; from fer_training.fit.fit import fit;"
        "fit(json.loads(sys.argv[1]), data=Path(sys.argv[2]), out=Path(sys.argv[3]), progress=False)"
    )
    # More epochs' worth of time than it gets: killed without warning once the second epoch is on disk.
    process = subprocess.Popen(
        [sys.executable, "-c", script, json.dumps(QUICK), str(tiny_npz), str(out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    epochs = out / "epochs.csv"
    while not ((out / "resume.ckpt").is_file() and epochs.is_file()):
        assert time.monotonic() < deadline, "no epoch finished in time"
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.1)
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    # A disk that is full during a save: a clear error, and what was saved before is whole.
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(json.dumps(QUICK))
    full = subprocess.run(
        [
            *(sys.executable, "-m", "fer_training.cli", "fit", "--recipe", str(recipe)),
            *("--data", str(tiny_npz), "--out", str(out)),
        ],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert full.returncode == 1, full.stderr
    assert "free some space" in full.stderr
    assert "Traceback" not in full.stderr
    resumed = fit(QUICK, data=tiny_npz, out=out, progress=False)
    assert resumed["nll"] == whole["nll"]
    assert resumed["confusion"] == whole["confusion"]
    assert epochs.read_text() == (tmp_path / "whole" / "epochs.csv").read_text()
    a = load_checkpoint(tmp_path / "whole" / "weights.safetensors").state
    b = load_checkpoint(out / "weights.safetensors").state
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_plateau_early_stopping_and_the_best_epoch_survive_kills(tiny_npz: Path, tmp_path: Path) -> None:
    """Everything that remembers past epochs at once: schedule, stopping, best weights, average, mixup."""
    recipe = {
        **QUICK, "epochs": 12, "keep": "best", "early_stopping": 4,
        "schedule": {"name": "plateau", "factor": 0.3, "patience": 0},
        "optimizer": {"name": "adam", "lr": 0.02},
    }  # fmt: skip
    whole = fit(recipe, data=tiny_npz, out=tmp_path / "whole", progress=False)
    rows = (tmp_path / "whole" / "epochs.csv").read_text()
    rates = {line.split(",")[1] for line in rows.splitlines()[1:]}
    assert 5 <= whole["epochs"] < 12, "the run must stop early, or it shows nothing"
    assert len(rates) > 1, "the schedule must have acted, or it shows nothing"
    out = tmp_path / "broken"
    for epoch in (2, whole["epochs"] - 1):
        _fit_killed_in_epoch(epoch, recipe, data=tiny_npz, out=out)
    earlier = torch.load(out / "resume.ckpt", weights_only=False)["callbacks"]["Timer"]["time_elapsed"]["train"]
    resumed = fit(recipe, data=tiny_npz, out=out, progress=False)
    assert (out / "epochs.csv").read_text() == rows
    assert _without_time(resumed) == _without_time(whole)
    a, b = (load_checkpoint(d / "weights.safetensors") for d in (tmp_path / "whole", out))
    assert a.metrics == b.metrics
    assert all(torch.equal(a.state[name], b.state[name]) for name in a.state)
    # A run that has stopped early is over: it is not trained for one more epoch with every call.
    again = fit(recipe, data=tiny_npz, out=out, progress=False)
    assert _without_time(again) == _without_time(whole)
    # The time of the killed calls, most of the run, is part of it.
    assert again["training_seconds"] >= earlier > 0
    assert resumed["training_seconds"] > earlier


@pytest.mark.parametrize("name", ["sgd", "adamw", "muon"])
def test_what_an_optimizer_remembers_survives_a_kill(tiny_npz: Path, tmp_path: Path, name: str) -> None:
    recipe = {**QUICK, "optimizer": {"name": name, "lr": 0.005}}
    whole = fit(recipe, data=tiny_npz, out=tmp_path / "whole", progress=False)
    out = tmp_path / "broken"
    _fit_killed_in_epoch(2, recipe, data=tiny_npz, out=out)
    assert _without_time(fit(recipe, data=tiny_npz, out=out, progress=False)) == _without_time(whole)
    a, b = (load_checkpoint(d / "weights.safetensors").state for d in (tmp_path / "whole", out))
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_a_disk_that_is_full_at_the_start_does_not_cost_the_recipe(tmp_path: Path) -> None:
    """Without it nobody could go on with the run."""
    recipe = recipe_from_mapping(QUICK)
    claim(tmp_path, recipe, resume=True)
    (tmp_path / RESUME).touch()
    written = (tmp_path / RECIPE).read_text()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(RecipeError, match="the earlier file of that name is untouched; free some space"):
            claim(tmp_path, recipe, resume=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / RECIPE).read_text() == written
    claim(tmp_path, recipe, resume=True)


def test_finished_run_is_not_trained_again(tiny_npz: Path, tmp_path: Path) -> None:
    first = fit({**QUICK, "epochs": 1}, data=tiny_npz, out=tmp_path / "run", progress=False)
    epochs = tmp_path / "run" / "epochs.csv"
    rows = epochs.read_text()
    # What is drawn from it can be drawn again.
    epochs.unlink()
    again = fit({**QUICK, "epochs": 1}, data=tiny_npz, out=tmp_path / "run", progress=False)
    assert again["nll"] == first["nll"]
    assert epochs.read_text() == rows


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_in_an_epoch_is_no_accident(tiny_npz: Path, tmp_path: Path, number: signal.Signals) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(json.dumps({**QUICK, "epochs": 400}))
    out = tmp_path / "run"
    command = [
        *(sys.executable, "-m", "fer_training.cli", "fit", "--recipe", str(recipe)),
        *("--data", str(tiny_npz), "--out", str(out)),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if line.startswith("epoch 2 of 400"):
            process.send_signal(number)
            break
    _, rest = process.communicate(timeout=120)
    errors = "".join(lines) + rest
    assert process.returncode == 130, errors
    assert "the same command goes on from the last finished epoch" in errors
    assert "Traceback" not in errors
    # What the log of an unwatched run says, and nothing else: no adverts.
    assert "train loss" in lines[-1]
    assert "min left" in lines[-1]
    assert "litlogger" not in errors
    assert "GPU available" not in errors
    rows = len((out / "epochs.csv").read_text().splitlines()) - 1
    # The same command goes on (here only to see where, with a kill in place of 400 epochs).
    again = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert again.stderr is not None
    first = next(line for line in again.stderr if line.startswith("epoch "))
    again.kill()
    again.communicate()
    # An epoch is over when it is saved, a moment after its row is written.
    assert int(first.split()[1]) in {max(rows, 3), rows + 1}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_behind_the_last_epoch_is_not_lost(tiny_npz: Path, tmp_path: Path, number: signal.Signals) -> None:
    """Who trains many networks in a row would otherwise begin with the next."""
    recipe = {**QUICK, "epochs": 1}
    command = [sys.executable, "-c", ENDED, json.dumps(recipe), str(tiny_npz), str(tmp_path / "run"), str(int(number))]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.stdout == "interrupted\n", ended.stderr
    whole = fit(recipe, data=tiny_npz, out=tmp_path / "whole", progress=False)
    assert _without_time(fit(recipe, data=tiny_npz, out=tmp_path / "run", progress=False)) == _without_time(whole)
