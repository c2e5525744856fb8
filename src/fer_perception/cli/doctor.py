"""`fer doctor`: checks of the installation, with a fix for each problem."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fer_perception.cli.common import (
    ParamsOption,
    load_node_settings,
    load_settings,
    print_line,
    quiet_when_reader_leaves,
)

if TYPE_CHECKING:
    from fer_perception.doctor.check import Check

_SIGNS = {"ok": ("ok  ", "green"), "warning": ("note", "yellow"), "failed": ("FAIL", "red")}

#: Columns of a message at most and, on a narrow terminal, at least; paths are never broken, so that they can be copied.
_MESSAGE_WIDTH, _LEAST_WIDTH = 100, 30
_WHOLE_WORDS: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("doctor")(doctor)


def doctor(
    *,
    topic: Annotated[
        str | None, typer.Option("--topic", metavar="T", help="Image topic to look at, e.g. /camera/image_raw.")
    ] = None,
    # Longer than the 3 s between two announcements of Fast DDS, should the first find nobody listening.
    wait: Annotated[float, typer.Option("--wait", min=0.1, max=60.0, help="How long to wait for images, in s.")] = 5.0,
    params: ParamsOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Check this machine: packages, models, backend, caches, ROS 2 and, with --topic, the camera.

    Exit status 1 if something that is needed does not work.
    """
    from fer_perception.doctor.check import CheckStatus
    from fer_perception.doctor.machine import check_machine
    from fer_perception.doctor.ros import check_ros

    checks = check_machine(load_settings(params), lambda text: print(text, file=sys.stderr))
    ros = check_ros()
    checks += ros
    if topic is not None:
        if ros[0].verdict is CheckStatus.OK:
            from fer_perception.doctor.topic import check_topic

            checks += check_topic(topic, wait, load_node_settings(params))
        else:
            from fer_perception.doctor.check import Check

            checks.append(Check("images", CheckStatus.FAILED, f"{topic} cannot be looked at without ROS 2", ros[0].fix))
    with quiet_when_reader_leaves():
        _print(checks, as_json=as_json)
    if any(check.verdict is CheckStatus.FAILED for check in checks):
        raise typer.Exit(1)


def _print(checks: list[Check], *, as_json: bool) -> None:
    if as_json:
        rows = [
            {"name": c.name, "verdict": c.verdict.value, "message": c.message, "fix": c.fix or None} for c in checks
        ]
        print_line(json.dumps(rows, indent=2))
        return
    width = max(len(check.name) for check in checks)
    columns = _MESSAGE_WIDTH
    if sys.stdout.isatty():
        columns = max(min(shutil.get_terminal_size().columns - width - 8, _MESSAGE_WIDTH), _LEAST_WIDTH)
    for check in checks:
        sign, color = _SIGNS[check.verdict.value]
        first, *others = textwrap.wrap(check.message, columns, **_WHOLE_WORDS) or [""]
        typer.echo(f"{typer.style(sign, fg=color)}  {check.name:<{width}}  {first}")
        for line in others:
            typer.echo(f"{'':<{width + 6}}  {line}")
        if check.fix:
            typer.echo(f"{'':<{width + 6}}  -> {check.fix}")
