"""ONNX Runtime's threads: as many as this process may use, none of them pinned."""

from __future__ import annotations

import os

import pytest

from fer_perception.inference.onnxruntime_network import session_options, usable_cores


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system knows no affinity masks")
def test_zero_threads_are_the_cores_of_the_container(monkeypatch: pytest.MonkeyPatch) -> None:
    """Told 0, ONNX Runtime would pin threads to cores outside of the cpuset, and complain at every start."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5, 7})
    assert usable_cores() == 3
    assert session_options(0).intra_op_num_threads == 3
    assert session_options(2).intra_op_num_threads == 2


def test_without_affinity_masks_all_cores_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert usable_cores() == 6
