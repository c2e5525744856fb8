"""CSV files as spreadsheets, data frames and other people write them."""

from __future__ import annotations

import csv
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fer_perception.labels import LABELS
from fer_training.data.load import load_dataset
from fer_training.data.readers.images import fit_square
from fer_training.data.samples import DatasetError


def fer_file(trees: Any, rows: list[list[str]], *, delimiter: str = ",", header: str = "emotion,pixels,Usage") -> Path:
    path = Path(trees.root / "fer2013.csv")
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(header.split(","))
        writer.writerows(rows)
    return path


def names(path: Path) -> list[str]:
    return [LABELS[label] for label in load_dataset(path).labels]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_every_delimiter(trees: Any, delimiter: str) -> None:
    rows = [trees.fer_row(label, seed, "Training") for seed, label in enumerate([0, 3, 6])]
    samples = load_dataset(fer_file(trees, rows, delimiter=delimiter))
    np.testing.assert_array_equal(samples.images, [trees.image(seed) for seed in range(3)])
    assert samples.labels.tolist() == [0, 3, 6]
    for name in ("happy", "sad"):
        trees.write_image(f"{name}.png", 1)
    manifest = trees.root / "list.csv"
    manifest.write_text("".join(delimiter.join(row) + "\n" for row in
                                [("path", "label"), ("happy.png", "happy"), ("sad.png", "sad")]))  # fmt: skip
    assert names(manifest) == ["happy", "sad"]


def test_votes_with_semicolons(trees: Any) -> None:
    path = fer_file(trees, [trees.fer_row(3, 1, "Training")], delimiter=";")
    votes = trees.votes_csv([("Training", "a.png", [0, 10, *[0] * 8])])
    votes.write_text(votes.read_text().replace(",", ";"))
    samples = load_dataset(path)
    assert samples.votes is not None
    assert samples.votes.tolist() == [[0, 10, *[0] * 8]]


def test_labels_as_fractions_and_words(trees: Any) -> None:
    labels = ["3.0", "4.", "6.00", "Happy", " Happiness ", "FEAR"]
    path = fer_file(trees, [trees.fer_row(label, 1, "Training") for label in labels])
    assert names(path) == ["happy", "sad", "neutral", "happy", "happy", "scared"]
    path = fer_file(trees, [trees.fer_row(label, 1, "Training") for label in ["3.5", "3", "-1.0", "nan"]])
    samples = load_dataset(path)
    assert len(samples) == 1
    assert len(samples.skipped) == 3


@pytest.mark.parametrize("column", ["label", "class", "Expression"])
def test_other_names_of_the_label(trees: Any, column: str) -> None:
    assert names(fer_file(trees, [trees.fer_row(3, 1, "Training")], header=f"{column},pixels,Usage")) == ["happy"]


@pytest.mark.parametrize("side", [32, 96, 300])
def test_images_of_another_size(trees: Any, side: int) -> None:
    image = trees.image(1, side)
    # The usual limit of the csv module.
    csv.field_size_limit(131072)
    row = ["3", " ".join(map(str, image.ravel())), "Training"]
    path = fer_file(trees, [row, trees.fer_row(3, 1, "Training")])
    samples = load_dataset(path)
    np.testing.assert_array_equal(samples.images, [fit_square(image, 48)])
    assert samples.skip_summary() == {f"the pixel row has 2304 values, expected {side**2}": 1}
    np.testing.assert_array_equal(load_dataset(path, size=side).images, [image])


def test_a_manifest_whose_columns_are_not_what_they_are_called(trees: Any) -> None:
    trees.write_image("a.png", 1)
    manifest = trees.root / "list.csv"
    with manifest.open("w", newline="") as file:
        csv.writer(file).writerows([["image", "emotion"], trees.fer_row(3, 1, "")[1::-1]])
    with pytest.raises(DatasetError, match=r"by the column 'image', .*gray values: call that column pixels"):
        load_dataset(manifest)
    manifest.write_text("path,filename,label\n/data/x,a.png,happy\n")
    with pytest.raises(
        DatasetError, match="'path', which holds '/data/x'; rename it if the files are named by filename"
    ):
        load_dataset(manifest)
    manifest.write_text("image,mood\na.png,happy\n")
    with pytest.raises(DatasetError, match="expected emotion and pixels"):
        load_dataset(manifest)


def test_another_encoding_is_told_to_be_changed(trees: Any) -> None:
    for encoding in ("cp1252", "utf-16"):
        (trees.root / "list.csv").write_text("path,label\nüber.png,happy\n", encoding=encoding)
        with pytest.raises(DatasetError, match="save it anew as CSV in UTF-8"):
            load_dataset(trees.root / "list.csv")


@pytest.mark.parametrize("label_map", ["own", "imed"])
def test_an_unknown_class_is_told_before_the_images_are_read(
    trees: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, label_map: str
) -> None:
    for seed, name in enumerate(["Fears", "Fears", "happy"]):
        trees.write_image(f"{name}/{seed}.png", seed)

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fer_training.data.load.load_pixels", stop)
    with caplog.at_level(logging.WARNING), pytest.raises(KeyboardInterrupt):
        load_dataset(trees.root, label_map=label_map)
    assert "2 of 3 images are of the class 'Fears', no expression known here; did you mean 'fear'?" in caplog.text
    assert "'Fears': scared" in caplog.text
    caplog.clear()
    renamed = {"path": trees.root, "rename": {"fears": "scared"}}
    with caplog.at_level(logging.WARNING), pytest.raises(KeyboardInterrupt):
        load_dataset(renamed, label_map=label_map)
    assert caplog.text == ""
