"""Which variable names the profile for large images, in each distribution."""

from __future__ import annotations

import os

import pytest

from fer_perception.ros.process import profile_path, use_large_shared_memory

OLDER, NEWER = "FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE"
CHOICES = (OLDER, NEWER, "FASTDDS_BUILTIN_TRANSPORTS")


@pytest.fixture(autouse=True)
def nothing_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CHOICES:
        # First set, then deleted: so what the tested function sets is undone as well.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("distribution", "name"),
    [("humble", OLDER), ("jazzy", OLDER), ("kilted", NEWER), ("rolling", NEWER), (None, OLDER)],
)
def test_one_variable_is_set(monkeypatch: pytest.MonkeyPatch, distribution: str | None, name: str) -> None:
    monkeypatch.delenv("ROS_DISTRO", raising=False)
    if distribution is not None:
        monkeypatch.setenv("ROS_DISTRO", distribution)
    assert use_large_shared_memory()
    assert {choice: os.environ[choice] for choice in CHOICES if choice in os.environ} == {name: str(profile_path())}


@pytest.mark.parametrize("distribution", ["humble", "kilted"])
@pytest.mark.parametrize("name", CHOICES)
def test_what_a_user_has_chosen_stays(monkeypatch: pytest.MonkeyPatch, distribution: str, name: str) -> None:
    monkeypatch.setenv("ROS_DISTRO", distribution)
    monkeypatch.setenv(name, "mine")
    assert not use_large_shared_memory()
    assert {choice: os.environ[choice] for choice in CHOICES if choice in os.environ} == {name: "mine"}
