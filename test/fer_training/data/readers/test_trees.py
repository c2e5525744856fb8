"""Data sets of image files: class folders, CK+, JAFFE, manifests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from fer_perception.labels import LABELS, LABELS_WITH_CONTEMPT
from fer_training.data.kinds import detect_kind, load_index
from fer_training.data.load import load_dataset
from fer_training.data.readers.class_folders import read_class_folders
from fer_training.data.samples import DatasetError, Samples


def names(samples: Samples) -> list[str]:
    return [samples.label_names[label] for label in samples.labels]


class TestClassFolders:
    def test_splits_and_classes_of_fer2013_folders(self, trees: Any) -> None:
        trees.write_image("train/angry/1.png", 1)
        trees.write_image("train/fear/2.jpg", 2)
        trees.write_image("test/surprise/3.png", 3)
        samples = load_dataset(trees.root)
        assert samples.label_names == LABELS
        assert sorted(zip(samples.splits.tolist(), names(samples), strict=True)) == [
            ("test", "surprised"),
            ("train", "angry"),
            ("train", "scared"),
        ]
        angry = samples.images[names(samples).index("angry")]
        np.testing.assert_array_equal(angry, trees.image(1))

    def test_without_splits(self, trees: Any) -> None:
        trees.write_image("Happy/1.png", 1)
        trees.write_image("Sad/2.png", 2)
        samples = load_dataset(trees.root)
        assert names(samples) == ["happy", "sad"]
        assert set(samples.splits.tolist()) == {""}
        assert samples.videos is None

    def test_the_folder_of_one_split(self, trees: Any) -> None:
        for part in ("PrivateTest", "train"):
            trees.write_image(f"{part}/happy/1.png", 1)
        for asked in ("test", "PrivateTest"):
            samples = load_dataset(trees.root / "PrivateTest", split=asked)
            assert (names(samples), samples.splits.tolist()) == (["happy"], ["test"])
        with pytest.raises(DatasetError, match="has no train split; it has no splits at all"):
            load_dataset(trees.root / "PrivateTest", split="train")

    def test_folders_below_a_class_are_recordings(self, trees: Any) -> None:
        for clip, frame in (("a", 1), ("a", 2), ("b", 3)):
            trees.write_image(f"happy/clip_{clip}/{frame}.png", frame)
        samples = load_dataset(trees.root)
        assert samples.videos is not None
        assert samples.videos.tolist() == ["happy/clip_a", "happy/clip_a", "happy/clip_b"]

    def test_corrupt_images_and_other_files_are_listed(self, trees: Any) -> None:
        trees.write_image("happy/good.png", 1)
        whole = trees.write_image("happy/cut.png", 2)
        whole.write_bytes(whole.read_bytes()[:40])
        (trees.root / "happy" / "empty.jpg").write_bytes(b"")
        (trees.root / "happy" / "notes.txt").write_text("hello")
        (trees.root / "happy" / "._good.png").write_bytes(b"resource fork of another system")
        (trees.root / "sad").mkdir()
        samples = load_dataset(trees.root)
        assert len(samples) == 1
        found = {Path(skip.source).name: skip.reason for skip in samples.skipped}
        assert found == {
            "cut.png": "the image is corrupt or of an unknown format",
            "empty.jpg": "the image is corrupt or of an unknown format",
            "notes.txt": "not an image file",
            "sad": "empty class folder",
        }

    def test_links_that_lead_nowhere_or_to_folders_are_listed(self, trees: Any) -> None:
        trees.write_image("happy/1.png", 1)
        trees.write_image("elsewhere/happy/2.png", 2)
        (trees.root / "happy" / "gone.png").symlink_to(trees.root / "nothing.png")
        (trees.root / "happy" / "clip").symlink_to(trees.root / "elsewhere" / "happy")
        (trees.root / "happy" / "2.png").symlink_to(trees.root / "elsewhere" / "happy" / "2.png")
        samples = load_dataset(trees.root, label_map="imed")
        assert [Path(source).name for source in samples.sources] == ["1.png", "2.png"]
        found = {Path(skip.source).name: skip.reason for skip in samples.skipped}
        assert found["gone.png"] == "a link to nothing"
        assert found["clip"] == "a link to a folder, which is not followed"

    @pytest.mark.parametrize("wrapped", ["images", "images/images"])
    def test_folders_that_archives_wrap_around_the_data_are_no_classes(self, trees: Any, wrapped: str) -> None:
        trees.write_image(f"{wrapped}/train/angry/1.png", 1)
        trees.write_image(f"{wrapped}/validation/fear/2.png", 2)
        trees.write_image("__MACOSX/images/train/angry/1.png", 3)
        samples = load_dataset(trees.root)
        assert names(samples) == ["angry", "scared"]
        assert samples.splits.tolist() == ["train", "validation"]

    def test_what_lies_beside_the_split_folders_is_listed(self, trees: Any) -> None:
        for name in ("train/angry/1", "test/angry/2", "extra/angry/3", "train/4", "5"):
            trees.write_image(f"{name}.png", 1)
        samples = load_dataset(trees.root)
        assert len(samples) == 2
        assert [(Path(skip.source).name, skip.reason) for skip in samples.skipped] == [
            ("extra", "a folder beside those of the splits"),
            ("5.png", "an image outside of the class folders"),
            ("4.png", "an image outside of the class folders"),
        ]

    def test_unknown_class_is_an_error_that_names_the_ways_out(self, trees: Any) -> None:
        trees.write_image("happy/1.png", 1)
        trees.write_image("bored/2.png", 2)
        with pytest.raises(DatasetError, match="a class 'bored' that is not in the label map fer7"):
            load_dataset(trees.root)
        assert sorted(names(load_dataset(trees.root, label_map="own"))) == ["bored", "happy"]
        kept = load_dataset(trees.root, label_map="imed")
        assert names(kept) == ["happy"]
        assert kept.skip_summary() == {"class 'bored' is not in the label map imed": 1}

    def test_list_of_classes_sets_their_order(self, trees: Any) -> None:
        trees.write_image("happy/1.png", 1)
        trees.write_image("bored/2.png", 2)
        samples = load_dataset(trees.root, label_map=["bored", "happiness"])
        assert samples.label_names == ("bored", "happy")

    def test_images_are_cut_to_the_central_square(self, trees: Any) -> None:
        wide = np.zeros((48, 96), np.uint8)
        wide[:, 24:72] = 255
        (trees.root / "happy").mkdir()
        cv2.imwrite(str(trees.root / "happy" / "wide.png"), wide)
        assert (load_dataset(trees.root).images[0] == 255).all()

    def test_color_becomes_gray(self, trees: Any) -> None:
        (trees.root / "happy").mkdir()
        red = np.zeros((48, 48, 3), np.uint8)
        red[..., 2] = 255
        cv2.imwrite(str(trees.root / "happy" / "red.png"), red)
        assert set(load_dataset(trees.root).images.ravel().tolist()) == {76}

    def test_much_larger_images_are_warned_about(self, trees: Any, caplog: pytest.LogCaptureFixture) -> None:
        trees.write_image("happy/large.png", 1, size=480)
        load_dataset(trees.root)
        assert "run `fer-train prepare` first" in caplog.text

    def test_no_image_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "happy").mkdir()
        with pytest.raises(DatasetError, match="holds no class folder with an image"):
            load_dataset(tmp_path)
        with pytest.raises(DatasetError, match="cannot read the folder"):
            read_class_folders(tmp_path / "missing")

    def test_only_corrupt_images_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "happy").mkdir()
        (tmp_path / "happy" / "a.png").write_bytes(b"x")
        with pytest.raises(DatasetError, match="not one image could be read"):
            load_dataset(tmp_path)


#: As the label files of CK+ are written; the last sequence has none.
SEQUENCES = {"S005/001": "   1.0000000e+00\n", "S010/002": "   7.0000000e+00\n", "S010/003": None}


class TestCkPlus:
    def test_peaks_neutral_subjects_and_videos(self, trees: Any) -> None:
        samples = load_dataset(trees.ck_plus(SEQUENCES))
        assert names(samples) == ["neutral", *["angry"] * 3, "neutral", *["surprised"] * 3]
        assert samples.subjects is not None
        assert samples.videos is not None
        assert samples.subjects.tolist() == ["S005"] * 4 + ["S010"] * 4
        assert samples.videos.tolist() == ["S005/001"] * 4 + ["S010/002"] * 4
        # First frame and the last three.
        assert [Path(source).stem[-2:] for source in samples.sources[:4]] == ["01", "04", "05", "06"]
        np.testing.assert_array_equal(samples.images[3], trees.image(6))
        assert samples.skip_summary() == {"the sequence has no label": 1}

    def test_archives_that_unpack_into_folders_of_their_own(self, trees: Any) -> None:
        root = trees.ck_plus(SEQUENCES)
        plain = load_dataset(root)
        for name, wrapper in (("cohn-kanade-images", "extended-cohn-kanade-images"), ("Emotion", "Emotion_labels")):
            (root / wrapper).mkdir()
            (root / name).rename(root / wrapper / name)
        nested = load_dataset(root)
        assert names(nested) == names(plain)
        assert nested.videos is not None
        assert nested.videos.tolist() == ["S005/001"] * 4 + ["S010/002"] * 4

    def test_what_a_mac_puts_into_archives_is_passed_over(self, trees: Any) -> None:
        root = trees.ck_plus({"S005/001": "3"})
        (root / "cohn-kanade-images").rename(root / "images_archive")
        (root / "extended").mkdir()
        (root / "images_archive").rename(root / "extended/cohn-kanade-images")
        trees.write_image("__MACOSX/cohn-kanade-images/S005/001/._S005_001_00000001.png", 1)
        assert detect_kind(root) == "ck_plus"
        assert names(load_dataset(root)) == ["neutral", "disgusted", "disgusted", "disgusted"]

    def test_images_without_the_labels_are_refused(self, trees: Any) -> None:
        root = trees.ck_plus({"S005/001": "3"})
        with pytest.raises(DatasetError, match="without their labels; give the folder above it, beside Emotion"):
            load_dataset(root / "cohn-kanade-images")

    def test_paper_map_has_contempt_and_no_neutral(self, trees: Any) -> None:
        root = trees.ck_plus({**SEQUENCES, "S011/001": "2"})
        samples = load_dataset(root, label_map="paper")
        assert samples.label_names == ("angry", "disgusted", "scared", "happy", "sad", "surprised", "contempt")
        assert names(samples) == ["angry"] * 3 + ["surprised"] * 3 + ["contempt"] * 3
        # Neutral frames were not asked for: nothing to list.
        assert samples.skip_summary() == {"the sequence has no label": 1}

    def test_contempt_is_listed_as_left_out_of_seven_classes(self, trees: Any) -> None:
        samples = load_dataset(trees.ck_plus({"S011/001": "2", "S012/001": "5"}))
        assert samples.skip_summary() == {"class 'contempt' is not in the label map fer7": 3}
        assert names(samples) == ["neutral", "neutral", "happy", "happy", "happy"]

    @pytest.mark.parametrize(
        ("content", "reason"),
        [("nine", "does not hold a number"), ("9", "unknown label 9, expected 0 to 7"), ("1.5", "unknown label 1.5")],
    )
    def test_bad_label_file_is_listed(self, trees: Any, content: str, reason: str) -> None:
        samples = load_dataset(trees.ck_plus({"S005/001": "1", "S006/001": content}))
        assert len(samples) == 4
        assert reason in samples.skipped[0].reason

    def test_short_sequence_is_listed(self, trees: Any) -> None:
        trees.ck_plus({"S005/001": "1"})
        trees.write_image("cohn-kanade-images/S006/001/S006_001_00000001.png", 1)
        (trees.root / "Emotion/S006/001").mkdir(parents=True)
        (trees.root / "Emotion/S006/001/S006_001_00000001_emotion.txt").write_text("1")
        assert load_dataset(trees.root).skip_summary() == {"fewer than 4 frames": 1}

    def test_missing_folder_is_named(self, trees: Any) -> None:
        trees.write_image("cohn-kanade-images/S005/001/S005_001_00000001.png", 1)
        with pytest.raises(DatasetError, match="Emotion is missing"):
            load_dataset(trees.root)

    def test_no_label_at_all_is_an_error(self, trees: Any) -> None:
        with pytest.raises(DatasetError, match=r"no sequence of .* has a label \(1 left out\)"):
            load_dataset(trees.ck_plus({"S005/001": None}))


class TestCk48:
    def test_subject_and_video_from_the_name(self, trees: Any) -> None:
        trees.write_image("anger/S010_004_00000017.png", 1)
        trees.write_image("contempt/S138_008_00000007.png", 2)
        trees.write_image("contempt/readme.png", 3)
        samples = load_dataset(trees.root, label_map="fer8")
        assert detect_kind(trees.root) == "ck48"
        assert names(samples) == ["angry", "contempt"]
        assert samples.subjects is not None
        assert samples.videos is not None
        assert samples.subjects.tolist() == ["S010", "S138"]
        assert samples.videos.tolist() == ["S010/004", "S138/008"]
        assert samples.skip_summary() == {"not named as in CK+ (S005_001_00000011.png)": 1}


class TestJaffe:
    def test_expression_and_subject_from_the_name(self, trees: Any) -> None:
        for seed, name in enumerate(("KA.AN1.39", "KM.HA2.5", "TM.NE3.179", "YM.SU1.58", "UY.FE2.142")):
            trees.write_image(f"jaffe/{name}.tiff", seed, size=256)
        trees.write_image("jaffe/KA.XX1.40.tiff", 9)
        (trees.root / "jaffe/README").write_text("text")
        samples = load_dataset(trees.root / "jaffe")
        assert names(samples) == ["angry", "happy", "neutral", "scared", "surprised"]
        assert samples.subjects is not None
        assert samples.subjects.tolist() == ["KA", "KM", "TM", "UY", "YM"]
        assert samples.images.shape == (5, 48, 48)
        assert samples.skip_summary() == {"not named as in JAFFE (KA.AN1.39.tiff)": 1}

    def test_upper_case_and_folders_of_splits(self, trees: Any) -> None:
        trees.write_image("train/ANGRY/KA.AN1.39.TIFF", 1)
        trees.write_image("test/ANGRY/KM.AN2.18.TIFF", 2)
        samples = load_dataset(trees.root)
        assert samples.subjects is not None
        assert sorted(zip(samples.subjects.tolist(), samples.splits.tolist(), strict=True)) == [
            ("KA", "train"),
            ("KM", "test"),
        ]

    def test_other_names_are_an_error(self, trees: Any) -> None:
        trees.write_image("a.tiff", 1)
        with pytest.raises(DatasetError, match="no image named as in JAFFE"):
            load_dataset(trees.root, kind="jaffe")


class TestManifest:
    def write(self, root: Path, *lines: str) -> Path:
        path = root / "manifest.csv"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    def test_all_columns(self, trees: Any) -> None:
        trees.write_image("faces/a.png", 1)
        trees.write_image("faces/b.png", 2)
        path = self.write(
            trees.root,
            "path, label, split, subject, video",
            "faces/a.png, Happiness, train, P1, v1",
            "faces/b.png, Fear, val, P2, v2",
        )
        samples = load_dataset(path)
        assert names(samples) == ["happy", "scared"]
        assert samples.splits.tolist() == ["train", "validation"]
        assert samples.subjects is not None
        assert samples.videos is not None
        assert samples.subjects.tolist() == ["P1", "P2"]
        assert samples.videos.tolist() == ["v1", "v2"]

    def test_paths_of_windows(self, trees: Any) -> None:
        trees.write_image("faces/a.png", 1)
        assert names(load_dataset(self.write(trees.root, "path,label", "faces\\a.png,happy"))) == ["happy"]

    def test_mixed_emotions_of_imed_are_listed(self, trees: Any) -> None:
        trees.write_image("a.png", 1)
        trees.write_image("b.png", 2)
        path = self.write(trees.root, "file,emotion,clip", "a.png,sad,c1", "b.png,happy+surprise,c2")
        samples = load_dataset(path, label_map="imed")
        assert names(samples) == ["sad"]
        assert samples.skip_summary() == {"class 'happy+surprise' is not in the label map imed": 1}

    def test_bad_rows_are_listed(self, trees: Any) -> None:
        trees.write_image("a.png", 1)
        (trees.root / "b.txt").write_text("x")
        path = self.write(
            trees.root,
            "path,label,split",
            "a.png,happy,train",
            "no.png,happy,train",
            "b.txt,happy,train",
            "a.png,,train",
            "a.png,happy,later",
            f"{'a' * 5000}.png,happy,train",
        )
        samples = load_dataset(path)
        assert [(skip.source, skip.reason) for skip in samples.skipped] == [
            ("manifest.csv:line 3", "the file does not exist"),
            ("manifest.csv:line 4", "not an image file"),
            ("manifest.csv:line 5", "the label is missing"),
            ("manifest.csv:line 6", "unknown split 'later'"),
            ("manifest.csv:line 7", "the file does not exist"),
        ]

    def test_no_usable_row_is_an_error(self, trees: Any) -> None:
        path = self.write(trees.root, "path,label", "no.png,happy")
        with pytest.raises(
            DatasetError, match=r"not one row .* is usable: the file does not exist; files are looked for"
        ):
            load_dataset(path)

    def test_unknown_csv_is_an_error(self, tmp_path: Path) -> None:
        path = self.write(tmp_path, "when,what", "1,2")
        with pytest.raises(DatasetError, match=r"expected emotion and pixels \(FER2013\), or path and label"):
            load_dataset(path)


class TestSpecs:
    def test_several_sets_as_one(self, trees: Any) -> None:
        trees.write_image("folders/happy/1.png", 1)
        csv_file = trees.fer_csv([trees.fer_row(4, 2, "Training")])
        jaffe = trees.write_image("jaffe/KA.SU1.36.tiff", 3, size=256).parent
        samples = load_dataset([trees.root / "folders", {"path": csv_file, "split": "train"}, jaffe])
        assert names(samples) == ["happy", "sad", "surprised"]
        assert samples.splits.tolist() == ["", "train", ""]
        assert samples.subjects is not None
        assert samples.subjects.tolist() == ["", "", "KA"]

    def test_sets_of_other_classes_are_not_combined(self, trees: Any) -> None:
        trees.write_image("a/happy/1.png", 1)
        trees.write_image("b/happy/1.png", 1)
        with pytest.raises(DatasetError, match="cannot combine data sets with the classes"):
            load_dataset([{"path": trees.root / "a", "label_map": "fer8"}, trees.root / "b"])

    def test_sets_with_their_own_classes_get_those_of_both(self, trees: Any) -> None:
        csv_file = trees.fer_csv([trees.fer_row(4, 2, "Training")])
        trees.write_image("folders/smile/1.png", 1)
        trees.write_image("folders/contempt/3.png", 3)
        samples = load_dataset([trees.root / "folders", csv_file], label_map="own")
        assert samples.label_names == (*LABELS_WITH_CONTEMPT, "smile")
        assert names(samples) == ["contempt", "smile", "sad"]

    def test_renamed_classes_stay_with_the_classes_of_the_set(self, trees: Any) -> None:
        trees.write_image("angry/1.png", 1)
        trees.write_image("grin/2.png", 2)
        spec = {"path": trees.root, "rename": {"Grin": "Happiness"}}
        assert names(load_dataset(spec)) == ["angry", "happy"]
        samples = load_dataset(spec, label_map="own")
        assert (names(samples), samples.skipped) == (["angry", "happy"], ())

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ({"split": 1}, "split of a data set is 1; expected a name"),
            ({"votes": 3}, "votes of a data set is 3; expected a path"),
            ({"size": "big"}, "size of a data set is 'big'; expected a number of pixels"),
            ({"label_map": 3}, "label_map of a data set is 3; expected a name or a list"),
            ({"rename": ["a", "b"]}, r"rename of a data set is \['a', 'b'\]; expected a mapping"),
            ({"rename": {"a": 1}}, r"rename of a data set is \{'a': 1\}; expected a mapping"),
            ({"rename": {False: "awake"}}, r"is \{False: 'awake'\}; expected .* put such names in quotes \('no'\)"),
            ({"rename": {None: "awake"}}, r"is \{None: 'awake'\}; expected .* put such names in quotes \('no'\)"),
        ],
    )
    def test_options_of_another_type_are_named(self, trees: Any, options: dict[str, Any], expected: str) -> None:
        trees.write_image("angry/1.png", 1)
        with pytest.raises(DatasetError, match=expected):
            load_dataset({"path": trees.root, **options})

    def test_an_option_without_a_value_is_as_if_it_were_not_there(self, trees: Any) -> None:
        trees.write_image("faces/angry/1.png", 1)
        path = trees.root / "all.yaml"
        path.write_text("- {path: faces, votes: null, rename: null, use_as: null}\n", encoding="utf-8")
        assert names(load_dataset(path)) == ["angry"]

    def test_unknown_option_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(DatasetError, match=r"described by path and any of kind, .*; got \['crop', 'path'\]"):
            load_dataset({"path": tmp_path, "crop": 3})

    def test_list_in_a_file(self, trees: Any) -> None:
        trees.fer_csv([trees.fer_row(0, 1, "Training"), trees.fer_row(3, 2, "PublicTest")])
        trees.write_image("mine/smile/1.png", 3)
        trees.write_image("mine/blink/2.png", 4)
        path = trees.root / "all.yaml"
        path.write_text(
            "- fer2013.csv\n- {path: mine, use_as: Training, rename: {Smile: happy, blink: null}}\n", encoding="utf-8"
        )
        samples = load_dataset(path)
        assert names(samples) == ["angry", "happy", "happy"]
        assert samples.splits.tolist() == ["train", "validation", "train"]
        assert samples.skip_summary() == {"class 'blink' is not in the label map fer7": 1}
        # The folders have no validation images to add.
        assert names(load_dataset(path, split="validation")) == ["happy"]
        with pytest.raises(DatasetError, match="the combination has no test split; it has train, validation"):
            load_dataset(path, split="test")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("path: a", "holds no list"),
            ("[]", "holds no list"),
            ("- {use_as: train}", r"has the entry \{'use_as': 'train'\}; expected a path"),
            ("- [a", "cannot read the list of data sets"),
            ("- {path: ., use_as: half}", "no split 'half'"),
            ("- {path: ., 1: train}", r"described by path and any of .*; got \['1', 'path'\]"),
            ("- {path: ., label_map: [1, [happy]]}", r"class list \[1, \['happy'\]\] is not usable"),
            ("- {path: ., size: true}", "size of a data set is True; expected a number of pixels from 2"),
            ("- {path: ., size: 100000000}", "size of a data set is 100000000; expected .* to 1024"),
            ("- {path: ., kind: fer_csv}", r"cannot read .*fer2013\.csv"),
        ],
    )
    def test_bad_list_is_an_error(self, trees: Any, text: str, message: str) -> None:
        trees.write_image("happy/1.png", 1)
        path = trees.root / "all.yaml"
        path.write_text(text, encoding="utf-8")
        with pytest.raises(DatasetError, match=message):
            load_dataset(path)

    def test_unknown_label_map(self, trees: Any) -> None:
        trees.write_image("happy/1.png", 1)
        with pytest.raises(DatasetError, match="no label map 'fer9'; expected one of fer7, fer8, paper"):
            load_dataset(trees.root, label_map="fer9")

    def test_other_files_are_no_data_set(self, tmp_path: Path) -> None:
        (tmp_path / "a.zip").write_bytes(b"")
        with pytest.raises(DatasetError, match=r"a\.zip is no data set"):
            load_dataset(tmp_path / "a.zip")

    def test_index_needs_image_files(self, trees: Any) -> None:
        path = trees.fer_csv([trees.fer_row(0, 1, "Training")])
        with pytest.raises(DatasetError, match="is of the kind 'fer_csv'; expected image files"):
            load_index(path)

    def test_eight_classes(self, trees: Any) -> None:
        trees.write_image("contempt/1.png", 1)
        samples = load_dataset(trees.root, label_map="fer8")
        assert samples.label_names == LABELS_WITH_CONTEMPT
        assert samples.class_counts()["contempt"] == 1
