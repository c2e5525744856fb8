"""A teacher file that is not what it says: one sentence, and never an image learned from a wrong answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fer_training.distillation.teacher_file import read_teacher, write_teacher
from fer_training.recipe import RecipeError

HASHES = ["aa" * 32, "00" * 32]
LABELS = ("happy", "sad", "neutral")
ANSWERS = np.array([[0.5, 0.25, 0.25], [0.0, 0.0, 1.0]])


@pytest.mark.parametrize(
    "change",
    [
        {"about": "[]"},
        {"about": "{}"},
        {"about": "3"},
        {"about": '{"labels": "happy"}'},
        {"about": "[" * 100_000},
        {"about": None},
        {"hashes": None},
        {"hashes": np.zeros((2, 16), np.uint8)},
        {"hashes": np.zeros((2, 8), np.int64)},
        {"hashes": np.zeros(2, np.uint8)},
        {"hashes": np.array(HASHES)},
        {"probabilities": ANSWERS[:1]},
        {"probabilities": ANSWERS[:, :2]},
        {"probabilities": ANSWERS[:, 0]},
        {"probabilities": np.float32(1)},
        {"probabilities": ANSWERS.astype(str)},
        {"probabilities": ANSWERS * np.nan},
        {"probabilities": ANSWERS + np.inf},
        {"probabilities": -ANSWERS},
    ],
)
def test_wrong_contents(tmp_path: Path, change: dict[str, Any]) -> None:
    arrays = {
        "about": json.dumps({"labels": LABELS}),
        "hashes": np.array([[0xAA] * 8, [0] * 8], np.uint8),
        "probabilities": ANSWERS,
    }
    path = tmp_path / "teacher.npz"
    np.savez(path, **arrays)
    assert read_teacher(path, HASHES, labels=LABELS).tolist() == ANSWERS.tolist()
    np.savez(path, **{name: value for name, value in {**arrays, **change}.items() if value is not None})
    with pytest.raises(RecipeError, match=r"is no teacher file \(.+\); make one with"):
        read_teacher(path, HASHES, labels=LABELS)


def test_damage_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "teacher.npz"
    write_teacher(path, HASHES, ANSWERS, labels=LABELS, source="a test")
    whole = path.read_bytes()
    for length in range(0, len(whole), 40):
        path.write_bytes(whole[:length])
        with pytest.raises(RecipeError, match="is no teacher file"):
            read_teacher(path, HASHES, labels=LABELS)
    random = np.random.default_rng(0)
    for _ in range(100):
        damaged = np.frombuffer(whole, np.uint8).copy()
        damaged[random.integers(0, len(whole), 5)] = random.integers(0, 256, 5)
        path.write_bytes(damaged.tobytes())
        try:
            read_teacher(path, HASHES, labels=LABELS)
        except RecipeError:
            continue


def test_a_teacher_of_nothing_knows_no_image(tmp_path: Path) -> None:
    path = tmp_path / "teacher.npz"
    write_teacher(path, [], np.zeros((0, 3)), labels=LABELS, source="a test")
    assert read_teacher(path, HASHES, labels=LABELS).tolist() == [[0, 0, 0], [0, 0, 0]]
