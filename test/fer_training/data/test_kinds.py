"""The kinds of data sets: what is registered is documented, on the command line too, and another one is refused."""

from __future__ import annotations

from typing import Any, get_type_hints

import pytest

from fer_perception.detection.create import DETECTORS
from fer_training.cli.prepare import prepare_command
from fer_training.data import kinds
from fer_training.data.kinds import KINDS, TREE_KINDS
from fer_training.data.load import load_dataset
from fer_training.data.samples import DatasetError


def help_of(option: str) -> str:
    """The help of an option of `fer-train prepare`."""
    (parameter,) = get_type_hints(prepare_command, include_extras=True)[option].__metadata__
    return str(parameter.help)


def test_every_kind_is_explained() -> None:
    assert [kind for kind in KINDS if f"\n| {kind} | " not in (kinds.__doc__ or "")] == []


@pytest.mark.parametrize(("option", "names"), [("kind", TREE_KINDS), ("detector", DETECTORS)])
def test_prepare_names_all_it_takes(option: str, names: tuple[str, ...]) -> None:
    assert [name for name in names if name not in help_of(option)] == [], f"--{option} in cli/prepare.py lists others"


def test_an_unknown_kind_lists_all(trees: Any) -> None:
    trees.write_image("happy/1.png", 1)
    with pytest.raises(DatasetError, match="no kind of data set 'folders'; expected one of npz, fer_csv, manifest"):
        load_dataset(trees.root, kind="folders")
