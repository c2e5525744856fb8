"""The commands put together."""

from __future__ import annotations

from typer.main import get_command

from fer_perception.cli import COMMANDS
from fer_perception.cli.app import app


def test_every_name_is_a_command() -> None:
    commands = getattr(get_command(app), "commands", {})
    assert set(commands) == set(COMMANDS), "each name in COMMANDS is a module of cli/ that registers this command"
