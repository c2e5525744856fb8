"""A tiny learnable data set: pictures whose brightness pattern gives the class away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One thread here and in child processes: sums are rounded alike everywhere, and nobody waits."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def write_tiny_npz(path: Path, *, train: int = 140, validation: int = 42, seed: int = 0) -> Path:
    """Seven classes, each a bright bar at its own height, with noise and votes for the true class."""
    random = np.random.default_rng(seed)
    arrays = {}
    column = (4, 5, 6, 1, 3, 2, 0)
    for split, count in (("train", train), ("validation", validation)):
        labels = (np.arange(count) % 7).astype(np.uint8)
        images = random.integers(0, 80, (count, 48, 48)).astype(np.uint8)
        votes = np.zeros((count, 10), np.uint8)
        for i, label in enumerate(labels):
            images[i, 3 + 6 * label : 8 + 6 * label] += 150
            votes[i, column[label]] = 10
        arrays |= {f"{split}_images": images, f"{split}_labels": labels, f"{split}_votes": votes}
    np.savez(path, **arrays)
    return path


@pytest.fixture
def npz_of(tmp_path: Path) -> Callable[[int, int], Path]:
    """Makes a tiny data set of so many training and validation pictures."""
    return lambda train, validation: write_tiny_npz(tmp_path / "tiny.npz", train=train, validation=validation)


@pytest.fixture
def tiny_npz(tmp_path: Path) -> Path:
    """Path of a tiny data set in the project's npz format."""
    return write_tiny_npz(tmp_path / "tiny.npz")
