"""Words of the documentation that a reader types or searches for: options, recipe keys, texts of messages."""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        ROOT / "CHANGELOG.rst",
        *(p for folder in ("docs", "training", "benchmarks") for p in ROOT.glob(f"{folder}/*.md")),
    ]
)


def code_of(page: Path) -> list[str]:
    """What stands in backticks or in a block of shell commands, continued lines joined."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = [line.split("#")[0] for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    rest = re.sub(r"```.*?```", "", text, flags=re.DOTALL).replace("``", "`")  # reStructuredText has two
    return [*lines, *(" ".join(span.split()) for span in re.findall(r"`([^`]+)`", rest))]


def options_named(program: str) -> Iterator[tuple[str, str, str]]:
    """(page, command, option) for every option that a page gives a command of a program."""
    for page in PAGES:
        for code in code_of(page):
            called = re.search(rf"(?:^|[/ ]){program} ([a-z][a-z-]+)\b(.*)", code)
            for option in re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", called[2]) if called else ():
                yield page.name, called[1], option


def options_of(app: typer.Typer) -> dict[str, set[str]]:
    """Command -> its options; those of a group's commands together."""
    group: Any = typer.main.get_command(app)
    return {
        name: {
            option
            for part in (command, *getattr(command, "commands", {}).values())
            for parameter in part.params
            for option in (*parameter.opts, *parameter.secondary_opts)
        }
        for name, command in group.commands.items()
    }


def apps() -> Iterator[Any]:
    from fer_perception.cli.app import app

    yield pytest.param(app, "fer", id="fer")
    if importlib.util.find_spec("torch") is not None:
        from fer_training.cli.app import build_app

        yield pytest.param(build_app(), "fer-train", id="fer-train")


@pytest.mark.parametrize(("app", "program"), list(apps()))
def test_options_in_the_pages_exist(app: typer.Typer, program: str) -> None:
    there = options_of(app)
    named = list(options_named(program))
    assert len(named) > 12
    assert [found for found in named if found[2] not in there.get(found[1], set())] == []


def test_recipe_keys_in_the_pages_exist() -> None:
    """As `key=value`, and as the bare key of a group."""
    recipe = pytest.importorskip("fer_training.recipe").Recipe()
    keys: set[str] = set()
    groups: list[str] = []
    for item in dataclasses.fields(recipe):
        value = getattr(recipe, item.name)
        keys.add(item.name)
        if dataclasses.is_dataclass(value):
            groups.append(item.name)
            keys |= {f"{item.name}.{part.name}" for part in dataclasses.fields(value)}
    pages = [ROOT / "docs" / "training.md", *ROOT.glob("training/*.md"), ROOT / "CHANGELOG.rst"]
    given = rf"(?<![\w./<-])((?:[a-z]+\.)?[a-z_]+)=[\w\[]|\b((?:{'|'.join(groups)})\.\w+)"
    named = [
        (page.name, first or second)
        for page in pages
        for code in code_of(page)
        for first, second in re.findall(given, re.sub(r"--data \S+", "", code))
    ]
    assert len(named) > 20
    assert [found for found in named if found[1] not in keys] == []


def texts_of_messages() -> str:
    """Every string of the robot's side; an f-string as its fixed parts, of a choice the first."""
    texts = []
    for path in (ROOT / "src" / "fer_perception").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                texts.append("".join(_fixed(part) for part in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return "\n".join(texts)


def _fixed(part: ast.expr) -> str:
    value = part.value.body if isinstance(part, ast.FormattedValue) and isinstance(part.value, ast.IfExp) else part
    return str(value.value) if isinstance(value, ast.Constant) else "\n"


def test_messages_that_troubleshooting_quotes_are_ours() -> None:
    """Who searches the page for what the log says must find it."""
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    section = page.partition("## Nothing arrives")[2].partition("**QoS.**")[0]
    quoted = [
        text for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for text in re.findall("`(.+?)`", row)
    ]
    states = {"unconfigured", "inactive"}
    elsewhere = [
        "... serves instead",
        "--view is not possible",
        "processing fails: ...",
        "nobody publishes faces",
        "overloaded",
    ]
    for text in elsewhere:
        assert f"`{text}`" in page.replace("(`", "`")
    pieces = [
        piece.strip() for text in (*quoted, *elsewhere) if text not in states for piece in re.split(r";|\.\.\.", text)
    ]
    pieces = [piece for piece in pieces if piece.strip("()")]
    assert len(pieces) > 15
    texts = texts_of_messages()
    assert [piece for piece in pieces if piece not in texts] == []


def test_defaults_of_the_examples_are_those_of_their_page() -> None:
    page = (ROOT / "docs" / "examples.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+\.py)` \|.* Parameters: (.*) \|$", page, re.MULTILINE)
    assert [name for name, _ in rows] == ["dialogue_manager.py", "virtual_agent.py"]
    for name, parameters in rows:
        source = (ROOT / "examples" / name).read_text(encoding="utf-8")
        told = dict(re.findall(r"`(\w+)` ([\w.]+)", parameters))
        declared = dict(re.findall(r'(?:number\(self, |declare_parameter\()"(\w+)", "?([\w.]+)"?\)', source))
        assert told.keys() == declared.keys(), name
        same = [told[key] == value or float(told[key]) == float(value) for key, value in declared.items()]
        assert all(same), (name, told, declared)
