"""What the scripts of benchmarks/ need and not every machine has."""

from __future__ import annotations

from pathlib import Path

import pytest

from fer_perception.errors import ModelError
from fer_perception.model_files.store import ModelStore


@pytest.fixture(scope="session")
def archive() -> Path:
    """FER2013 as an npz file, on a machine that has YuNet too."""
    data = Path(__file__).resolve().parents[3] / "shared" / "data" / "fer2013_trainval.npz"
    if not data.is_file():
        pytest.skip("no ../shared/data here")
    try:
        ModelStore().find("yunet")
    except ModelError as err:
        pytest.skip(f"no YuNet here: {err}")
    return data
