"""The benchmark over DDS gives the figures that are promised, and they are of the faces it claims."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from started_processes import started_by

pytestmark = [pytest.mark.ros, pytest.mark.slow]


@pytest.mark.yunet
def test_figures_of_one_short_measurement(ros_domain_id: int, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("skimage")
    pytest.importorskip("matplotlib")
    from fer_perception.benchmark.ros import latency

    told: list[str] = []
    figures = latency(4, seconds=1.0, progress=told.append)
    key = "ros.vga_4_faces"
    assert figures[f"{key}.faces_count"] == pytest.approx(4.0, abs=0.5)
    assert 0 < figures[f"{key}.p50_ms"] <= figures[f"{key}.p99_ms"] <= figures[f"{key}.max_ms"]
    stages = sum(
        figures[f"{key}.{stage}_ms"] for stage in ("decode", "detect", "crop", "classify", "smooth", "publish")
    )
    assert 0 < stages < figures[f"{key}.max_ms"]
    assert 50 < figures[f"{key}.resident_mb"] < 2000
    assert 0 < figures[f"{key}.answered_percent"] <= 100
    assert len(told) == 1
    assert capsys.readouterr().out == "", "standard output is for results"


@pytest.mark.parametrize("faces", [1, 4, 16])
def test_the_canvas_shows_so_many_faces(faces: int) -> None:
    pytest.importorskip("skimage")
    pytest.importorskip("matplotlib")
    from fer_perception.benchmark.faces_canvas import moving_faces
    from fer_perception.errors import ModelError
    from fer_perception.model_files.store import ModelStore
    from fer_perception.pipeline import build_pipeline
    from fer_perception.pipeline_types import Frame
    from fer_perception.settings.pipeline_settings import PipelineSettings

    try:
        ModelStore().find("yunet")
    except ModelError:
        pytest.skip("the face detector is not fetched: fer models fetch yunet")
    first, second, *_ = moving_faces(faces, frames=4)
    assert first.shape == second.shape == (480, 640, 3)
    assert (first != second).any()
    pipeline = build_pipeline(PipelineSettings(threads=1))
    (result,) = pipeline.process([Frame(first, 0, still=True)])
    pipeline.close()
    assert len(result.faces) == faces


def test_a_benchmark_that_is_ended_while_the_node_starts_takes_it_along(ros_domain_id: int) -> None:
    """SIGTERM reaches the benchmark alone, unlike Ctrl-C in a terminal."""
    pytest.importorskip("skimage")
    pytest.importorskip("matplotlib")
    command = [sys.executable, "-c", "from fer_perception.cli import main; main()", "benchmark", "ros"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    nodes: list[int] = []
    try:
        deadline = time.monotonic() + 120.0
        while not (nodes := started_by(process.pid, "measured_node")):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.terminate()
        _, error = process.communicate(timeout=60)
        assert "Traceback" not in error
        assert [pid for pid in nodes if Path(f"/proc/{pid}").is_dir()] == []
    finally:
        for pid in (process.pid, *nodes):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def test_a_node_that_is_killed_while_it_is_measured_is_told(ros_domain_id: int) -> None:
    from fer_perception.benchmark.ros import kept_figures
    from fer_perception.benchmark.ros_rig import RosRig
    from fer_perception.errors import SourceError

    with RosRig(["detector:=haar"]) as rig:
        (node,) = started_by(os.getpid(), "measured_node")
        os.kill(node, signal.SIGKILL)
        with pytest.raises(SourceError, match="the node ended before its time"):
            kept_figures(rig)
