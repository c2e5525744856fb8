"""`fer-train`: train, evaluate, compare and export networks on a workstation."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from fer_perception import __version__
from fer_perception.errors import FerError
from fer_perception.system.process import drop_stdout, reader_left, usable_streams
from fer_perception.system.text import MOST_SHOWN, printable

_INTERRUPTED = 130


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"fer-train {__version__}")
        raise typer.Exit


def _common(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None: ...


def build_app() -> typer.Typer:
    """The application with all its commands."""
    app = typer.Typer(
        name="fer-train",
        help="Train, evaluate, compare and export the networks behind fer_perception.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_common)
    # Every module of this package but these two is a command: it has a `register(app)` and imports what is slow only
    # when its command runs.
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if module.name not in {"app", "__main__"}:
            importlib.import_module(f"{__package__}.{module.name}").register(app)
    return app


def main() -> None:
    """Entry point. Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    usable_streams()
    try:
        build_app()()
    except FerError as err:
        print(f"fer-train: {printable(str(err)[:MOST_SHOWN])}", file=sys.stderr)
        sys.exit(1)
    except ModuleNotFoundError as err:
        # `make setup` brings the program, but not what is only needed for training.
        if err.name is None or err.name.partition(".")[0] in {"fer_training", "fer_perception"}:
            raise
        fix = "`make training`, or without ROS `pip install -e '.[train]'`, brings the packages of fer-train"
        print(f"fer-train: {err.name} is not installed; {fix}", file=sys.stderr)
        sys.exit(1)
    except SystemExit as end:
        # What typer makes of Ctrl-C.
        if end.code == _INTERRUPTED:
            print(
                "fer-train: interrupted; of fit and reproduce, the same command goes on from the last finished epoch",
                file=sys.stderr,
            )
        if reader_left(end):
            drop_stdout()
            sys.exit(0)
        raise
    except OSError as err:
        # A full or read-only disk, a directory where a file was expected: nothing a stack of calls explains better.
        place = err.filename or "the output"
        print(f"fer-train: {place} cannot be used: {err.strerror or err}; choose another place", file=sys.stderr)
        sys.exit(1)
