"""Label maps: every spelling lands in the right class, and what has no class is said."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest

from fer_perception.labels import LABELS
from fer_training.data.label_maps import LabelMap, apply_label_map, canonical, find_label_map, renaming
from fer_training.data.readers.jaffe import EXPRESSIONS
from fer_training.data.samples import UNKNOWN, DatasetError, Samples


def samples(*labels: str) -> Samples:
    names = tuple(sorted(set(labels)))
    return Samples(
        images=np.arange(len(labels), dtype=np.uint8)[:, None, None].repeat(4, 1).repeat(4, 2),
        labels=np.array([names.index(label) for label in labels], dtype=np.int64),
        label_names=names,
        splits=np.full(len(labels), "train"),
        sources=np.array([f"{index}.png" for index in range(len(labels))]),
    )


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("Anger", "angry"),
        ("disgust", "disgusted"),
        ("FEAR", "scared"),
        ("happiness", "happy"),
        (" Sadness ", "sad"),
        ("surprise", "surprised"),
        ("NE", "neutral"),
        ("Contempt", "contempt"),
        ("bored", "bored"),
    ],
)
def test_spellings(spelling: str, name: str) -> None:
    assert canonical(spelling) == name


def test_codes_of_jaffe() -> None:
    assert {code: canonical(code) for code in EXPRESSIONS} == {
        "AN": "angry", "DI": "disgusted", "FE": "scared", "HA": "happy", "SA": "sad", "SU": "surprised",
        "NE": "neutral",
    }  # fmt: skip


def test_images_keep_their_labels_and_order() -> None:
    mapped = apply_label_map(samples("sadness", "anger", "neutral", "sadness"), "fer7")
    assert [LABELS[label] for label in mapped.labels] == ["sad", "angry", "neutral", "sad"]
    assert mapped.images[:, 0, 0].tolist() == [0, 1, 2, 3]


def test_left_out_images_are_listed_one_by_one() -> None:
    mapped = apply_label_map(samples("happy", "contempt", "contempt"), "fer7")
    assert [skip.source for skip in mapped.skipped] == ["1.png", "2.png"]
    assert mapped.skip_summary() == {"class 'contempt' is not in the label map fer7": 2}


def test_nothing_left_is_an_error() -> None:
    why = "no image is left after the label map fer7: 1 x class 'contempt' is not in the label map"
    with pytest.raises(DatasetError, match=why):
        apply_label_map(samples("contempt"), "fer7")


def test_own_classes_merge_spellings() -> None:
    mapped = apply_label_map(samples("Happy", "happiness", "bored"), "own")
    assert sorted(mapped.label_names) == ["bored", "happy"]
    assert mapped.class_counts() == {"bored": 1, "happy": 2}


def test_renamed_classes() -> None:
    mapping = LabelMap("mine", ("happy", "sad"), renamed=(("smile", "happy"), ("frown", "sad"), ("blink", None)))
    mapped = apply_label_map(samples("smile", "frown", "blink"), mapping)
    assert [mapped.label_names[label] for label in mapped.labels] == ["happy", "sad"]
    assert mapped.skip_summary() == {"class 'blink' is not in the label map mine": 1}


@pytest.mark.parametrize("written", ["anger", "Angry", "ANGER"])
@pytest.mark.parametrize("found", ["anger", "Angry", "angry"])
def test_renamed_classes_are_found_in_any_spelling(written: str, found: str) -> None:
    mapping = LabelMap("mine", ("negative", "positive"), renamed=renaming({written: "negative", "happy": "positive"}))
    assert apply_label_map(samples(found, "Happiness"), mapping).class_counts() == {"negative": 1, "positive": 1}


def test_the_own_spelling_of_a_renamed_class_counts_first() -> None:
    mapping = LabelMap("own", (), renamed=renaming({"anger": "furious", "angry": "cross"}))
    assert apply_label_map(samples("anger", "angry"), mapping).class_counts() == {"furious": 1, "cross": 1}


def test_renaming_what_is_not_there_is_refused() -> None:
    """Else numbers for FER2013's classes, or a slip, would leave a network with the names of other classes."""
    mapping = LabelMap("own", (), renamed=renaming({0: "drowsy", "smlie": "awake", "contempt": None}))
    with pytest.raises(DatasetError, match=r"rename speaks of '0', 'smlie', but the classes .* are 'angry', 'smile'"):
        apply_label_map(samples("angry", "smile"), mapping)


def test_accents_may_be_apart() -> None:
    apart = unicodedata.normalize("NFD", "wütend")
    assert apart != "wütend"
    assert apply_label_map(samples(apart, "müde"), ["müde", "wütend"]).class_counts() == {"müde": 1, "wütend": 1}
    mapping = LabelMap("own", (), renamed=renaming({"wütend": "angry"}))
    assert apply_label_map(samples(apart), mapping).label_names == ("angry",)


def test_unknown_labels_are_left_out() -> None:
    own = samples("happy", "sad")
    own.labels[0] = UNKNOWN
    assert apply_label_map(own, "fer7").skip_summary() == {"the label is unknown": 1}


def test_list_must_name_different_classes() -> None:
    with pytest.raises(DatasetError, match="at least two different names"):
        find_label_map(["happy", "Happiness"])


def test_classes_that_yaml_takes_for_truth_values() -> None:
    with pytest.raises(DatasetError, match=r"class list \[False, True, None\] .* put such names in quotes \('no'\)"):
        find_label_map([False, True, None])  # type: ignore[list-item]
