"""How data sets lie on people's disks: wrapped, repackaged, merged, and with what programs leave beside images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fer_training.data.kinds import detect_kind
from fer_training.data.load import load_dataset
from fer_training.data.readers.folders import entries_below, subfolders
from fer_training.data.samples import DatasetError, Samples


def names(samples: Samples) -> list[str]:
    return [samples.label_names[label] for label in samples.labels]


class TestIgnoredFolders:
    @pytest.mark.parametrize("folder", [".ipynb_checkpoints", "@eaDir/1.png", "__MACOSX"])
    def test_copies_in_class_folders_are_no_images(self, trees: Any, folder: str) -> None:
        trees.write_image("happy/1.png", 1)
        trees.write_image(f"happy/{folder}/1-copy.png", 1)
        samples = load_dataset(trees.root)
        assert (len(samples), samples.videos, samples.skipped) == (1, None, ())

    def test_copies_beside_the_images_of_a_named_set(self, trees: Any) -> None:
        trees.write_image("KA.AN1.39.tiff", 1)
        trees.write_image(".ipynb_checkpoints/KA.AN1.39.tiff", 1)
        assert len(load_dataset(trees.root)) == 1

    def test_a_folder_that_cannot_be_read_is_an_error(self, tmp_path: Path) -> None:
        for read in (entries_below, subfolders):
            with pytest.raises(DatasetError, match=r"cannot read the folder .*gone"):
                read(tmp_path / "gone")


@pytest.mark.parametrize("ending", ["jfif", "ppm", "JPE"])
def test_rarer_endings_of_images(trees: Any, ending: str) -> None:
    image = trees.write_image("happy/1.jpg", 1)
    image.rename(image.with_suffix(f".{ending}"))  # What is in a file is read, not its ending.
    samples = load_dataset(trees.root)
    assert (len(samples), samples.skipped) == (1, ())


class TestNamedSets:
    @pytest.mark.parametrize("ending", ["jpg", "png", "tiff.jpg"])
    def test_copies_of_jaffe_in_another_format(self, trees: Any, ending: str) -> None:
        for seed, name in enumerate(("KA.AN1.39", "KM.HA2.5")):
            trees.write_image(f"jaffe/{name}.{ending}", seed)
        samples = load_dataset(trees.root)
        assert names(samples) == ["angry", "happy"]
        assert samples.subjects is not None
        assert samples.subjects.tolist() == ["KA", "KM"]

    def test_jaffe_in_class_folders_keeps_its_people(self, trees: Any) -> None:
        trees.write_image("angry/KA.AN1.39.jpg", 1)
        trees.write_image("happy/KA.HA1.29.jpg", 2)
        samples = load_dataset(trees.root)
        assert samples.subjects is not None
        assert samples.subjects.tolist() == ["KA", "KA"]

    def test_splits_of_jaffe_in_a_wrapped_folder(self, trees: Any) -> None:
        trees.write_image("jaffe/train/ANGRY/KA.AN1.39.tiff", 1)
        trees.write_image("jaffe/test/ANGRY/KM.AN2.18.tiff", 2)
        assert sorted(load_dataset(trees.root).splits.tolist()) == ["test", "train"]

    def test_ck48_below_splits_keeps_its_people(self, trees: Any) -> None:
        trees.write_image("train/anger/S010_004_00000017.png", 1)
        trees.write_image("test/anger/S010_004_00000018.png", 2)
        samples = load_dataset(trees.root)
        assert detect_kind(trees.root) == "ck48"
        assert samples.subjects is not None
        assert samples.subjects.tolist() == ["S010", "S010"]
        assert sorted(samples.splits.tolist()) == ["test", "train"]

    @pytest.mark.parametrize("name", ["S010_004_00000017.png", "KA.HA1.29.tiff", "AF01HAS.JPG"])
    def test_one_image_of_such_a_set_does_not_drop_all_others(self, trees: Any, name: str) -> None:
        trees.write_image(f"happy/{name}", 1)
        trees.write_image("happy/mine.png", 2)
        trees.write_image("sad/mine.png", 3)
        samples = load_dataset(trees.root)
        assert (names(samples), samples.skipped) == (["happy", "happy", "sad"], ())


class TestWrapped:
    def test_fer2013_one_folder_down(self, trees: Any) -> None:
        (trees.root / "fer2013").mkdir()
        trees.fer_csv([trees.fer_row(3, 1, "Training")], name="fer2013/fer2013.csv")
        trees.votes_csv([("Training", "a.png", [0, 10, 0, 0, 0, 0, 0, 0, 0, 0])], name="fer2013/fer2013new.csv")
        samples = load_dataset(trees.root)
        assert names(samples) == ["happy"]
        assert samples.votes is not None

    def test_the_archives_of_ck_plus_in_a_folder(self, trees: Any) -> None:
        root = trees.ck_plus({"S005/001": "   3.0000000e+00\n"})
        for name, wrapper in (("cohn-kanade-images", "extended"), ("Emotion", "Emotion_labels")):
            (root / "archive/CK+" / wrapper).mkdir(parents=True)
            (root / name).rename(root / "archive/CK+" / wrapper / name)
        assert names(load_dataset(root)) == ["neutral", "disgusted", "disgusted", "disgusted"]


class TestLevels:
    def test_splits_below_the_classes(self, trees: Any) -> None:
        for name in ("happy/train/1", "happy/test/2", "sad/train/clip/3"):
            trees.write_image(f"{name}.png", 1)
        samples = load_dataset(trees.root)
        assert list(zip(names(samples), samples.splits.tolist(), strict=True)) == [
            ("happy", "test"),
            ("happy", "train"),
            ("sad", "train"),
        ]
        assert samples.videos is not None
        assert samples.videos.tolist() == ["", "", "sad/clip"]

    def test_a_recording_called_like_a_split_is_a_recording(self, trees: Any) -> None:
        trees.write_image("happy/test/1.png", 1)
        trees.write_image("happy/clip/2.png", 2)
        samples = load_dataset(trees.root)
        assert set(samples.splits.tolist()) == {""}
        assert samples.videos is not None
        assert sorted(samples.videos.tolist()) == ["happy/clip", "happy/test"]

    @pytest.mark.parametrize("above", ["train_afew", "P001", "Strong/P001", "train/P001"])
    @pytest.mark.parametrize("label_map", ["fer7", "own"])
    def test_folders_above_the_classes_are_not_taken_for_classes(self, trees: Any, above: str, label_map: str) -> None:
        for top in (above, f"{above}_2"):
            trees.write_image(f"{top}/Happy/1.png", 1)
            trees.write_image(f"{top}/Sad/2.png", 2)
        with pytest.raises(DatasetError, match=r"but expressions below them \(.*/Happy\); give the folder that holds"):
            load_dataset(trees.root, label_map=label_map)

    def test_images_beside_files_of_labels(self, trees: Any) -> None:
        for split in ("train", "valid"):
            trees.write_image(f"{split}/images/1.png", 1)
            (trees.root / split / "labels").mkdir()
            (trees.root / split / "labels" / "1.txt").write_text("3 0.5 0.5 1 1\n")
        with pytest.raises(DatasetError, match=r"holds images, labels instead of class folders; .* a CSV manifest"):
            load_dataset(trees.root, label_map="own")

    @pytest.mark.parametrize(
        ("wrapper", "classes"),
        [
            ("{0}/{0}", ("happy", "sad")),
            ("{0}/{0}", ("0", "1")),
            ("{0}/faces", ("happy", "sad")),
            ("{0}/{0}/faces", ("happy", "sad")),
        ],
    )
    def test_splits_that_archives_wrapped_each(self, trees: Any, wrapper: str, classes: tuple[str, str]) -> None:
        for split in ("train", "test"):
            for name in classes:
                trees.write_image(f"{wrapper.format(split)}/{name}/1.png", 1)
        samples = load_dataset(trees.root, label_map="own")
        assert (samples.label_names, samples.videos) == (classes, None)
        assert samples.splits.tolist() == ["test", "test", "train", "train"]

    def test_a_folder_of_a_table_names_the_table(self, trees: Any) -> None:
        (trees.root / "labels.csv").write_text("path,label\n")
        with pytest.raises(DatasetError, match=r"to read a table give the file itself \(labels\.csv\)"):
            load_dataset(trees.root)

    def test_splits_called_sets(self, trees: Any) -> None:
        for split in ("train_set", "val_set", "TestSet"):
            trees.write_image(f"{split}/happy/1.png", 1)
        assert sorted(load_dataset(trees.root).splits.tolist()) == ["test", "train", "validation"]

    def test_images_of_ferplus_name_the_file_to_give(self, trees: Any) -> None:
        trees.write_image("data/FER2013Train/fer0000000.png", 1)
        (trees.root / "data/FER2013Train/label.csv").write_text('fer0000000.png,"(0, 0, 48, 48)",4,0,0,1,3,2,0,0,0,0\n')
        with pytest.raises(DatasetError, match=r"give fer2013\.csv, .* fer2013new\.csv \(the votes\) beside it"):
            load_dataset(trees.root)


class TestNumbers:
    def test_numbered_folders_are_not_guessed(self, trees: Any) -> None:
        for number in range(1, 8):
            trees.write_image(f"train/{number}/a.png", number)
        expected = r"surprise in RAF-DB.*YAML file given as data: `- \{path: ..., rename: \{1: ..., 2: ..., 3: ...\}\}`"
        with pytest.raises(DatasetError, match=expected):
            load_dataset(trees.root)

    def test_names_that_yaml_would_take_for_others_are_quoted(self, trees: Any) -> None:
        for folder in ("01", "02"):
            trees.write_image(f"numbered/{folder}/a.png", 1)
        with pytest.raises(DatasetError, match=r"rename: \{'01': ..., '02': ...\}\}`"):
            load_dataset(trees.root / "numbered")
        path: Path = trees.root / "all.yaml"
        path.write_text("- {path: numbered, rename: {'01': happy, '02': sad}}\n", encoding="utf-8")
        assert names(load_dataset(path)) == ["happy", "sad"]

    def test_the_file_that_the_error_asks_for(self, trees: Any) -> None:
        for number in (1, 2):
            trees.write_image(f"raf/train/{number}/a.png", number)
        path: Path = trees.root / "raf.yaml"
        path.write_text("- {path: raf, rename: {1: surprise, 2: fear}}\n", encoding="utf-8")
        assert names(load_dataset(path)) == ["surprised", "scared"]
        path.write_text("- {path: raf, rename: {1: surprise}}\n", encoding="utf-8")
        with pytest.raises(DatasetError, match="a class '2' that is not in the label map fer7"):
            load_dataset(path)

    def test_kept_as_they_are_they_are_warned_about(self, trees: Any, caplog: pytest.LogCaptureFixture) -> None:
        for number in (0, 1):
            trees.write_image(f"{number}/a.png", number)
        assert load_dataset(trees.root, label_map="own").label_names == ("0", "1")
        assert "the classes are numbers (0, 1)" in caplog.text
