"""What the documentation promises exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fer_perception.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


def test_every_command_is_explained() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for command in COMMANDS:
        assert f"`fer {command}" in text, "README.md, 'The command line', lacks it"


def test_every_field_of_the_messages_is_explained() -> None:
    text = (ROOT / "docs" / "messages.md").read_text(encoding="utf-8")
    for path in (ROOT / "src" / "fer_msgs" / "msg").glob("*.msg"):
        for line in path.read_text(encoding="utf-8").splitlines():
            field = re.match(r"[\w/]+(?:\[\])? +([a-z_]+)\b(?!=)", line)
            if field and not line.startswith("#"):
                assert f"`{field[1]}`" in text, f"docs/messages.md does not explain {path.name}: {field[1]}"


def test_paths_named_in_backticks_exist() -> None:
    for page in PAGES:
        for name in re.findall(
            r"`((?:config|launch|examples|docs|src|training)/[\w./]+)`", page.read_text(encoding="utf-8")
        ):
            assert (ROOT / name).exists(), f"{page.name}: {name}"
