"""What the documentation promises exists."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from fer_perception.cli.app import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(p for d in ("docs", "models", "training", "benchmarks") for p in ROOT.glob(f"{d}/*.md"))]
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


def test_anchors_in_links_are_headings() -> None:
    """As Git hosts make them of headings: lower case, spaces as hyphens, no punctuation."""
    anchors = {
        page: {
            re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
            for heading in re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        }
        for page in PAGES
    }
    named = [
        (page, (page.parent / file).resolve() if file else page, anchor)
        for page in PAGES
        for file, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", page.read_text(encoding="utf-8"))
    ]
    assert len(named) > 5
    assert [(page.name, anchor) for page, target, anchor in named if anchor not in anchors[target]] == []


def test_every_page_is_in_the_table_of_contents() -> None:
    listed = re.findall(r"^\w+$", (ROOT / "docs" / "index.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(page.stem for page in ROOT.glob("docs/*.md") if page.stem != "index")


def test_the_readme_is_no_longer_than_200_lines() -> None:
    """Who adds a line moves one out: all parameters, topics and figures have pages of their own in docs/."""
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 200


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
            r"`((?:config|launch|examples|docs|src|training|test|tools|models|benchmarks|recipes)/[\w./]+)`",
            page.read_text(encoding="utf-8"),
        ):
            # Recipes are named as `fer-train fit --recipe` takes them.
            there = ROOT / "training" / "fer_training" if name.startswith("recipes/") else ROOT
            assert (there / name).exists(), f"{page.name}: {name}"


def test_modules_named_in_pages_and_in_code_exist() -> None:
    """A file that moves takes its mentions along; EXPERIMENTS.md is history and keeps what things were called."""
    there = {
        path.name
        for folder in ("src", "training", "test", "tools", "benchmarks", "examples", "launch")
        for path in (ROOT / folder).rglob("*.py")
    }
    pages = [page for page in PAGES if page.name != "EXPERIMENTS.md"]
    code = [path for folder in ("src", "training", "tools") for path in (ROOT / folder).rglob("*.py")]
    named = {
        (str(path.relative_to(ROOT)), name)
        for path in (*pages, *code)
        for name in re.findall(r"(?<![\w.<{*])[a-z_]\w*\.py\b", path.read_text(encoding="utf-8"))
    }
    assert len(named) > 40
    assert [(path, name) for path, name in sorted(named) if name not in there | {"setup.py", "numpy.py"}] == []


class TestExtending:
    """docs/extending.md names places in the code; whoever moves one finds out here."""

    text = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")

    def test_paths_of_commands_exist(self) -> None:
        blocks = " ".join(re.findall(r"```sh\n(.*?)```", self.text, re.DOTALL))
        paths = re.findall(r"(?<!\S)(?:test|tools)/\S+", blocks)
        assert len(paths) > 10
        assert [path for path in paths if not (ROOT / path).exists()] == []

    def test_files_of_the_map_exist(self) -> None:
        drawing = "\n".join(re.findall(r"^ {4}(?=\S| ).*$", self.text.partition("## What must hold")[0], re.MULTILINE))
        names = re.findall(r"[a-z0-9_/]+(?:\.py|/)", drawing)
        assert len(names) > 10
        assert [name for name in names if not (ROOT / "src" / "fer_perception" / name).exists()] == []

    def test_names_are_in_the_files_they_are_said_to_be_in(self) -> None:
        named = re.findall(
            r"((?:`\w+`(?:, | and )?)+)\s+in\s+(?:the\s+)?`((?:src|training|test)/[\w./]+\.py)`", self.text
        )
        pairs = [(name, path) for names, path in named for name in re.findall(r"\w+", names.replace(" and ", " "))]
        assert len(pairs) > 12
        wrong = [(n, p) for n, p in pairs if not re.search(rf"\b{n}\b", (ROOT / p).read_text(encoding="utf-8"))]
        assert wrong == []


def test_tables_name_all_their_columns() -> None:
    """Who has a page read to them hears the heading of a column with every cell."""
    pages = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")), *sorted(ROOT.glob("models/*.md"))]
    headings = 0
    for page in pages:
        lines = page.read_text(encoding="utf-8").splitlines()
        for heading, rule in itertools.pairwise(lines):
            if rule.startswith("|") and set(rule) <= set("|-: "):
                headings += 1
                assert all(cell.strip() for cell in heading.strip("|").split("|")), f"{page.name}: {heading}"
    assert headings > 20
