"""Protocols: who may be where, on tiny sets and on FER2013 itself."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from fer_perception.labels import LABELS
from fer_training.protocols import (
    augmented_copy,
    clean_folds,
    clean_split,
    make_folds,
    official_split,
    paper_split,
)
from fer_training.readers import load_dataset
from fer_training.readers.npz import read_npz
from fer_training.readers.samples import DatasetError, Samples, pixel_hash

FER2013 = Path(__file__).resolve().parents[3] / "shared" / "data" / "fer2013_trainval.npz"
needs_fer2013 = pytest.mark.skipif(not FER2013.is_file(), reason=f"{FER2013} is not here")


def make(
    pixels: list[int],
    *,
    splits: str | list[str] = "",
    subjects: list[str] | None = None,
    videos: list[str] | None = None,
    labels: list[int] | None = None,
) -> Samples:
    """One picture for each number; equal numbers give equal pictures."""
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
    def test_validation_pictures_leave_training(self) -> None:
        fold = clean_split(make([1, 2, 3, 2, 4]), make([5, 2, 6]))
        assert sources(fold.train) == ["0.png", "2.png", "4.png"]
        assert len(fold.validation) == 3
        assert fold.leaked.tolist() == [False, True, False]
        assert fold.dropped == 2
        assert "2 training pictures left out because 1 validation pictures equal them" in fold.description

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

    def test_identical_pictures_are_never_cut(self) -> None:
        pixels = [index // 2 for index in range(20)]
        for fold in clean_folds(make(pixels), folds=5):
            assert not np.isin(fold.train.hashes(), fold.validation.hashes()).any()
            assert fold.dropped == 0

    def test_identical_pictures_of_two_subjects_leave_training(self) -> None:
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

    def test_missing_subjects_are_an_error(self) -> None:
        with pytest.raises(DatasetError, match="4 of 4 pictures have no subject; a split by subject needs it for all"):
            clean_folds(make([1, 2, 3, 4]), folds=2, by="subject")
        with pytest.raises(DatasetError, match="1 of 4 pictures have no subject"):
            clean_folds(make([1, 2, 3, 4], subjects=["a", "b", "", "c"]), folds=2)

    def test_fewer_groups_than_folds_is_an_error(self) -> None:
        with pytest.raises(DatasetError, match="cannot make 3 folds of 2 subjects"):
            clean_folds(make([1, 2], subjects=["a", "b"]), folds=3)
        with pytest.raises(DatasetError, match="cannot keep 'age' together"):
            clean_folds(make([1, 2]), folds=2, by="age")


class TestOfficial:
    def test_split_of_the_set_with_its_leaks(self) -> None:
        fold = official_split(make([1, 2, 2, 3], splits=["train", "train", "validation", "test"]))
        assert sources(fold.train) == ["0.png", "1.png"]
        assert sources(fold.validation) == ["2.png"]
        assert fold.leaked.tolist() == [True]
        assert "1 of which are byte-identical to training pictures" in fold.description

    def test_all_held_out_pictures(self) -> None:
        samples = make([1, 2, 3], splits=["train", "validation", "test"])
        assert len(official_split(samples, held_out=("validation", "test")).validation) == 2

    def test_set_without_the_held_out_part_says_which_there_are(self) -> None:
        samples = make([1, 2], splits=["train", "test"])
        with pytest.raises(DatasetError, match=r"it has test, train: measure on them \('held_out=\[test\]'\)"):
            make_folds("clean", samples)

    def test_pictures_of_no_part_are_not_lost_in_silence(self) -> None:
        samples = make([1, 2, 3], splits=["train", "validation", ""])
        with pytest.raises(DatasetError, match="1 of 3 pictures belong to no part; say what they are for"):
            make_folds("clean", samples)

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
        assert len(fold.train) == 4
        assert sources(fold.validation) == ["2.png", "3.png"]
        assert "2 of test and validation to validate" in fold.description

    def test_copies_keep_labels_and_differ(self) -> None:
        samples = make(list(range(8)))
        copies = augmented_copy(samples, seed=0)
        np.testing.assert_array_equal(copies.labels, samples.labels)
        assert (copies.images != samples.images).any(axis=(1, 2)).all()
        again = augmented_copy(samples, seed=0)
        np.testing.assert_array_equal(copies.images, again.images)

    def test_share_must_leave_something(self) -> None:
        with pytest.raises(DatasetError, match="expected a share between 0 and 1"):
            paper_split(make([1, 2]), train_share=1.0)


def test_unknown_protocol() -> None:
    with pytest.raises(DatasetError, match="no protocol 'fair'; expected one of official, paper, clean"):
        make_folds("fair", make([1, 2]))


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

    def test_clean_protocol_of_the_labelled_pictures(self) -> None:
        (fold,) = make_folds("clean", load_dataset(FER2013))
        assert len(fold.validation) == 3_575
        assert int(fold.leaked.sum()) == 277
        assert len(fold.train) == 28_132
        assert not np.isin(fold.train.hashes(), fold.validation.hashes()).any()
