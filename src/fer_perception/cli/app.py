"""The commands of `fer` put together, and how they end: status and one line on stderr instead of a traceback."""

from __future__ import annotations

import importlib
import importlib.util
import io
import logging
import os
import signal
import sys
from typing import Annotated

import typer

from fer_perception import __version__
from fer_perception.cli import COMMANDS
from fer_perception.cli.output import print_problem
from fer_perception.errors import FerError
from fer_perception.stdout import drop_stdout

_INTERRUPTED = 130

app = typer.Typer(
    name="fer",
    help="Facial expressions in pictures, videos and ROS 2 bags. Exit status: 0 done, 1 failed, 2 wrong usage.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"fer_perception {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    *,
    version: Annotated[  # noqa: ARG001
        bool, typer.Option("--version", help="Show the version and leave.", callback=_show_version, is_eager=True)
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what is chosen and why, on stderr.")] = False,
) -> None:
    level = logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=level, stream=sys.stderr, format="%(levelname)s: %(message)s")


for _name in COMMANDS:
    if importlib.util.find_spec(f"{__package__}.{_name}") is not None:
        importlib.import_module(f"{__package__}.{_name}").register(app)


def run_app() -> None:
    """Run the command line of this process and exit."""
    # A service may have closed them; Python then has None instead.
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - lives as long as we
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    # `timeout` and services end a command with SIGTERM: files are finished then, as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # File names need not be text; what cannot be printed is shown escaped.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app(prog_name="fer")
    except FerError as err:
        print_problem(str(err))
        sys.exit(1)
    except OSError as err:
        # Files that the user names are reported where they are opened; what is left is stdout, or the machine itself.
        logging.getLogger(__name__).info("where it happened", exc_info=True)
        drop_stdout()
        sys.stderr.write(f"fer: {err.filename or 'stdout'} cannot be used: {err.strerror or err}\n")
        sys.exit(1)
    except SystemExit as end:
        # What typer makes of Ctrl-C; to a script it is a failure like others.
        if end.code == _INTERRUPTED:
            sys.stderr.write("fer: interrupted\n")
            sys.exit(1)
        raise
