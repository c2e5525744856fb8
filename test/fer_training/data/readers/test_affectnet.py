"""AffectNet: its lists and its annotations, one file per image."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fer_training.data.kinds import detect_kind
from fer_training.data.load import load_dataset
from fer_training.data.samples import DatasetError, Samples

HEADER = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"

#: Our names of the numbers from 0 on.
NAMES = ("neutral", "happy", "sad", "surprised", "scared", "disgusted", "angry", "contempt")


def row(image: str, number: object) -> str:
    return f"{image},8,8,30,30,10.5;11.2;20.1;11.0,{number},-0.1,0.2"


def write_lists(
    trees: Any,
    training: Sequence[object] = range(8),
    validation: Sequence[object] = (1, 3),
    *,
    lists: str = "Manually_Annotated_file_lists",
    images: str = "Manually_Annotated_Images",
) -> Path:
    """Both lists, that of the validation images without a header, and their images."""
    root: Path = trees.root
    (root / lists).mkdir(parents=True, exist_ok=True)
    for name, numbers, first in (("training", training, 0), ("validation", validation, 500)):
        rows = []
        for seed, number in enumerate(numbers, first):
            image = f"{seed % 3}/{seed:04d}.jpg"
            trees.write_image(f"{images}/{image}", seed)
            rows.append(row(image, number))
        header = [HEADER] if name == "training" else []
        (root / lists / f"{name}.csv").write_text("\n".join([*header, *rows]) + "\n", encoding="utf-8")
    return root


def write_part(trees: Any, part: str, numbers: Sequence[object]) -> Path:
    """Images and annotations of one split; as they come, numbers are text."""
    folder: Path = trees.root / part
    (folder / "annotations").mkdir(parents=True)
    for seed, number in enumerate(numbers):
        trees.write_image(f"{part}/images/{seed}.jpg", seed)
        np.save(folder / "annotations" / f"{seed}_exp.npy", np.array(number))
        np.save(folder / "annotations" / f"{seed}_val.npy", np.array("0.5"))
    return folder


def told(samples: Samples) -> list[tuple[str, str, str]]:
    labels = [samples.label_names[label] for label in samples.labels]
    files = [Path(source).stem for source in samples.sources]
    return sorted(zip(files, samples.splits.tolist(), labels, strict=True))


def reasons(samples: Samples) -> dict[str, str]:
    return {Path(skip.source).name: skip.reason for skip in samples.skipped}


@pytest.mark.parametrize(
    "folders",
    [
        {},
        {"images": "Manually_Annotated/Manually_Annotated_Images"},
        {"lists": ".", "images": "Manually_Annotated_compressed/Manually_Annotated_Images"},
        {"lists": ".", "images": "."},
        {"lists": "AffectNet/Manually_Annotated_file_lists", "images": "AffectNet/Manually_Annotated_Images"},
    ],
)
def test_lists_with_and_without_a_header(trees: Any, folders: dict[str, str]) -> None:
    root = write_lists(trees, **folders)
    assert detect_kind(root) == "affectnet"
    expected = [(f"{number:04d}", "train", name) for number, name in enumerate(NAMES)]
    expected += [("0500", "validation", "happy"), ("0501", "validation", "surprised")]
    assert told(load_dataset(root, label_map="fer8")) == expected


def test_one_list_is_a_data_set(trees: Any) -> None:
    root = write_lists(trees)
    file = root / "Manually_Annotated_file_lists/validation.csv"
    assert detect_kind(file) == "affectnet"
    assert told(load_dataset(file, split="validation")) == [
        ("0500", "validation", "happy"),
        ("0501", "validation", "surprised"),
    ]


def test_images_without_an_expression_are_listed(trees: Any) -> None:
    root = write_lists(trees, [1, 8, 9, 10, 11, "happy"])
    (root / "Manually_Annotated_Images/2/0500.jpg").unlink()
    with (root / "Manually_Annotated_file_lists/training.csv").open("a", encoding="utf-8") as file:
        file.write(f"0/0000.jpg,1,2\n\n{row('n' * 300, 1)}\n")
    samples = load_dataset(root)
    assert told(samples) == [("0000", "train", "happy"), ("0501", "validation", "surprised")]
    assert reasons(samples) == {
        "0001.jpg": "labeled as none",
        "0002.jpg": "labeled as uncertain",
        "0003.jpg": "labeled as no face",
        "0004.jpg": "its expression is '11'; expected a number from 0 to 10",
        "0005.jpg": "its expression is 'happy'; expected a number from 0 to 10",
        "0500.jpg": "the file does not exist",
        "training.csv:line 8": "it has 3 columns, expected 9",
        "n" * 300: "the file does not exist",
    }


def test_lists_without_images_say_where_they_belong(trees: Any) -> None:
    root = write_lists(trees)
    (root / "Manually_Annotated_Images").rename(root / "somewhere")
    with pytest.raises(DatasetError, match=r"expected Manually_Annotated_Images/0/0000\.jpg beside it or its folder"):
        load_dataset(root)


@pytest.mark.parametrize("part", ["", "AffectNet/", "train_set/"])
def test_annotations(trees: Any, part: str) -> None:
    write_part(trees, f"{part}train_set", [*map(str, range(8)), 1])
    root: Path = trees.root
    if part != "train_set/":
        write_part(trees, f"{part}val_set", ["6", "2"])
    assert detect_kind(root) == "affectnet"
    found = told(load_dataset(root, split="train", label_map="fer8"))
    assert found == [(str(number), "train", name) for number, name in enumerate([*NAMES, "happy"])]
    if part != "train_set/":
        assert told(load_dataset(root, split="val")) == [("0", "validation", "angry"), ("1", "validation", "sad")]


def test_one_part_is_a_data_set(trees: Any) -> None:
    folder = write_part(trees, "val_set", ["1", "7"])
    samples = load_dataset(folder)
    assert told(samples) == [("0", "validation", "happy")]
    assert reasons(samples) == {"1.jpg": "class 'contempt' is not in the label map fer7"}


def test_damaged_annotations_are_listed(trees: Any) -> None:
    folder = write_part(trees, "train_set", ["1", "2", "3", "4", "5", ["1", "2"]])
    annotations = folder / "annotations"
    (annotations / "1_exp.npy").write_bytes(b"\x93NUMPY")
    np.save(annotations / "2_exp.npy", np.array({}, dtype=object))
    (annotations / "3_exp.npy").unlink()
    (folder / "images/4.jpg").unlink()
    found = reasons(load_dataset(folder))
    assert found["1_exp.npy"].startswith("cannot be read (")
    assert "allow_pickle=False" in found["2_exp.npy"]
    assert found["3.jpg"] == "it has no _exp.npy among the annotations"
    assert found["4_exp.npy"] == "its image does not exist"
    assert found["5_exp.npy"].startswith("cannot be read (")
    assert len(found) == 5


def test_a_small_file_that_speaks_of_a_large_array_is_listed(trees: Any) -> None:
    folder = write_part(trees, "train_set", ["1", "2"])
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (2**50,)})
    (folder / "annotations/1_exp.npy").write_bytes(header.getvalue())
    assert reasons(load_dataset(folder))["1_exp.npy"].startswith("cannot be read (")


def test_nothing_usable_says_why(trees: Any) -> None:
    folder = write_part(trees, "train_set", ["8", "9"])
    with pytest.raises(DatasetError, match=r"not one image of .*train_set is usable: labeled as none; labeled as un"):
        load_dataset(folder)


def test_images_alone_name_the_folder_to_give(trees: Any) -> None:
    part = write_part(trees, "new/train_set", ["1"])
    with pytest.raises(DatasetError, match=rf"images of AffectNet without their labels; give {part}, which"):
        load_dataset(part / "images")
    root = write_lists(trees, lists="old/Manually_Annotated_file_lists", images="old/Manually_Annotated_Images") / "old"
    with pytest.raises(DatasetError, match=rf"images of AffectNet without their labels; give {root}, which"):
        load_dataset(root / "Manually_Annotated_Images")


def test_a_folder_without_it_is_an_error(trees: Any) -> None:
    trees.write_image("happy/1.png", 1)
    assert detect_kind(trees.root) == "class_folders"
    with pytest.raises(DatasetError, match="holds no AffectNet; expected Manually_Annotated_file_lists/training"):
        load_dataset(trees.root, kind="affectnet")


def test_a_list_without_its_columns_is_an_error(trees: Any) -> None:
    file = trees.root / "list.csv"
    file.write_text("subDirectory_filePath,valence\n0/1.jpg,0.5\n", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"has \['subDirectory_filePat\.\.\.', 'valence'\]; expected the col"):
        load_dataset(file, kind="affectnet")
    (trees.root / "empty.csv").write_text("", encoding="utf-8")
    with pytest.raises(DatasetError, match="has no rows; expected the columns subDirectory_filePath and expression"):
        load_dataset(trees.root / "empty.csv", kind="affectnet")
