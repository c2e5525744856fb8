"""Tiny learnable data sets, untrained networks with realistic statistics, data sets of random images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch (extra [train])")

from fer_perception.labels import LABELS, LABELS_WITH_CONTEMPT  # noqa: E402
from fer_training import architectures  # noqa: E402
from fer_training.checkpoint import Checkpoint  # noqa: E402
from fer_training.deployed_network import standardize  # noqa: E402


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
    """Makes a tiny data set of so many training and validation images."""
    return lambda train, validation: write_tiny_npz(tmp_path / "tiny.npz", train=train, validation=validation)


@pytest.fixture
def tiny_npz(tmp_path: Path) -> Path:
    """Path of a tiny data set in the project's npz format."""
    return write_tiny_npz(tmp_path / "tiny.npz")


@pytest.fixture(scope="session")
def untrained() -> Callable[..., Checkpoint]:
    """Make a checkpoint of a network that has seen images (its batch norms are in use) but no labels."""

    def make(name: str = "arch1", *, classes: int = 7, temperature: float = 1.3, **arguments: int) -> Checkpoint:
        torch.manual_seed(0)
        arguments = {"in_channels": 1, "input_size": 48, "num_classes": classes} | arguments
        network = architectures.create(name, **arguments)
        shape = (16, arguments["in_channels"], arguments["input_size"], arguments["input_size"])
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d | torch.nn.BatchNorm1d):
                torch.nn.init.uniform_(module.weight, 0.5, 1.5)
                torch.nn.init.uniform_(module.bias, -0.5, 0.5)
                # The statistics of the next batch itself, so that activations have a trained network's size.
                module.momentum = 1.0
        with torch.no_grad():
            network.train()(standardize(torch.rand(shape) * 255))
        return Checkpoint(
            name,
            arguments,
            LABELS if classes == 7 else LABELS_WITH_CONTEMPT,
            network.state_dict(),
            temperature=temperature,
            recipe="architecture: arch1\nprotocol: clean\n",
            source_commit="0123abc",
        )

    return make


@pytest.fixture(scope="session")
def drawn_npz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set like fer2013_trainval.npz, of random images; validation images 3 and 7 also occur in training.

    60 validation images with the classes in turn, label 5 unknown; eight FER+ votes for the label, two for contempt.
    """
    rng = np.random.default_rng(4)
    train = rng.integers(0, 256, (40, 48, 48), dtype=np.uint8)
    validation = rng.integers(0, 256, (60, 48, 48), dtype=np.uint8)
    validation[[3, 7]] = train[[0, 1]]
    labels = np.arange(60, dtype=np.uint8) % 7
    votes = np.zeros((60, 10), dtype=np.uint8)
    votes[np.arange(60), np.array([4, 5, 6, 1, 3, 2, 0])[labels]] = 8
    votes[:, 7] = 2
    labels[5] = 255
    path = tmp_path_factory.mktemp("drawn") / "drawn.npz"
    np.savez_compressed(
        path,
        train_images=train,
        train_labels=np.arange(40, dtype=np.uint8) % 7,
        train_votes=np.zeros((40, 10), dtype=np.uint8),
        validation_images=validation,
        validation_labels=labels,
        validation_votes=votes,
    )
    return path
