"""Checkpoints that were written by something else, or by nobody."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from full_disk import fill_the_disk
from safetensors.torch import save_file

from fer_training.checkpoint import FORMAT, Checkpoint, CheckpointError, load_checkpoint, save_checkpoint

ENTRIES = {
    "format": FORMAT,
    "architecture": "lenet",
    "arguments": json.dumps({"in_channels": 1}),
    "labels": json.dumps(["happy", "sad"]),
    "normalisation": "per_image_standardisation",
    "temperature": "1.5",
    "recipe": "",
    "metrics": "{}",
    "source_commit": "",
}


def written(path: Path, entries: dict[str, str]) -> Path:
    save_file({"weight": torch.ones(2)}, path, metadata=entries)
    return path


def test_all_entries_make_a_checkpoint(tmp_path: Path) -> None:
    checkpoint = load_checkpoint(written(tmp_path / "w.safetensors", ENTRIES))
    assert checkpoint.labels == ("happy", "sad")
    assert checkpoint.temperature == 1.5


def test_biases_and_class_prior_are_optional_and_come_back(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    plain = load_checkpoint(written(path, ENTRIES))
    assert (plain.biases, plain.class_prior) == ((), ())
    stated = replace(plain, biases=(0.25, -0.25), class_prior=(0.75, 0.25))
    save_checkpoint(path, stated)
    again = load_checkpoint(path)
    assert (again.biases, again.class_prior) == (stated.biases, stated.class_prior)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("biases", "[1.0]"),
        ("biases", "[NaN, 0.0]"),
        ("biases", "1"),
        ("class_prior", "[0.0, 1.0]"),
        ("class_prior", "[0.5, 0.3, 0.2]"),
        ("class_prior", '["a", "b"]'),
    ],
)
def test_biases_and_class_prior_that_are_none_are_refused(tmp_path: Path, key: str, value: str) -> None:
    with pytest.raises(CheckpointError, match="has an entry that does not parse"):
        load_checkpoint(written(tmp_path / "w.safetensors", ENTRIES | {key: value}))


@pytest.mark.parametrize("missing", sorted(ENTRIES.keys() - {"format"}))
@pytest.mark.parametrize("architecture", [None, "lenet"])
def test_a_missing_entry_is_named(tmp_path: Path, missing: str, architecture: str | None) -> None:
    entries = {key: value for key, value in ENTRIES.items() if key != missing}
    path = written(tmp_path / "w.safetensors", entries)
    with pytest.raises(CheckpointError, match=rf"w\.safetensors lacks the entry '{missing}'; expected a file that"):
        load_checkpoint(path, architecture=architecture)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("arguments", "{"),
        ("arguments", "[1]"),
        ("arguments", '{"in_channels": "one"}'),
        ("arguments", '{"name": "arch1"}'),
        ("arguments", "[" * 100_000),
        ("labels", "happy, sad"),
        ("labels", '"happy"'),
        ("labels", "[1, 2]"),
        ("temperature", "warm"),
        ("metrics", "none"),
        ("metrics", "3"),
    ],
)
def test_an_entry_that_does_not_parse_is_refused(tmp_path: Path, key: str, value: str) -> None:
    path = written(tmp_path / "w.safetensors", ENTRIES | {key: value})
    with pytest.raises(CheckpointError, match=r"w\.safetensors has an entry that does not parse"):
        load_checkpoint(path)


def test_a_full_disk_leaves_the_earlier_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "w.safetensors", ENTRIES)
    fill_the_disk(monkeypatch)
    checkpoint = Checkpoint("lenet", {}, ("happy", "sad"), {"weight": torch.zeros(2)})
    with pytest.raises(CheckpointError, match=r"cannot write .*w\.safetensors \(No space left on device\)"):
        save_checkpoint(path, checkpoint)
    assert load_checkpoint(path).state["weight"].tolist() == [1, 1]
