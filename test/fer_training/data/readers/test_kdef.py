"""KDEF: who and what is in the names of the images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fer_training.data.kinds import detect_kind
from fer_training.data.load import load_dataset
from fer_training.data.samples import DatasetError


def test_both_sessions_of_a_person_are_the_same_person(trees: Any) -> None:
    for seed, name in enumerate(("AF01/AF01AFS", "BF01/BF01SUFL", "AM12/AM12NEHR", "BM12/bm12dihl")):
        trees.write_image(f"KDEF/{name}.JPG", seed)
    trees.write_image("KDEF/AM31/AM31H.JPG", 9)
    samples = load_dataset(trees.root)
    assert detect_kind(trees.root) == "kdef"
    assert samples.subjects is not None
    found = zip(samples.subjects.tolist(), samples.labels.tolist(), strict=True)
    assert [(person, samples.label_names[label]) for person, label in found] == [
        ("F01", "scared"),
        ("M12", "neutral"),
        ("F01", "surprised"),
        ("M12", "disgusted"),
    ]
    assert samples.skip_summary() == {"not named as in KDEF (AF01ANHL.JPG)": 1}


def test_class_folders_and_splits_keep_the_people(trees: Any) -> None:
    trees.write_image("faces/train/afraid/AF01AFS.JPG", 1)
    trees.write_image("faces/test/sad/BF02SAHL.JPG", 2)
    samples = load_dataset(trees.root)
    assert samples.subjects is not None
    assert dict(zip(samples.splits.tolist(), samples.subjects.tolist(), strict=True)) == {"train": "F01", "test": "F02"}


def test_other_names_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no image named as in KDEF; expected names like AF01ANHL\.JPG"):
        load_dataset(tmp_path, kind="kdef")
