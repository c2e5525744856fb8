"""A copy of a model that says something else of itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


def with_metadata(model: Path, copy: Path, key: str, value: Any) -> Path:
    """Write `model` to `copy` with the JSON of `value` under an existing metadata key; skips where onnx is missing.

    None takes the key out.
    """
    onnx = pytest.importorskip("onnx")
    graph = onnx.load(model)
    (entry,) = (each for each in graph.metadata_props if each.key == key)
    if value is None:
        graph.metadata_props.remove(entry)
    else:
        entry.value = json.dumps(value)
    onnx.save(graph, copy)
    return copy
