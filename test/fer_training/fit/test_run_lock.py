"""Two trainings in one run directory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from quick_recipe import QUICK

pytest.importorskip("torch")

from fer_training.fit.fit import fit
from fer_training.fit.run_directory import LOCK, METRICS, sole_run
from fer_training.recipe import RecipeError

HOLD = """
import sys
from pathlib import Path
from fer_training.fit.run_directory import sole_run
with sole_run(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_training_is_refused_until_the_first_is_gone(tiny_npz: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(out)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        for resume in (True, False):
            with pytest.raises(RecipeError, match=rf"another training \(process {first.pid}\) is at work in .*run; "):
                fit({**QUICK, "epochs": 1}, data=tiny_npz, out=out, progress=False, resume=resume)
        assert [path.name for path in out.iterdir()] == [LOCK]
        # Killed as hard as can be, it keeps nobody out.
        first.kill()
        first.wait()
    assert fit({**QUICK, "epochs": 1}, data=tiny_npz, out=out, progress=False)["epochs"] == 1
    assert (out / METRICS).is_file()


def test_a_run_that_failed_lets_go(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="disk"), sole_run(tmp_path):
        raise OSError("disk")
    with sole_run(tmp_path):
        assert int((tmp_path / LOCK).read_text()) == os.getpid()
