"""The application `fer`: its commands, exit status, and errors as one line on stderr instead of a traceback."""

from __future__ import annotations

import importlib
import inspect
import logging
import sys
from typing import Annotated

import typer

from fer_perception import __version__
from fer_perception.cli.common import print_problem
from fer_perception.errors import FerError
from fer_perception.system.process import drop_stdout, end_as_ctrl_c_does, reader_left, usable_streams

#: The commands; each is a module of this package.
COMMANDS = ("run", "replay", "models", "compile", "benchmark", "doctor")

_INTERRUPTED = 130

app = typer.Typer(
    name="fer",
    help="Facial expressions in images, videos and ROS 2 bags. Exit status: 0 done, 1 failed, 2 wrong usage.",
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
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what is chosen and why, on stderr.")] = False,
) -> None:
    level = logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=level, stream=sys.stderr, format="%(levelname)s: %(message)s")


for _name in COMMANDS:
    importlib.import_module(f"{__package__}.{_name}").register(app)


def _let_help_flow(commands: typer.Typer) -> None:
    """Give each paragraph of help one line, which flows to any width: typer keeps the line breaks of docstrings."""
    for command in commands.registered_commands:
        text = inspect.cleandoc(command.help or getattr(command.callback, "__doc__", None) or "")
        command.help = "\n\n".join(" ".join(paragraph.split("\n")) for paragraph in text.split("\n\n"))
    for group in commands.registered_groups:
        if group.typer_instance is not None:
            _let_help_flow(group.typer_instance)


_let_help_flow(app)


def run_app() -> None:
    """Run the command line of this process and exit."""
    usable_streams()
    # So that files are finished.
    end_as_ctrl_c_does()
    try:
        app(prog_name="fer")
    except FerError as err:
        print_problem(str(err))
        sys.exit(1)
    except ImportError as err:
        logging.getLogger(__name__).info("where it happened", exc_info=True)
        print_problem(f"a package is missing or does not load ({err}); `fer doctor` says which and how to install it")
        sys.exit(1)
    except OSError as err:
        # Files that the user names are reported where they are opened; what is left is stdout, or the machine itself.
        logging.getLogger(__name__).info("where it happened", exc_info=True)
        drop_stdout()
        # Nothing but the question where we are fails like this without a name.
        nameless = "the working directory, which was removed," if isinstance(err, FileNotFoundError) else "stdout"
        sys.stderr.write(f"fer: {err.filename or nameless} cannot be used: {err.strerror or err}\n")
        sys.exit(1)
    except SystemExit as end:
        # What typer makes of Ctrl-C; to a script it is a failure like others.
        if end.code == _INTERRUPTED:
            sys.stderr.write("fer: interrupted\n")
            sys.exit(1)
        if reader_left(end):
            drop_stdout()
            sys.exit(0)
        raise
