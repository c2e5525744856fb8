"""`fer-train prepare`: raw images of a data set to aligned 48x48 gray faces in one npz file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command `prepare`."""
    app.command("prepare")(prepare_command)


def prepare_command(
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="Folder or CSV manifest of a data set: CK+, JAFFE, class folders ...")
    ],
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="File to write (.npz); what was left out goes to OUT.skipped.csv.")
    ],
    *,
    kind: Annotated[
        str | None,
        typer.Option(
            help="ck_plus, ck48, jaffe, kdef, raf_db, affectnet, class_folders or manifest; found out if not given."
        ),
    ] = None,
    detector: Annotated[str, typer.Option(help="Face detector: auto, yunet_ort, yunet_cv2 or haar.")] = "auto",
    size: Annotated[int, typer.Option(help="Side of the faces in pixels.", min=16, max=512)] = 48,
) -> None:
    """Find the face in every image, align it as on the robot, and write all of them as one data set."""
    from dataclasses import replace

    import numpy as np
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from fer_perception.detection.create import create_detector
    from fer_perception.settings.pipeline_settings import PipelineSettings
    from fer_training.data.kinds import load_index
    from fer_training.data.label_maps import warn_of_unknown
    from fer_training.data.prepare import class_note, prepare, write_skipped
    from fer_training.data.readers.npz import write_npz
    from fer_training.output_files import ready_for

    ready_for(out, ".npz")
    index = load_index(data, kind=kind)
    warn_of_unknown([record.label for record in index.records], "own")
    settings = PipelineSettings()
    finder = create_detector(
        detector,
        threshold=settings.detection_threshold,
        detection_size=settings.detection_size,
        min_face_size=settings.min_face_size,
        max_faces=settings.max_faces,
        threads=settings.threads,
    )
    typer.echo(finder.reason, err=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=sys.stderr)) as bar:
        task = bar.add_task("finding faces", total=len(index.records))
        samples = prepare(
            index, finder, size=size, progress=lambda done, total: bar.update(task, completed=done, total=total)
        )
    # Paths of this machine are of no use in the file that travels.
    folder = (data if data.is_dir() else data.parent).absolute()
    files = [Path(source).absolute() for source in samples.sources]
    sources = [(file.relative_to(folder).as_posix() if file.is_relative_to(folder) else file.name) for file in files]
    write_npz(out, replace(samples, sources=np.array(sources, dtype=np.str_)))
    skipped = out.with_name(out.name + ".skipped.csv")
    write_skipped(skipped, samples)
    counts = ", ".join(f"{name} {count}" for name, count in samples.class_counts().items() if count)
    typer.echo(f"{out}: {len(samples)} faces ({counts}); {len(samples.skipped)} left out, listed in {skipped}")
    for reason, count in samples.skip_summary().items():
        typer.echo(f"  {count} x {reason}")
    if note := class_note(samples):
        typer.echo(note, err=True)
