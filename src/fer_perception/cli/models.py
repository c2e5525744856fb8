"""`fer models`: lists, fetches and verifies model files."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fer_perception.cli.common import print_line, print_problem, quiet_when_reader_leaves

if TYPE_CHECKING:
    from fer_perception.model_files.store import FileStatus

_JSON = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    models = typer.Typer(help="List, fetch and verify model files.", no_args_is_help=True)
    models.command("list")(list_models)
    models.command("fetch")(fetch)
    models.command("verify")(verify)
    app.add_typer(models, name="models")


def list_models(*, as_json: _JSON = False) -> None:
    """Every model this package can use, and where its file is."""
    from fer_perception.model_files.store import ModelStore

    _print(ModelStore().verify(), as_json=as_json)


def verify(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Which models; may be repeated. Default: all.")
    ] = None,
    *,
    as_json: _JSON = False,
) -> None:
    """Compare the files with their recorded SHA-256, and look into those without; exit status 1 if one is not whole."""
    from fer_perception.model_files.store import FileState, ModelStore

    store = ModelStore()
    statuses = [status for name in names for status in store.verify(name)] if names else store.verify()
    statuses = [_looked_into(status) if status.state is FileState.NO_HASH else status for status in statuses]
    with quiet_when_reader_leaves():
        _print(statuses, as_json=as_json)
    bad = [status for status in statuses if status.state not in {FileState.OK, FileState.NO_HASH}]
    for status in bad:
        print_problem(status.message)
    if bad:
        raise typer.Exit(1)


def fetch(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Which models; may be repeated. Default: yunet.")
    ] = None,
    *,
    force: Annotated[bool, typer.Option("--force", help="Also where a whole file is already found elsewhere.")] = False,
    source: Annotated[
        Path | None,
        typer.Option("--from", help="Copy from this directory; nothing is downloaded."),
    ] = None,
) -> None:
    """Bring model files of others into the user's cache and check their hashes (uses the network without --from)."""
    from fer_perception.cli.common import progress_bar
    from fer_perception.model_files.store import FileState, ModelStore

    store = ModelStore()
    with progress_bar(shown=sys.stderr.isatty()) as bar:
        for name in names or ["yunet"]:
            status = store.verify(name)[0]
            group = [status, *(each for other in status.entry.with_it for each in store.verify(other))]
            if not force and all(each.state is FileState.OK for each in group):
                for each in group:
                    print_line(f"{each.entry.name}: already at {each.path}, from {each.origin}")
                continue
            task = bar.add_task(name, total=status.entry.size or None, speed="")

            def show(done: int, total: int, task: Any = task) -> None:
                bar.update(task, completed=done, total=total)

            for path in store.fetch(name, source=source, progress=show):
                print_line(f"fetched {path}, from {store.origin(path)}")


def _looked_into(status: FileStatus) -> FileStatus:
    """Check of a file without a recorded hash: complete, and a model of this project."""
    from dataclasses import replace

    from fer_perception.errors import ModelError
    from fer_perception.model_files.onnx_file import read_metadata
    from fer_perception.model_files.store import FileState

    if status.path is None:
        return status
    try:
        read_metadata(status.path)
    except ModelError as err:
        return replace(status, state=FileState.UNREADABLE, message=str(err))
    return status


def _print(statuses: list[FileStatus], *, as_json: bool) -> None:
    rows = [
        {
            "name": status.entry.name,
            "state": status.state.value,
            "path": str(status.path) if status.path else None,
            "description": status.entry.description,
            "license": status.entry.license,
            "sha256": status.entry.sha256 or None,
            "origin": status.origin or None,
        }
        for status in statuses
    ]
    if as_json:
        print_line(json.dumps(rows, indent=2))
        return
    for row in rows:
        print_line(f"{row['name']:<22} {row['state']:<17} {row['path'] or '-'}")
        origin = f"from {row['origin']}" if row["origin"] else ""
        print_line(" " * 23 + ", ".join(filter(None, (row["description"], row["license"], origin))))
