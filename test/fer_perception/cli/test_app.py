"""The commands put together."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import typer
from run_fer import run_fer
from typer.main import get_command

from fer_perception.cli.app import COMMANDS, app


def test_every_name_is_a_command() -> None:
    commands = getattr(get_command(app), "commands", {})
    assert set(commands) == set(COMMANDS), "each name in COMMANDS is a module of cli/ that registers this command"


def every_help(commands: typer.Typer) -> Iterator[str]:
    for command in commands.registered_commands:
        yield command.help or ""
    for group in commands.registered_groups:
        assert group.typer_instance is not None
        yield from every_help(group.typer_instance)


def test_help_flows_to_the_width_of_the_terminal() -> None:
    texts = list(every_help(app))
    assert len(texts) > len(COMMANDS)
    for text in texts:
        assert text
        assert not any("\n" in paragraph for paragraph in text.split("\n\n"))


@pytest.mark.parametrize("command", ["models fetch", "models verify", "benchmark"])
def test_usage_has_brackets_of_one_kind(command: str) -> None:
    assert "[[" not in run_fer(*command.split(), "--help").stdout
