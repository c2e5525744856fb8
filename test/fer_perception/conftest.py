"""Fixtures of many packages: tiny real ONNX models, gray images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def make_model(tmp_path: Path):
    """Write a tiny model with the given deviations and return its path."""

    pytest.importorskip("onnx", reason="the tests build their models with the onnx package")
    from tiny_model import tiny_model

    def make(name: str = "tiny.onnx", **changes) -> Path:
        path = tmp_path / name
        path.write_bytes(tiny_model(**changes).SerializeToString())
        return path

    return make


@pytest.fixture
def images() -> np.ndarray:
    """(200, 1, 48, 48) float32 gray values that differ from image to image."""
    return np.random.default_rng(1).uniform(0, 255, (200, 1, 48, 48)).astype(np.float32)
