"""The benchmark over DDS gives the figures that are promised, and they are of the faces it claims."""

from __future__ import annotations

import pytest

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
    from fer_perception.model_store import ModelStore
    from fer_perception.pipeline import build_pipeline
    from fer_perception.pipeline_types import Frame
    from fer_perception.settings import PipelineSettings

    try:
        ModelStore().find("yunet_dynamic")
    except ModelError:
        pytest.skip("the face detector is not fetched: fer models fetch yunet")
    first, second, *_ = moving_faces(faces, frames=4)
    assert first.shape == second.shape == (480, 640, 3)
    assert (first != second).any()
    pipeline = build_pipeline(PipelineSettings(threads=1))
    (result,) = pipeline.process([Frame(first, 0, still=True)])
    pipeline.close()
    assert len(result.faces) == faces
