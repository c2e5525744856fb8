"""RAF-DB: the list of labels and the images beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from fer_training.data.kinds import detect_kind
from fer_training.data.load import load_dataset
from fer_training.data.samples import DatasetError, Samples

#: One line for each number.
LINES = tuple(f"{'test' if number == 7 else 'train'}_{number:05d}.jpg {number}" for number in range(1, 8))


def write(trees: Any, part: str = "basic", *, lines: Sequence[str] = LINES, aligned: bool = True) -> Path:
    """A tree of RAF-DB; the folder of the part."""
    folder: Path = trees.root / part
    (folder / "EmoLabel").mkdir(parents=True)
    (folder / "EmoLabel" / "list_patition_label.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for seed, line in enumerate(lines):
        stem = Path(line.split()[0]).stem
        trees.write_image(f"{part}/Image/{f'aligned/{stem}_aligned' if aligned else f'original/{stem}'}.jpg", seed)
    return folder


def what(samples: Samples) -> list[tuple[str, str, str]]:
    labels = [samples.label_names[label] for label in samples.labels]
    files = [Path(source).name for source in samples.sources]
    return list(zip(files, samples.splits.tolist(), labels, strict=True))


@pytest.mark.parametrize("part", ["basic", "RAF-DB/basic", "RAF-DB"])
def test_numbers_and_splits(trees: Any, part: str) -> None:
    folder = write(trees, part)
    assert detect_kind(folder) == detect_kind(trees.root) == "raf_db"
    assert what(load_dataset(trees.root)) == [
        ("test_00007_aligned.jpg", "test", "neutral"),
        ("train_00001_aligned.jpg", "train", "surprised"),
        ("train_00002_aligned.jpg", "train", "scared"),
        ("train_00003_aligned.jpg", "train", "disgusted"),
        ("train_00004_aligned.jpg", "train", "happy"),
        ("train_00005_aligned.jpg", "train", "sad"),
        ("train_00006_aligned.jpg", "train", "angry"),
    ]


def test_original_images_where_there_are_no_aligned_ones(trees: Any) -> None:
    folder = write(trees, aligned=False)
    assert what(load_dataset(folder))[1] == ("train_00001.jpg", "train", "surprised")


def test_what_has_no_counterpart_is_listed(trees: Any) -> None:
    folder = write(trees)
    (folder / "Image/aligned/train_00002_aligned.jpg").unlink()
    trees.write_image("basic/Image/aligned/train_00099_aligned.jpg", 99)
    with (folder / "EmoLabel/list_patition_label.txt").open("a", encoding="utf-8") as file:
        file.write(f"train_{'9' * 300}.jpg 1\n")
    skipped = {Path(skip.source).name: skip.reason for skip in load_dataset(folder).skipped}
    assert skipped == {
        "train_00002_aligned.jpg": "the file does not exist",
        f"train_{'9' * 300}_aligned.jpg": "the file does not exist",
        "train_00099_aligned.jpg": "not in list_patition_label.txt",
    }


def test_the_basic_expressions_are_taken_of_both_parts(trees: Any) -> None:
    write(trees, "compound", lines=["train_00001.jpg 1"])
    write(trees)
    assert len(load_dataset(trees.root)) == 7


@pytest.mark.parametrize(("part", "line"), [("compound", "train_00001.jpg 1"), ("raf", "train_00001.jpg 11")])
def test_numbers_of_compound_expressions_are_not_taken_for_basic_ones(trees: Any, part: str, line: str) -> None:
    folder = write(trees, part, lines=[line])
    with pytest.raises(DatasetError, match=r"numbers the compound expressions .* give the folder 'basic'"):
        load_dataset(folder)


@pytest.mark.parametrize("line", ["train_00001.jpg 0", "train_00001.jpg", "train_00001.jpg happy", "a train_1.jpg 3"])
def test_a_line_of_another_form_is_an_error(trees: Any, line: str) -> None:
    folder = write(trees)
    (folder / "EmoLabel/list_patition_label.txt").write_text(f"{LINES[0]}\n{line}\n", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"line 2: .*; expected a name and a number from 1 to 7"):
        load_dataset(folder)


@pytest.mark.parametrize("part", ["Image", "Image/aligned"])
def test_images_without_the_list_name_the_folder_to_give(trees: Any, part: str) -> None:
    folder = write(trees)
    with pytest.raises(DatasetError, match=rf"images of RAF-DB without their labels; give {folder}, which"):
        load_dataset(folder / part)


def test_class_folders_beside_the_list_are_class_folders(trees: Any) -> None:
    folder = write(trees)
    trees.write_image("basic/sorted/happy/1.jpg", 1)
    assert len(load_dataset(folder / "sorted")) == 1


def test_missing_parts_are_named(trees: Any) -> None:
    folder = write(trees)
    (folder / "Image").rename(folder / "images")
    with pytest.raises(DatasetError, match="Image is missing or holds neither aligned nor original"):
        load_dataset(folder)
    with pytest.raises(DatasetError, match=r"holds no EmoLabel/list_patition_label\.txt"):
        load_dataset(folder / "images", kind="raf_db")
