"""The detector and crop benchmarks give the figures their names promise."""

from __future__ import annotations

import pytest

from fer_perception.benchmark import crops as crops_part
from fer_perception.benchmark import detector as detector_part
from fer_perception.benchmark import load_part
from fer_perception.errors import ModelError
from fer_perception.model_files.store import ModelStore


def test_crops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crops_part, "_QUICK_SECONDS", 0.05)
    lines: list[str] = []
    figures = load_part("crops")(quick=True, progress=lines.append)
    assert {f"crops.{count}_faces{kind}.ms" for count in (1, 4, 16) for kind in ("", "_quality")} <= figures.keys()
    assert 0 < figures["crops.1_faces.ms"] < figures["crops.16_faces.ms"]
    assert len(lines) == 3


def test_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detector_part, "_QUICK_SECONDS", 0.1)
    lines: list[str] = []
    figures = load_part("detector")(quick=True, progress=lines.append)
    assert figures["detector.haar.vga.ms"] > 0
    try:
        ModelStore().find("yunet")
        ModelStore().find("yunet")
    except ModelError as err:
        assert "detector.yunet_ort.vga.ms" not in figures
        pytest.skip(f"no YuNet here: {err}")
    assert figures["detector.yunet_ort.320x256.ms"] < figures["detector.yunet_ort.vga.ms"]
    if "detector.yunet_cv2.vga.ms" not in figures:
        assert any("yunet_cv2 is left out" in line for line in lines)
        return
    ratio = figures["detector.yunet_cv2.vga.ms"] / figures["detector.yunet_ort.vga.ms"]
    assert figures["detector.yunet_cv2_to_yunet_ort.vga.ratio"] == pytest.approx(ratio)
    assert len(lines) == 3


def test_detector_says_what_is_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setattr(detector_part, "_QUICK_SECONDS", 0.05)
    monkeypatch.setenv("FER_MODEL_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    lines: list[str] = []
    figures = load_part("detector")(quick=True, progress=lines.append)
    assert "detector.haar.vga.ms" in figures
    assert not any("yunet" in key for key in figures)
    assert any("fer models fetch yunet" in line for line in lines)
