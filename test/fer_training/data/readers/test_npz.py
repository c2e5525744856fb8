"""The prepared format: reading, writing, and every way a file can be wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from full_disk import fill_the_disk

from fer_perception.labels import LABELS
from fer_training.data.load import load_dataset
from fer_training.data.readers.npz import read_npz, write_npz
from fer_training.data.samples import DatasetError, Samples


def samples(count: int = 6) -> Samples:
    random = np.random.default_rng(0)
    return Samples(
        images=random.integers(0, 256, (count, 48, 48), dtype=np.uint8),
        labels=np.arange(count, dtype=np.int64) - 1,
        label_names=LABELS,
        splits=np.array(["train", "validation"] * (count // 2)),
        sources=np.array([f"clip/{index}.png" for index in range(count)]),
        votes=random.integers(0, 11, (count, 10), dtype=np.uint8),
        subjects=np.array([f"S{index:03d}" for index in range(count)]),
        videos=np.array([f"clip{index // 2}" for index in range(count)]),
    )


def test_what_is_written_is_read(tmp_path: Path) -> None:
    written = samples()
    write_npz(tmp_path / "set.npz", written)
    read = read_npz(tmp_path / "set.npz")
    # Splits are stored one after the other.
    order = np.argsort(written.splits, kind="stable")
    for name in ("images", "labels", "splits", "sources", "votes", "subjects", "videos"):
        np.testing.assert_array_equal(getattr(read, name), getattr(written, name)[order], err_msg=name)
    assert read.label_names == LABELS


def test_other_class_names_travel(tmp_path: Path) -> None:
    names = ("calm", "tense")
    written = samples(4).take([1, 2])
    written = Samples(written.images, np.array([1, 0]), names, written.splits, written.sources)
    write_npz(tmp_path / "set.npz", written)
    read = load_dataset(tmp_path / "set.npz", label_map="own")
    assert read.label_names == names
    # "validation" comes before "train" in what was written.
    assert [read.label_names[label] for label in read.labels] == ["tense", "calm"]


def test_unknown_labels_are_counted_and_listed(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    np.savez(
        path,
        train_images=np.zeros((3, 48, 48), np.uint8),
        train_labels=np.array([0, 255, 6], np.uint8),
    )
    read = load_dataset(path, split="train")
    assert read.labels.tolist() == [0, 6]
    assert [(skip.source, skip.reason) for skip in read.skipped] == [
        ("set.npz:train_images[1]", "the label is unknown")
    ]


def test_split_by_any_usual_name(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    write_npz(path, samples())
    assert len(load_dataset(path, split="PublicTest")) == 3
    assert len(load_dataset(path, split="all")) == 5
    with pytest.raises(DatasetError, match="has no test split; it has train, validation"):
        load_dataset(path, split="test")
    with pytest.raises(DatasetError, match="no split 'half'"):
        load_dataset(path, split="half")


def test_larger_images_are_brought_to_size(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    images = np.zeros((1, 96, 96), np.uint8)
    images[:, :, 48:] = 200
    np.savez(path, train_images=images, train_labels=np.array([0], np.uint8))
    read = load_dataset(path)
    assert read.images.shape == (1, 48, 48)
    assert (read.images[0, :, :24] == 0).all()
    assert (read.images[0, :, 24:] == 200).all()
    assert load_dataset(path, size=96).images.shape == (1, 96, 96)


GOOD = {"train_images": np.zeros((2, 48, 48), np.uint8), "train_labels": np.zeros(2, np.uint8)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_labels": None}, "has train_images but no train_labels"),
        ({"train_images": None}, "expected at least one pair like train_images and train_labels"),
        ({"train_images": np.zeros((2, 48), np.uint8)}, r"expected uint8 \(N, H, W\)"),
        ({"train_images": np.zeros((2, 48, 48), np.float32)}, r"train_images is float32"),
        ({"train_labels": np.zeros(3, np.uint8)}, "expected 2 integers"),
        ({"train_labels": np.zeros(2, np.float32)}, "expected 2 integers"),
        ({"train_labels": np.array([0, 9], np.uint8)}, r"train_labels\[1\] is 9; expected 0 to 6, or 255"),
        ({"train_labels": np.array([6, 7], np.uint8)}, r"train_labels\[1\] is 7; expected 0 to 6, or 255"),
        ({"train_labels": np.array([-2, 0], np.int64)}, r"train_labels\[0\] is -2; expected 0 to 6, or 255"),
        ({"train_votes": np.zeros((2, 8), np.uint8)}, r"train_votes has the shape \(2, 8\); expected \(2, 10\)"),
        ({"train_votes": np.full((2, 10), 256)}, r"train_votes \(int64\) are no counts of votes; .* from 0 to 255"),
        ({"train_votes": np.full((2, 10), -1)}, "train_votes .* are no counts"),
        ({"train_votes": np.full((2, 10), np.nan)}, "train_votes .* are no counts"),
        ({"train_subjects": np.array(["a"])}, "train_subjects has the shape"),
        ({"train_subjects": np.array([b"\xff", b"a"])}, "train_subjects is .*; expected text"),
        ({"label_names": np.zeros(2, "V3")}, "label_names is .*; expected text"),
        ({"train_images": np.zeros((2, 48, 0), np.uint8)}, r"expected uint8 \(N, H, W\)"),
        ({"train_images": np.zeros((0, 48, 48), np.uint8), "train_labels": np.zeros(0, np.uint8)}, "holds no image"),
    ],
)
def test_wrong_arrays_are_named(tmp_path: Path, change: dict[str, np.ndarray | None], message: str) -> None:
    arrays = {name: value for name, value in {**GOOD, **change}.items() if value is not None}
    np.savez(tmp_path / "set.npz", **arrays)
    with pytest.raises(DatasetError, match=message):
        load_dataset(tmp_path / "set.npz")


def test_damaged_files_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    write_npz(path, samples())
    whole = path.read_bytes()
    for damage in (whole[: len(whole) // 2], b"PK\x03\x04 no archive", b""):
        path.write_bytes(damage)
        with pytest.raises(DatasetError, match="damaged or not an npz file"):
            load_dataset(path)


def test_one_array_by_the_name_of_many_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    with path.open("wb") as file:
        np.save(file, GOOD["train_images"])
    with pytest.raises(DatasetError, match="it is no zip archive"):
        load_dataset(path)


@pytest.mark.parametrize("label_names", [np.array([b"sad", b"happy"]), np.array(["Sadness", "joy"])])
def test_class_names_of_any_text_type(tmp_path: Path, label_names: np.ndarray) -> None:
    np.savez(tmp_path / "set.npz", **{**GOOD, "train_labels": np.array([0, 1], np.uint8)}, label_names=label_names)
    samples = load_dataset(tmp_path / "set.npz")
    assert [LABELS[label] for label in samples.labels] == ["sad", "happy"]


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    np.savez(path, train_images=np.array([object()]), train_labels=np.zeros(1, np.uint8))
    with pytest.raises(DatasetError, match="damaged or not an npz file"):
        load_dataset(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no data set at"):
        load_dataset(tmp_path / "no.npz")
    with pytest.raises(DatasetError, match="there is no file"):
        read_npz(tmp_path / "no.npz")


def test_full_disk_leaves_the_previous_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "set.npz"
    write_npz(path, samples())
    before = path.read_bytes()
    fill_the_disk(monkeypatch)
    with pytest.raises(DatasetError, match=r"cannot write .*set.npz \(No space left on device\)"):
        write_npz(path, samples())
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("prefix", "asked"),
    [
        ("test_", "test"),
        ("privatetest_", "test"),
        ("PrivateTest_", "private_test"),
        ("private_", "PrivateTest"),
        ("publictest_", "validation"),
        ("val_", "public"),
        ("part7_", "part7"),
        ("", "all"),
        ("all_", None),
    ],
)
def test_splits_are_known_by_their_usual_names(tmp_path: Path, prefix: str, asked: str | None) -> None:
    path = tmp_path / "set.npz"
    arrays = {f"{prefix}images": np.zeros((2, 48, 48), np.uint8), f"{prefix}labels": np.array([3, 4], np.uint8)}
    np.savez(path, train_images=np.zeros((1, 48, 48), np.uint8), train_labels=np.array([0], np.uint8), **arrays)
    read = load_dataset(path, split=asked)
    expected = [3, 4] if asked not in (None, "all") else [0, 3, 4]
    assert read.labels.tolist() == expected
    assert read.sources[-1] == f"set.npz:{prefix}images[1]"


def test_a_split_that_is_there_twice(tmp_path: Path) -> None:
    images, labels = np.zeros((2, 48, 48), np.uint8), np.array([3, 4], np.uint8)
    path = tmp_path / "set.npz"
    np.savez(path, test_images=images, test_labels=labels, private_images=images, private_labels=labels)
    with pytest.raises(DatasetError, match="holds test_images beside another test split; expected each split once"):
        read_npz(path)


def test_a_split_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    np.savez(path, images=np.zeros((2, 48, 48), np.uint8), labels=np.array([3, 4], np.uint8))
    with pytest.raises(DatasetError, match="no test split; it has no splits at all: ask for the split 'all'"):
        load_dataset(path, split="test")
    with pytest.raises(DatasetError, match="there is no split 'tset'; expected train, validation, test or all"):
        load_dataset(path, split="tset")
