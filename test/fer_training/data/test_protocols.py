"""Protocols: who may be where, on tiny sets and on FER2013 itself."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fer_perception.labels import LABELS
from fer_training.data.load import load_dataset
from fer_training.data.protocols import (
    augmented_copy,
    clean_folds,
    clean_split,
    make_folds,
    official_split,
    paper_split,
)
from fer_training.data.readers.npz import read_npz
from fer_training.data.samples import DatasetError, Samples, pixel_hash

FER2013 = Path(__file__).resolve().parents[4] / "shared" / "data" / "fer2013_trainval.npz"
needs_fer2013 = pytest.mark.skipif(not FER2013.is_file(), reason=f"{FER2013} is not here")


def make(
    pixels: list[int],
    *,
    splits: str | list[str] = "",
    subjects: list[str] | None = None,
    videos: list[str] | None = None,
    labels: list[int] | None = None,
) -> Samples:
    """One image for each number; equal numbers give equal images."""
    count = len(pixels)
    return Samples(
        images=np.stack([np.random.default_rng(p).integers(0, 256, (48, 48), dtype=np.uint8) for p in pixels]),
        labels=np.array(labels or [index % 7 for index in range(count)], dtype=np.int64),
        label_names=LABELS,
        splits=np.full(count, splits) if isinstance(splits, str) else np.array(splits),
        sources=np.array([f"{index}.png" for index in range(count)]),
        subjects=None if subjects is None else np.array(subjects),
        videos=None if videos is None else np.array(videos),
    )


def sources(samples: Samples) -> list[str]:
    return samples.sources.tolist()


class TestPixelHash:
    def test_is_the_sha256_of_the_bytes(self) -> None:
        image = make([1]).images[0]
        assert pixel_hash(image) == hashlib.sha256(bytes(image.ravel().tolist())).hexdigest()

    def test_layout_in_memory_does_not_matter(self) -> None:
        image = make([1]).images[0]
        assert pixel_hash(np.asfortranarray(image)) == pixel_hash(image)
        assert pixel_hash(image.T) != pixel_hash(image)


class TestClean:
    def test_validation_images_leave_training(self) -> None:
        fold = clean_split(make([1, 2, 3, 2, 4]), make([5, 2, 6]))
        assert sources(fold.train) == ["0.png", "2.png", "4.png"]
        assert len(fold.validation) == 3
        assert fold.leaked.tolist() == [False, True, False]
        assert fold.dropped == 2
        assert "2 training images left out because 1 validation images equal them" in fold.description

    def test_make_folds_uses_the_split_of_the_set(self) -> None:
        samples = make([1, 2, 3, 2], splits=["train", "train", "validation", "validation"])
        (fold,) = make_folds("clean", samples)
        assert sources(fold.train) == ["0.png"]
        assert fold.leaked.tolist() == [False, True]


class TestFolds:
    def test_people_on_both_sides_of_a_split_of_the_set_are_said(self) -> None:
        samples = make([1, 2, 3], splits=["train", "test", "test"], subjects=["KA", "KA", "KM"])
        for protocol in ("clean", "official"):
            fold = make_folds(protocol, samples, held_out=["test"])[0]
            assert "1 of 2 subjects validated on are in training too" in fold.description
        apart = make([1, 2], splits=["train", "test"], subjects=["KA", "KM"])
        assert "subjects" not in make_folds("clean", apart, held_out=["test"])[0].description

    def test_subjects_are_never_cut(self) -> None:
        subjects = [f"S{index % 6}" for index in range(36)]
        folds = clean_folds(make(list(range(36)), subjects=subjects), folds=3)
        seen: list[str] = []
        for fold in folds:
            assert fold.train.subjects is not None
            assert fold.validation.subjects is not None
            assert not set(fold.train.subjects) & set(fold.validation.subjects)
            seen += sources(fold.validation)
        assert sorted(seen) == sorted(f"{index}.png" for index in range(36))
        assert "whole subjects, 6 subjects in all" in folds[0].description

    def test_subjects_come_before_videos(self) -> None:
        subjects = ["a", "a", "b", "b"]
        folds = clean_folds(make([1, 2, 3, 4], subjects=subjects, videos=["1", "2", "3", "4"]), folds=2)
        assert {len(fold.validation) for fold in folds} == {2}

    def test_videos_are_never_cut(self) -> None:
        videos = [f"clip{index // 3}" for index in range(12)]
        for fold in clean_folds(make(list(range(12)), videos=videos), folds=4):
            assert fold.train.videos is not None
            assert fold.validation.videos is not None
            assert not set(fold.train.videos) & set(fold.validation.videos)

    def test_identical_images_are_never_cut(self) -> None:
        pixels = [index // 2 for index in range(20)]
        for fold in clean_folds(make(pixels), folds=5):
            assert not np.isin(fold.train.hashes(), fold.validation.hashes()).any()
            assert fold.dropped == 0

    def test_identical_images_of_two_subjects_leave_training(self) -> None:
        folds = clean_folds(make([1, 2, 1, 3], subjects=["a", "a", "b", "b"]), folds=2)
        assert [fold.dropped for fold in folds] == [1, 1]

    def test_classes_are_spread_evenly(self) -> None:
        labels = [0] * 60 + [1] * 12
        subjects = [f"S{index % 12}" for index in range(72)]
        for fold in clean_folds(make(list(range(72)), subjects=subjects, labels=labels), folds=4):
            counts = fold.validation.class_counts()
            assert counts["angry"] == 15
            assert counts["disgusted"] == 3

    def test_same_seed_same_folds(self) -> None:
        samples = make(list(range(30)), subjects=[f"S{index % 10}" for index in range(30)])
        first, again, other = (
            [sources(fold.validation) for fold in clean_folds(samples, folds=5, seed=seed)] for seed in (1, 1, 2)
        )
        assert first == again
        assert first != other

    def test_another_seed_of_the_recipe_gives_other_folds(self) -> None:
        samples = make(list(range(30)), subjects=[f"S{index % 10}" for index in range(30)])
        first, again, other = (
            [sources(fold.validation) for fold in make_folds("clean", samples, folds=5, seed=seed)]
            for seed in (1, 1, 2)
        )
        assert first == again
        assert first != other

    def test_missing_subjects_are_an_error(self) -> None:
        with pytest.raises(DatasetError, match="4 of 4 images have no subject; a split by subject needs it for all"):
            clean_folds(make([1, 2, 3, 4]), folds=2, by="subject")
        with pytest.raises(DatasetError, match="1 of 4 images have no subject"):
            clean_folds(make([1, 2, 3, 4], subjects=["a", "b", "", "c"]), folds=2)

    def test_fewer_groups_than_folds_is_an_error(self) -> None:
        with pytest.raises(DatasetError, match="cannot make 3 folds of 2 subjects"):
            clean_folds(make([1, 2], subjects=["a", "b"]), folds=3)
        with pytest.raises(DatasetError, match="cannot keep 'age' together"):
            clean_folds(make([1, 2]), folds=2, by="age")


class TestOfficial:
    def test_targets_of_the_votes_go_with_their_images(self) -> None:
        shares = np.eye(7, dtype=np.float32)[[6, 5, 4, 3]] * 0.75 + 0.25 / 7
        samples = replace(make([1, 2, 3, 4], splits=["test", "train", "test", "train"]), soft=shares)
        fold = official_split(samples, held_out=["test"])
        assert fold.train.soft is not None
        assert fold.validation.soft is not None
        np.testing.assert_array_equal(fold.train.soft, shares[[1, 3]])
        np.testing.assert_array_equal(fold.validation.soft, shares[[0, 2]])

    def test_split_of_the_set_with_its_leaks(self) -> None:
        fold = official_split(make([1, 2, 2, 3], splits=["train", "train", "validation", "test"]))
        assert sources(fold.train) == ["0.png", "1.png"]
        assert sources(fold.validation) == ["2.png"]
        assert fold.leaked.tolist() == [True]
        assert "1 of which are byte-identical to training images" in fold.description

    def test_all_held_out_images(self) -> None:
        samples = make([1, 2, 3], splits=["train", "validation", "test"])
        assert len(official_split(samples, held_out=("validation", "test")).validation) == 2

    def test_set_without_the_held_out_part_says_which_there_are(self) -> None:
        samples = make([1, 2], splits=["train", "test"])
        with pytest.raises(DatasetError, match=r"it has test, train: measure on them \('held_out=\[test\]'\)"):
            make_folds("clean", samples)

    def test_images_of_no_part_are_not_lost_in_silence(self) -> None:
        samples = make([1, 2, 3], splits=["train", "validation", ""])
        with pytest.raises(DatasetError, match="1 of 3 images belong to no part; say what they are for"):
            make_folds("clean", samples)

    def test_a_set_with_its_training_part_alone_is_cut_into_folds(self) -> None:
        samples = make(list(range(8)), splits="train", subjects=list("aabbccdd"))
        folds = make_folds("clean", samples, folds=2, by="subject")
        assert [fold.description.split(":")[1] for fold in folds] == [
            f" fold {number} of 2, whole subjects, 4 subjects in all" for number in (1, 2)
        ]
        with pytest.raises(DatasetError, match="it has train: use the clean protocol with folds"):
            make_folds("official", samples)

    def test_set_without_split_is_an_error(self) -> None:
        with pytest.raises(DatasetError, match="it has no parts: use the clean protocol with folds"):
            official_split(make([1, 2]))


class TestPaper:
    def test_random_split_of_the_doubled_set(self) -> None:
        samples = make(list(range(50)))
        fold = paper_split(samples, seed=3)
        assert len(fold.train) + len(fold.validation) == 100
        assert len(fold.train) == 87
        originals = {source.removesuffix(" (augmented)") for source in sources(fold.train)}
        expected = [source.removesuffix(" (augmented)") in originals for source in sources(fold.validation)]
        assert fold.leaked.tolist() == expected
        assert any(expected)
        assert "have their other copy in training" in fold.description

    def test_fer2013_is_measured_on_everything_held_out(self) -> None:
        samples = make([1, 2, 3, 4], splits=["train", "train", "validation", "test"])
        (fold,) = make_folds("paper", samples)
        assert sources(fold.train) == ["0.png", "1.png", "0.png (augmented)", "1.png (augmented)"]
        np.testing.assert_array_equal(fold.train.images[:2], samples.images[:2])
        copies = augmented_copy(samples.take([0, 1]), seed=0)
        np.testing.assert_array_equal(fold.train.images[2:], copies.images)
        assert sources(fold.validation) == ["2.png", "3.png"]
        np.testing.assert_array_equal(fold.validation.images, samples.images[2:])
        assert "2 of test and validation to validate" in fold.description

    def test_copies_keep_labels_and_differ(self) -> None:
        samples = make(list(range(8)))
        copies = augmented_copy(samples, seed=0)
        np.testing.assert_array_equal(copies.labels, samples.labels)
        assert (copies.images != samples.images).any(axis=(1, 2)).all()
        again = augmented_copy(samples, seed=0)
        np.testing.assert_array_equal(copies.images, again.images)

    @pytest.mark.parametrize("splits", ["", ["train"] * 20 + ["test"] * 10])
    def test_another_seed_of_the_recipe_changes_the_copies_and_the_split(self, splits: str | list[str]) -> None:
        samples = make(list(range(30)), splits=splits)
        trains = [make_folds("paper", samples, seed=seed)[0].train for seed in (1, 1, 2)]
        copies = [
            {source: image.tobytes() for source, image in zip(sources(train), train.images, strict=True)}
            for train in trains
        ]
        assert copies[0] == copies[1]
        assert (sources(trains[0]) != sources(trains[2])) == (splits == "")
        both = [name for name in copies[0].keys() & copies[2].keys() if name.endswith("(augmented)")]
        assert len(both) >= 10
        assert all(copies[0][name] != copies[2][name] for name in both)

    def test_copies_are_mirrored_but_never_upside_down(self) -> None:
        count = 40
        ramp = np.linspace(0, 255, 48).astype(np.uint8)
        plain = make(list(range(count)))
        bright_right = replace(plain, images=np.tile(ramp, (count, 48, 1)))
        bright_below = replace(plain, images=np.tile(ramp[:, None], (count, 1, 48)))
        right = augmented_copy(bright_right, seed=0).images.astype(float)
        mirrored = right[:, :, :24].mean(axis=(1, 2)) > right[:, :, 24:].mean(axis=(1, 2))
        assert 10 < mirrored.sum() < 30
        below = augmented_copy(bright_below, seed=0).images.astype(float)
        assert (below[:, 24:].mean(axis=(1, 2)) > below[:, :24].mean(axis=(1, 2)) + 50).all()

    def test_share_must_leave_something(self) -> None:
        with pytest.raises(DatasetError, match="expected a share between 0 and 1"):
            paper_split(make([1, 2]), train_share=1.0)


def test_unknown_protocol() -> None:
    with pytest.raises(DatasetError, match="no protocol 'fair'; expected one of official, paper, clean"):
        make_folds("fair", make([1, 2]))


def test_clean_protocol_of_a_prepared_file_with_leaks_repeats_and_unknown_labels(tmp_path: Path) -> None:
    """What `TestFer2013` counts in the whole set, on a small one."""
    # Training: 1 twice, 4 and 5 also in validation, 3 without a label; validation: 4 without a label, 6 twice.
    pixels = {"train": [1, 1, 2, 3, 4, 5, 5], "validation": [4, 5, 6, 6, 7]}
    arrays = {f"{split}_images": make(numbers).images for split, numbers in pixels.items()}
    arrays["train_labels"] = np.array([0, 0, 1, 255, 2, 3, 3], np.uint8)
    arrays["validation_labels"] = np.array([255, 3, 4, 4, 5], np.uint8)
    np.savez(tmp_path / "set.npz", **arrays)  # type: ignore[arg-type]
    (fold,) = make_folds("clean", load_dataset(tmp_path / "set.npz"))
    assert fold.validation.labels.tolist() == [3, 4, 4, 5]
    assert fold.leaked.tolist() == [True, False, False, False]
    # The image whose label only training knows stays there: nothing is measured on its copy.
    assert fold.train.labels.tolist() == [0, 0, 1, 2]
    assert fold.dropped == 2
    assert not np.isin(fold.train.hashes(), fold.validation.hashes()).any()


@needs_fer2013
class TestFer2013:
    def test_leaks_and_repeats_are_as_published(self) -> None:
        everything = read_npz(FER2013)
        hashes = everything.hashes()
        train, validation = hashes[everything.splits == "train"], hashes[everything.splits == "validation"]
        assert (len(train), len(validation)) == (28_558, 3_579)
        assert int(np.isin(validation, train).sum()) == 279
        assert int(np.isin(train, validation).sum()) == 340
        assert len(train) - len(np.unique(train)) == 1_224

    def test_clean_protocol_of_the_labeled_images(self) -> None:
        (fold,) = make_folds("clean", load_dataset(FER2013))
        assert len(fold.validation) == 3_575
        assert int(fold.leaked.sum()) == 277
        assert len(fold.train) == 28_132
        assert not np.isin(fold.train.hashes(), fold.validation.hashes()).any()
