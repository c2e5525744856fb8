"""Network outputs of wobbling images, real and synthetic."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fer_perception.benchmark.temporal.frame_outputs import (
    WOBBLE_TIME,
    FrameOutputs,
    from_images,
    halves,
    held_out_file,
    synthetic,
)
from fer_perception.benchmark.temporal.label_measures import calibration_error
from fer_perception.errors import FerError
from fer_perception.labels import LABELS
from fer_perception.model_files.metadata import ModelMetadata


class Brightness:
    """A classifier that takes bright images for happy and dark ones for sad: small, but its outputs are real."""

    def __init__(self, labels: tuple[str, ...] = LABELS) -> None:
        self.metadata = ModelMetadata("brightness", labels, (1, 48, 48), "none", ((0.0, 0.0),) * 5, 1.0)
        self.backend = self.reason = "numpy"

    def classify(self, batch: np.ndarray) -> np.ndarray:
        assert batch.dtype == np.float32
        assert batch.min() >= 0
        assert batch.max() <= 255
        out = np.full((len(batch), 7), 0.01, np.float32)
        happy = batch.mean(axis=(1, 2, 3)) / 255
        out[:, LABELS.index("happy")] += 0.93 * happy
        out[:, LABELS.index("sad")] += 0.93 * (1 - happy)
        return out

    def close(self) -> None:
        """Nothing to release."""


def archive(path: Path) -> Path:
    rng = np.random.default_rng(0)
    train = rng.integers(0, 256, (5, 48, 48), dtype=np.uint8)
    bright = rng.integers(180, 220, (6, 48, 48), dtype=np.uint8)
    dark = rng.integers(20, 60, (6, 48, 48), dtype=np.uint8)
    file = path / "images.npz"
    np.savez(
        file,
        train_images=train,
        validation_images=np.concatenate([bright, dark, train[:2]]),
        validation_labels=np.array([3] * 5 + [255] + [4] * 6 + [0, 0], np.uint8),
    )
    return file


def test_images_known_from_training_or_without_a_label_are_left_out(tmp_path: Path) -> None:
    lines: list[str] = []
    outputs, fingerprints = from_images(Brightness(), archive(tmp_path), views=4, seed=0, progress=lines.append)
    assert outputs.labels.tolist() == [3] * 5 + [4] * 6
    assert outputs.probabilities.shape == (11, 4, 7)
    assert fingerprints.shape == (11,)
    assert (outputs.probabilities.argmax(axis=-1) == outputs.labels[:, None]).all()
    np.testing.assert_allclose(outputs.probabilities.sum(axis=-1), 1.0)
    assert len(lines) == 4
    # Views differ, but a little.
    assert 0 < outputs.probabilities.std(axis=1).max() < 0.02


def test_another_order_of_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FerError, match="use a model with these"):
        from_images(Brightness(LABELS[::-1]), archive(tmp_path), views=2, seed=0, progress=print)


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"nothing")
    with pytest.raises(FerError, match=r"a\.npz cannot be read"):
        from_images(Brightness(), tmp_path / "a.npz", views=2, seed=0, progress=print)


def test_the_wobble_is_a_loop_without_jumps() -> None:
    outputs, _ = synthetic(images=20, views=6, seed=1)
    images = np.zeros(601, dtype=np.intp)
    path = outputs.at(images, np.linspace(0.0, 2 * WOBBLE_TIME, 601))
    np.testing.assert_allclose(path[0], outputs.probabilities[0, 0])
    np.testing.assert_allclose(path[50], outputs.probabilities[0, 1], atol=1e-9)
    np.testing.assert_allclose(path[0], path[300], atol=1e-9)
    assert np.abs(np.diff(path, axis=0)).max() < 0.02


def test_synthetic_outputs_are_calibrated_and_right_in_two_of_three() -> None:
    outputs, _ = synthetic(images=8000, views=4, seed=0)
    first = outputs.probabilities[:, 0]
    right = first.argmax(axis=-1) == outputs.labels
    assert 0.6 < right.mean() < 0.72
    assert calibration_error(first.max(axis=-1), right) < 0.02
    assert outputs.view_correlation(0.0) == pytest.approx(1.0)
    assert 0.7 < outputs.view_correlation(WOBBLE_TIME / 2) < outputs.view_correlation(1 / 30) < 1.0


def test_halves_share_no_image() -> None:
    outputs = FrameOutputs(np.arange(8.0).reshape(8, 1, 1), np.arange(8), "", np.ones(1))
    first, second = halves(outputs, np.array([0, 1, 2, 3, 255, 254, 7, 8], np.uint8))
    assert first.labels.tolist() == [0, 2, 5, 7]
    assert second.labels.tolist() == [1, 3, 4, 6]


def test_the_archive_is_named_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_DATA", str(tmp_path / "missing.npz"))
    assert held_out_file() is None
    monkeypatch.setenv("FER_DATA", str(archive(tmp_path)))
    assert held_out_file() == tmp_path / "images.npz"
