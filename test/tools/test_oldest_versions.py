"""The oldest versions that are tested are those that pyproject.toml promises."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

#: There are no wheels of the promised ones for the Python that the list is for, or distributions have older ones.
OTHERWISE = {"numpy", "scipy", "pyyaml", "opencv-python-headless"}


@pytest.fixture
def listed(repository: Path) -> dict[str, Requirement]:
    lines = (repository / "tools" / "oldest_versions.txt").read_text(encoding="utf-8").splitlines()
    found = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {requirement.name: requirement for requirement in found}


def test_every_package_of_the_robot_is_listed_at_its_lower_bound(repository: Path, listed: dict[str, Requirement]):
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    promised = [Requirement(text) for text in project["dependencies"]]
    assert {requirement.name for requirement in promised} <= set(listed)
    for requirement in promised:
        (tested,) = (str(each.version) for each in listed[requirement.name].specifier)
        bounds = [each.version for each in requirement.specifier if each.operator == ">="]
        if requirement.name not in OTHERWISE:
            padded = [bound + ".0" * (2 - bound.count(".")) for bound in bounds]
            assert padded == [tested], requirement.name
