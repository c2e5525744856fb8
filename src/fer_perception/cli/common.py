"""Helpers shared by the commands: progress on stderr, results on stdout, pipes that close early."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fer_perception.system.process import drop_stdout, ending_signals_wait
from fer_perception.system.text import printable

if TYPE_CHECKING:
    from rich.progress import Progress

    from fer_perception.pipeline import Pipeline
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from fer_perception.settings.node_settings import NodeSettings
    from fer_perception.settings.pipeline_settings import PipelineSettings


def wants_progress(choice: bool | None, *, results_on_stdout: bool) -> bool:
    """True where a progress bar is drawn: the user's `choice`, else on a terminal that the results do not share."""
    if choice is not None:
        return choice
    return sys.stderr.isatty() and not (results_on_stdout and sys.stdout.isatty())


@contextmanager
def progress_bar(*, shown: bool) -> Iterator[Progress]:
    """A progress display on stderr: description, bar, count, frames a second, time left."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        # The name of a file, in which brackets are no markup.
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
    )
    # rich would otherwise send what is printed to stdout meanwhile to stderr.
    with Progress(
        *columns,
        # Older versions of rich end even a disabled display with a line feed.
        console=Console(stderr=True, quiet=not shown, force_terminal=shown or None),
        disable=not shown,
        redirect_stdout=False,
        redirect_stderr=False,
    ) as progress:
        yield progress


def print_line(text: str) -> None:
    """Write one line of results to stdout, at once, so that a reader in a pipe can follow."""
    # Ctrl-C while a slow reader has taken half of a line must not cut it.
    with ending_signals_wait(again=False):
        sys.stdout.write(printable(text) + "\n")
        sys.stdout.flush()


def print_problem(text: str) -> None:
    """Say on stderr, in one line, what did not go as wished."""
    sys.stderr.write(f"fer: {printable(text)}\n")


def print_warnings(pipeline: Pipeline) -> None:
    """Say on stderr where something weaker than usual serves, and how to fix it."""
    if pipeline.detector.fallback:
        # Which files were looked for, and where, fills lines: the doctor tells it.
        told = pipeline.detector.reason.partition(" (")[0]
        sys.stderr.write(f"fer: warning: {told}; `fer doctor` says why\n")
    if warning := pipeline.classifier.metadata.prior_warning:
        sys.stderr.write(f"fer: warning: {printable(warning)}\n")


def log_choices(pipeline: Pipeline) -> None:
    """Log what was chosen and why (`fer -v`)."""
    classifier = pipeline.classifier
    log = logging.getLogger(__name__)
    log.info("detector: %s; %s", pipeline.detector.reason, pipeline.detector.model_file)
    log.info("%s on %s: %s", classifier.metadata.model_id, classifier.backend, classifier.reason)


@contextmanager
def quiet_when_reader_leaves() -> Iterator[None]:
    """End quietly, status 0, when whoever reads stdout has seen enough (`fer run ... | head`)."""
    try:
        yield
    except BrokenPipeError:
        drop_stdout()


ParamsOption = Annotated[
    Path | None,
    typer.Option(
        "--params", metavar="FILE", help="Settings: a ROS parameter file or flat YAML; else the node's defaults."
    ),
]


def _model_names(incomplete: str) -> list[str]:
    """Expression models that the shell may complete to."""
    from fer_perception.model_files.store import THIRD_PARTY_MODELS, ModelStore

    known = [entry.name for entry in ModelStore().entries() if entry not in THIRD_PARTY_MODELS]
    return [name for name in known if name.startswith(incomplete)]


ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="NAME|FILE",
        help="Expression model, the setting `model`: wins over --params.",
        autocompletion=_model_names,
    ),
]
CsvOption = Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="One row a face and frame.")]


def split_settings(arguments: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """Tell `key=value` settings from what is to be looked at: a file of that name wins, and so does an address.

    Returns:
        The other arguments, and the settings with their values read as YAML.

    Raises:
        ConfigError: a value is no YAML.
    """
    from fer_perception.errors import ConfigError
    from fer_perception.system.files import parse_yaml

    others: list[str] = []
    settings: dict[str, Any] = {}
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not equals or not name.isidentifier() or Path(argument).exists():
            others.append(argument)
            continue
        try:
            settings[name] = parse_yaml(value)
        except ValueError as err:
            msg = f"{argument}: {value!r} is no value in YAML: {err}"
            raise ConfigError(msg) from None
    return others, settings


def load_settings(
    params: Path | None,
    *,
    deterministic_ids: bool | None = None,
    model: str | None = None,
    changes: Mapping[str, Any] | None = None,
) -> PipelineSettings:
    """The node's defaults, or the settings of a file, with those of the command line.

    Settings that the file has and that are passed over are told on stderr.

    Args:
        params: the file.
        deterministic_ids: None: ids are numbered from f00001 unless the file or `changes` say otherwise.
        model: of --model.
        changes: settings of the command line.

    Raises:
        ConfigError: see `read_pipeline_settings`; or one of `changes` is unknown or has a bad value.
    """
    from fer_perception.settings.declaration import check_value
    from fer_perception.settings.params_file import passed_over, read_parameters, read_pipeline_settings
    from fer_perception.settings.pipeline_settings import PipelineSettings

    given = {**(changes or {}), **({} if model is None else {"model": model})}
    values: dict[str, Any] = {"deterministic_ids": deterministic_ids is not False}
    if params is not None and deterministic_ids is None and "deterministic_ids" in read_parameters(params):
        values = {}
    values |= {name: check_value(PipelineSettings, name, value) for name, value in given.items()}
    if params is None:
        return PipelineSettings(**values)
    for told in passed_over(params):
        print_problem(f"warning: {told}")
    return read_pipeline_settings(params, **values)


def load_node_settings(params: Path | None) -> NodeSettings:
    """The settings of the ROS node beside the pipeline's: its defaults, or those of a file.

    Raises:
        ConfigError: the file cannot be read, or a setting has a bad value.
    """
    from fer_perception.settings.node_settings import NodeSettings
    from fer_perception.settings.params_file import read_node_settings

    return NodeSettings() if params is None else read_node_settings(params)
