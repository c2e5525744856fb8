"""fer2013.csv and icml_face_data.csv, with and without the votes of FER+."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fer_perception.labels import LABELS, LABELS_WITH_CONTEMPT
from fer_training.data.load import load_dataset
from fer_training.data.readers.fer_csv import read_fer_csv
from fer_training.data.samples import DatasetError


def test_pixels_labels_and_official_splits(trees: Any) -> None:
    rows = [trees.fer_row(0, 1, "Training"), trees.fer_row(3, 2, "PublicTest"), trees.fer_row(6, 3, "PrivateTest")]
    samples = load_dataset(trees.fer_csv(rows))
    assert samples.label_names == LABELS
    assert [LABELS[label] for label in samples.labels] == ["angry", "happy", "neutral"]
    assert samples.splits.tolist() == ["train", "validation", "test"]
    for image, seed in zip(samples.images, (1, 2, 3), strict=True):
        np.testing.assert_array_equal(image, trees.image(seed))


def test_icml_columns_with_leading_blanks_and_other_order(trees: Any) -> None:
    row = trees.fer_row(5, 7, "PublicTest")
    path = trees.fer_csv([[row[0], row[2], row[1]]], name="icml_face_data.csv", header=("emotion", " Usage", " pixels"))
    samples = load_dataset(path, split="validation")
    assert [LABELS[label] for label in samples.labels] == ["surprised"]
    np.testing.assert_array_equal(samples.images[0], trees.image(7))


def test_file_without_usage_that_is_named_after_a_split_is_that_split(trees: Any) -> None:
    path = trees.fer_csv([trees.fer_row(0, 1, "")[:2]], name="test.csv", header=("emotion", "pixels"))
    assert load_dataset(path).splits.tolist() == [""]
    assert load_dataset(path, split="PrivateTest").splits.tolist() == ["test"]
    with pytest.raises(DatasetError, match="has no train split"):
        load_dataset(path, split="train")


def test_file_without_usage_has_no_split(trees: Any) -> None:
    path = trees.fer_csv([trees.fer_row(0, 1, "")[:2]], name="faces.csv", header=("emotion", "pixels"))
    assert load_dataset(path).splits.tolist() == [""]
    with pytest.raises(DatasetError, match="has no train split; it has no splits at all"):
        load_dataset(path, split="train")


def test_bad_rows_are_listed_with_line_and_reason(trees: Any) -> None:
    good = trees.fer_row(0, 1, "Training")
    short = [good[0], " ".join(good[1].split()[:-5]), good[2]]
    loud = [good[0], good[1].rsplit(" ", 1)[0] + " 256", good[2]]
    word = [good[0], good[1].rsplit(" ", 1)[0] + " x", good[2]]
    path = trees.fer_csv(
        [good, short, loud, word, ["8", *good[1:]], ["moody", *good[1:]], [good[0], good[1], "Extra"], [good[0]]]
    )
    samples = load_dataset(path)
    assert len(samples) == 1
    assert [(skip.source, skip.reason) for skip in samples.skipped] == [
        ("fer2013.csv:line 3", "the pixel row has 2299 values, expected 2304"),
        ("fer2013.csv:line 4", "the pixel row holds something else than gray values 0 to 255"),
        ("fer2013.csv:line 5", "the pixel row holds something else than gray values 0 to 255"),
        ("fer2013.csv:line 6", "unknown label '8', expected 0 to 7 or the name of an expression"),
        ("fer2013.csv:line 7", "unknown label 'moody', expected 0 to 7 or the name of an expression"),
        ("fer2013.csv:line 8", "unknown usage 'Extra', expected Training, PublicTest or PrivateTest"),
        ("fer2013.csv:line 9", "the pixel row has 0 values, expected 2304"),
    ]


def test_seven_is_contempt(trees: Any) -> None:
    path = trees.fer_csv([trees.fer_row(label, label, "Training") for label in (0, 6, 7)], name="ckextended.csv")
    assert load_dataset(path, label_map="fer8").labels.tolist() == [0, 6, 7]
    paper = load_dataset(path, label_map="paper")
    assert [paper.label_names[label] for label in paper.labels] == ["angry", "contempt"]
    seven = load_dataset(path)
    assert seven.labels.tolist() == [0, 6]
    assert seven.skip_summary() == {"class 'contempt' is not in the label map fer7": 1}


def test_a_label_of_thousands_of_digits(trees: Any) -> None:
    good = trees.fer_row(0, 1, "Training")
    samples = load_dataset(trees.fer_csv([good, ["9" * 5000, *good[1:]]]))
    (reason,) = samples.skip_summary()
    assert reason.startswith("unknown label '99999999999999999999', expected 0 to 7")


def test_a_missing_header_does_not_fill_the_screen(trees: Any) -> None:
    path = trees.fer_csv([], header=trees.fer_row(0, 1, "Training"))
    with pytest.raises(DatasetError) as error:
        load_dataset(path)
    assert len(str(error.value)) < 200 + len(str(path))


def test_votes_that_break_off(trees: Any) -> None:
    trees.fer_csv([trees.fer_row(0, 1, "Training")])
    votes = trees.root / "fer2013new.csv"
    columns = trees.votes_csv([]).read_text().strip().split(",")
    votes.write_text(",".join([*columns[2:], *columns[:2]]) + "\n" + ",".join("1" * 10) + "\n")
    with pytest.raises(DatasetError, match="does not follow the rows"):
        load_dataset(trees.root / "fer2013.csv")


def test_no_usable_row_is_an_error(trees: Any) -> None:
    path = trees.fer_csv([["9", *trees.fer_row(0, 1, "Training")[1:]]])
    with pytest.raises(DatasetError, match=r"not one row .* is usable: unknown label '9'"):
        load_dataset(path)
    with pytest.raises(DatasetError, match="it has no rows"):
        load_dataset(trees.fer_csv([], name="empty.csv"))


def test_missing_column_is_named(trees: Any) -> None:
    path = trees.fer_csv([["1", "2"]], header=("pixels", "Usage"))
    with pytest.raises(DatasetError, match="expected emotion, pixels and Usage"):
        load_dataset(path)


def test_binary_garbage_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "fer2013.csv"
    path.write_bytes(b"emotion,pixels\n\xff\xfe\x00\x01")
    with pytest.raises(DatasetError, match="cannot read"):
        read_fer_csv(path)


def votes(**counts: int) -> list[int]:
    order = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF")
    return [counts.get(name, 0) for name in order]


class TestFerPlus:
    def rows(self, trees: Any) -> Path:
        """Five images: clear, contempt, undecided, removed by FER+, unknown."""
        usage = "Training"
        trees.votes_csv(
            [
                (usage, "fer0000000.png", votes(happiness=9, neutral=1)),
                (usage, "fer0000001.png", votes(contempt=8, neutral=2)),
                (usage, "fer0000002.png", votes(anger=5, sadness=5)),
                (usage, "", votes(NF=10)),
                (usage, "fer0000004.png", votes(unknown=6, fear=4)),
            ]
        )
        return Path(trees.fer_csv([trees.fer_row(label, label, usage) for label in (0, 1, 2, 3, 4)]))

    def test_votes_beside_the_file_are_found_and_removed_images_listed(self, trees: Any) -> None:
        samples = load_dataset(self.rows(trees))
        assert samples.votes is not None
        assert samples.votes.tolist()[0] == votes(happiness=9, neutral=1)
        assert len(samples) == 4
        assert samples.skip_summary() == {"removed by FER+ (not a face, or not to be judged)": 1}
        # The set's own labels stay what they were.
        assert samples.labels.tolist() == [0, 1, 2, 4]

    def test_majority_of_eight_classes(self, trees: Any) -> None:
        samples = load_dataset(self.rows(trees), label_map="fer8", targets="ferplus_majority")
        assert samples.label_names == LABELS_WITH_CONTEMPT
        assert [samples.label_names[label] for label in samples.labels] == ["happy", "contempt"]
        assert samples.skip_summary()["the label is unknown"] == 2

    def test_majority_of_seven_classes_leaves_contempt_out(self, trees: Any) -> None:
        samples = load_dataset(self.rows(trees), targets="ferplus_majority")
        assert [samples.label_names[label] for label in samples.labels] == ["happy"]

    def test_plurality_counts_our_classes_only(self, trees: Any) -> None:
        samples = load_dataset(self.rows(trees), targets="ferplus_plurality")
        assert [samples.label_names[label] for label in samples.labels] == ["happy", "neutral", "scared"]

    def test_soft_targets_are_the_vote_shares(self, trees: Any) -> None:
        samples = load_dataset(self.rows(trees), label_map="fer8", targets="ferplus_soft")
        assert samples.soft is not None
        np.testing.assert_allclose(samples.soft.sum(axis=1), 1.0, rtol=1e-6)
        happy, neutral = LABELS_WITH_CONTEMPT.index("happy"), LABELS_WITH_CONTEMPT.index("neutral")
        assert samples.soft[0, happy] == pytest.approx(0.9)
        assert samples.soft[0, neutral] == pytest.approx(0.1)
        assert samples.soft[3, LABELS_WITH_CONTEMPT.index("scared")] == pytest.approx(1.0)

    def test_votes_belong_to_fer2013_alone(self, trees: Any) -> None:
        """Another file of the same challenge in that folder has other rows."""
        trees.votes_csv([("Training", "fer0000000.png", votes(happiness=10))])
        path = trees.fer_csv([trees.fer_row(3, 1, ""), trees.fer_row(4, 2, "")], name="extended.csv")
        assert load_dataset(path).votes is None

    def test_icml_file_in_a_folder(self, trees: Any) -> None:
        trees.fer_csv([trees.fer_row(3, 1, "Training")], name="icml_face_data.csv")
        trees.votes_csv([("Training", "fer0000000.png", votes(happiness=10))])
        samples = load_dataset(trees.root)
        assert samples.votes is not None
        assert len(samples) == 1

    def test_votes_by_name_in_another_folder(self, trees: Any, tmp_path: Path) -> None:
        path = self.rows(trees)
        other = tmp_path / "elsewhere"
        other.mkdir()
        moved = (tmp_path / "fer2013new.csv").rename(other / "votes.csv")
        assert load_dataset(path).votes is None
        assert load_dataset(path, votes=moved).votes is not None

    def test_votes_of_other_rows_are_refused(self, trees: Any) -> None:
        path = trees.fer_csv([trees.fer_row(0, 1, "Training"), trees.fer_row(0, 2, "PublicTest")])
        trees.votes_csv([("Training", "a.png", votes(happiness=10))])
        with pytest.raises(DatasetError, match="differ at row 2"):
            load_dataset(path)
        trees.votes_csv([("Training", "a.png", votes(fear=10)), ("PublicTest", "b.png", votes(fear=10))] * 2)
        with pytest.raises(DatasetError, match=r"has 4 rows and .* has 2"):
            load_dataset(path)

    @pytest.mark.parametrize(
        ("order", "refused"), [("as it was", False), ("other rows", True), ("other numbers", True)]
    )
    def test_votes_that_contradict_the_labels_are_refused(self, trees: Any, order: str, refused: bool) -> None:
        """As many rows of equal usage: only what they say can tell that they are not of the same images."""
        columns = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
        # Every third label is one that the voters do not share.
        labels = [index % 7 for index in range(210)]
        said = [(label + (index % 3 == 0)) % 7 for index, label in enumerate(labels)]
        if order == "other rows":
            said = [*said[3:], *said[:3]]
        if order == "other numbers":
            labels = [6 - label if label != 3 else 4 for label in labels]
        path = trees.fer_csv([trees.fer_row(label, 1, "Training") for label in labels])
        trees.votes_csv([("Training", "a.png", votes(**{columns[label]: 10})) for label in said])
        if refused:
            with pytest.raises(DatasetError, match=r"the labels of .* hardly ever agree: .* 6 neutral"):
                load_dataset(path)
        else:
            assert load_dataset(path).votes is not None

    def test_votes_in_another_order_are_refused(self, trees: Any) -> None:
        """As many rows, but the first votes would go to the second image."""
        trees.votes_csv([("PublicTest", "b.png", votes(fear=10)), ("Training", "a.png", votes(happiness=10))])
        path = trees.fer_csv([trees.fer_row(3, 1, "Training"), trees.fer_row(2, 2, "PublicTest")])
        with pytest.raises(DatasetError, match="differ at row 1"):
            load_dataset(path)

    def test_soft_targets_of_a_split_skip_images_without_votes(self, trees: Any) -> None:
        rows = [
            ("PublicTest", "a.png", votes(anger=10)),
            ("Training", "b.png", votes(unknown=9, NF=1)),
            ("Training", "c.png", votes(happiness=8, neutral=2)),
            ("Training", "d.png", votes(sadness=6, fear=4)),
        ]
        trees.votes_csv(rows)
        path = trees.fer_csv([trees.fer_row(0, seed, usage) for seed, (usage, _, _) in enumerate(rows)])
        samples = load_dataset(path, split="train", targets="ferplus_soft")
        assert samples.soft is not None
        assert [LABELS[label] for label in samples.labels] == ["happy", "sad"]
        np.testing.assert_array_equal(samples.images, [trees.image(2), trees.image(3)])
        expected = np.zeros((2, 7))
        expected[0, [LABELS.index("happy"), LABELS.index("neutral")]] = 0.8, 0.2
        expected[1, [LABELS.index("sad"), LABELS.index("scared")]] = 0.6, 0.4
        np.testing.assert_allclose(samples.soft, expected, rtol=1e-6)

    def test_votes_that_are_no_counts_are_refused(self, trees: Any) -> None:
        path = trees.fer_csv([trees.fer_row(0, 1, "Training")])
        trees.root.joinpath("fer2013new.csv").write_text(
            "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF\n"
            "Training,a.png,1,2,x,0,0,0,0,0,0,0\n"
        )
        with pytest.raises(DatasetError, match="line 2: a vote is not a number"):
            load_dataset(path)

    def test_votes_alone_are_no_data_set(self, trees: Any) -> None:
        path = trees.votes_csv([("Training", "a.png", votes(fear=10))])
        with pytest.raises(DatasetError, match=r"give fer2013\.csv as the data set and this file as `votes`"):
            load_dataset(path)

    def test_soft_targets_cannot_be_renamed(self, trees: Any) -> None:
        path = self.rows(trees)
        both = path.with_name("both.yaml")
        both.write_text(f"- {{path: {path}, rename: {{happy: null}}}}\n")
        with pytest.raises(DatasetError, match="which rename cannot change"):
            load_dataset(both, targets="ferplus_soft")

    def test_targets_need_votes_and_fitting_classes(self, trees: Any) -> None:
        path = trees.fer_csv([trees.fer_row(0, 1, "Training")])
        with pytest.raises(DatasetError, match=r"needs FER\+ votes, and this data set has none"):
            load_dataset(path, targets="ferplus_soft")
        with pytest.raises(DatasetError, match="gives the classes of fer7 or fer8"):
            load_dataset(path, targets="ferplus_soft", label_map="paper")
        with pytest.raises(DatasetError, match="no targets 'votes'; expected one of labels"):
            load_dataset(path, targets="votes")
