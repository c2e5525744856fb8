"""`fer replay`: the pipeline over a recorded bag."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fer_perception.cli.common import (
    CsvOption,
    ModelOption,
    ParamsOption,
    load_settings,
    log_choices,
    print_problem,
    print_warnings,
    progress_bar,
    split_settings,
    wants_progress,
)
from fer_perception.system.text import printable

if TYPE_CHECKING:
    from fer_perception.replay.replay import FrameSink, ReplayStatistics
    from fer_perception.replay.summary import SeenFaces

#: Given as a file, by convention.
STDOUT = Path("-")
#: How many faces of a camera the summary names.
MOST_FACES = 10


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("replay")(replay)


def replay(
    bag: Annotated[Path, typer.Argument(metavar="BAG", help="rosbag2 directory, or one .mcap or .db3 file.")],
    changes: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Settings, which win over --params.")
    ] = None,
    *,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="BAG", help="New bag (mcap): everything of the old one and /emotions."),
    ] = None,
    jsonl: Annotated[
        Path | None,
        typer.Option("--jsonl", metavar="FILE", help="A JSON object a frame, as of fer run --json; - = stdout."),
    ] = None,
    csv: CsvOption = None,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="HTML", help="One self-contained page to look at.")
    ] = None,
    topic: Annotated[
        list[str] | None,
        typer.Option("--topic", metavar="T", help="Image topic; may be repeated. Default: every image topic."),
    ] = None,
    model: ModelOption = None,
    params: ParamsOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
    progress: Annotated[
        bool | None,
        typer.Option("--progress/--no-progress", help="Progress bar on stderr; default: where stderr is a terminal."),
    ] = None,
) -> None:
    """Run the pipeline over BAG as fast as this machine allows.

    Nothing is dropped, and the same bag gives the same bytes on the same machine (but for the times measured in
    --report). Older files of the names given are replaced, an older bag is not. Ctrl-C ends early and leaves complete
    files (exit status 1).
    """
    from fer_perception.errors import SourceError
    from fer_perception.pipeline import build_pipeline
    from fer_perception.replay.bags import IMAGE_TYPES, BagReader, BagWriter
    from fer_perception.replay.replay import Replay
    from fer_perception.replay.report import Report
    from fer_perception.replay.sinks import CsvTable, JsonLines
    from fer_perception.replay.summary import SeenFaces

    lines_on_stdout = jsonl == STDOUT
    _check_outputs(bag, out=out, jsonl=jsonl, csv=csv, report=report)
    if lines_on_stdout and as_json:
        msg = "--jsonl - and --json would both write to stdout; name a file for one of them"
        raise typer.BadParameter(msg)
    settings = load_settings(params, deterministic_ids=True, model=model, changes=_settings_only(changes or ()))
    with ExitStack() as stack:
        reader = stack.enter_context(BagReader(bag))
        topics = reader.camera_topics(topic or [])
        pipeline = build_pipeline(settings)
        stack.callback(pipeline.close)
        print_warnings(pipeline)
        log_choices(pipeline)
        for note in reader.notes:
            print_problem(note)
        writer = stack.enter_context(BagWriter(out)) if out is not None else None
        seen = SeenFaces()
        lines = stack.enter_context(JsonLines(jsonl if jsonl != STDOUT else None)) if jsonl else None
        table = stack.enter_context(CsvTable(csv, pipeline.labels)) if csv else None
        page = Report(report, bag) if report is not None else None
        sinks: list[FrameSink] = [sink for sink in (seen, lines, table, page) if sink is not None]
        work = Replay(reader, pipeline, topics, sinks=sinks, writer=writer)
        stop = stack.enter_context(_Interruption())
        bar = stack.enter_context(progress_bar(shown=wants_progress(progress, results_on_stdout=True)))
        task = bar.add_task(printable(bag.name), total=reader.count(topics, IMAGE_TYPES), speed="")
        started = time.monotonic()
        done = 0
        try:
            for _ in work.run(stop.requested):
                done += 1
                bar.update(task, advance=1, speed=f"{done / max(time.monotonic() - started, 1e-6):.1f} frames/s")
                if lines is not None and lines.reader_left and not (out or csv or report):
                    break
        except SourceError as err:
            # What came before the damage is worth keeping: the files are finished, then the reason is told.
            work.statistics.damage = str(err)
        seconds = time.monotonic() - started
        if page is not None:
            page.write(work.statistics, seconds)
    statistics = work.statistics
    results = ((out, writer), (jsonl, lines), (csv, table), (report, page))
    files = [str(path) for path, result in results if result is not None and result.complete]
    told = (_json_summary if as_json else _summary)(statistics, seen, seconds, files, reader.notes)
    # Whoever reads the lines from stdout wants nothing else there.
    (sys.stderr.write if lines_on_stdout else sys.stdout.write)(printable(told) + "\n")
    _print_missing(statistics, topics, out, optional=not topic, twins=reader.topics)


def _print_missing(
    statistics: ReplayStatistics, topics: Sequence[str], out: Path | None, *, optional: bool, twins: Collection[str]
) -> None:
    """Say on stderr what did not go as wished; status 1 where something is missing in the results.

    Args:
        statistics: of the replay.
        topics: that were looked at.
        out: the new bag.
        optional: nobody named the topics: one without a single image of a known encoding, such as depth, is none of a
            camera, as long as there are others.
        twins: names of all topics of the bag.
    """
    missing = bool(statistics.interrupted or statistics.damage or statistics.not_copied)
    for name in statistics.not_copied:
        print_problem(f"{name} is not in {out}: its type has no definition in the old bag, or it is not CDR")
    for topic in topics:
        causes = {cause: n for cause, n in statistics.bad.get(topic, {}).items() if cause != "out_of_order"}
        if not causes:
            continue
        used = statistics.frames[topic]
        told = "; ".join(f"{count} x {statistics.examples[cause]}" for cause, count in causes.items())
        twin = f"{topic}/compressed"
        hint = f"; try --topic {twin}" if twin in twins and twin not in topics else ""
        print_problem(f"{topic}: {sum(causes.values())} of {used + sum(causes.values())} images unusable: {told}{hint}")
        missing = missing or not (optional and not used and causes.keys() == {"encoding"} and statistics.frames.total())
    if statistics.interrupted:
        print_problem("interrupted; what is written is complete up to there")
    if statistics.damage:
        print_problem(f"{statistics.damage}; what is written covers what could be read")
    if missing:
        raise typer.Exit(1)


def _settings_only(arguments: Sequence[str]) -> dict[str, Any]:
    """The settings of the command line; raises BadParameter where something else is named."""
    others, settings = split_settings(arguments)
    if others:
        msg = f"{others[0]!r} is no setting (KEY=VALUE), and only one bag is replayed at a time"
        raise typer.BadParameter(msg)
    return settings


def _check_outputs(bag: Path, **outputs: Path | None) -> None:
    """Refuse what would lose something: stdout or one file for two outputs, the bag itself, a place that is none."""
    from fer_perception.system.files import require_writable

    named = {option: path for option, path in outputs.items() if path is not None}
    for option, path in named.items():
        if path == STDOUT:
            if option != "jsonl":
                msg = f"--{option} - is not possible: only --jsonl writes to stdout; name a file"
                raise typer.BadParameter(msg)
        elif option != "out":
            require_writable(path)
    files = [_identity(path) for path in named.values()]
    if len(set(files)) < len(files):
        msg = "two of --out, --jsonl, --csv and --report would write into one file; name different ones"
        raise typer.BadParameter(msg)
    parts = {_identity(path) for path in (bag, *(bag.iterdir() if bag.is_dir() else ()))}
    if parts & set(files):
        msg = f"one of --out, --jsonl, --csv and --report would overwrite {bag}, which is read; name another file"
        raise typer.BadParameter(msg)


def _identity(path: Path) -> object:
    """Equal for two names of one file, links included."""
    try:
        found = path.stat()
    except OSError:
        # Unlike Path.resolve, it does not raise for a link that leads to itself.
        return os.path.realpath(path)
    return found.st_dev, found.st_ino


class _Interruption:
    """Turns Ctrl-C, SIGTERM and SIGHUP into a request that is honored between two messages."""

    def __init__(self) -> None:
        self._requested = False
        self._former: list[tuple[signal.Signals, Any]] = []

    def requested(self) -> bool:
        """True once a stop was requested."""
        return self._requested

    def _request(self, _number: int, _frame: FrameType | None) -> None:
        self._requested = True

    def __enter__(self) -> _Interruption:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # `nohup` ignores SIGHUP, and means it.
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                self._former.append((number, signal.signal(number, self._request)))
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        for number, handler in self._former:
            signal.signal(number, handler)


def _json_summary(
    statistics: ReplayStatistics, seen: SeenFaces, seconds: float, files: list[str], notes: list[str]
) -> str:
    frames = sum(statistics.frames.values())
    summary = {
        "frames": dict(statistics.frames),
        "faces": [face.to_json() for face in seen.faces()],
        "bad": {topic: dict(causes) for topic, causes in statistics.bad.items()},
        "restarts": dict(statistics.restarts),
        "seconds": round(seconds, 3),
        "frames_per_s": round(frames / seconds, 2) if seconds > 0 else None,
        "emotions_topic": statistics.topic or None,
        "interrupted": statistics.interrupted,
        "damage": statistics.damage or None,
        "files": files,
        "notes": notes,
    }
    return json.dumps(summary, indent=2)


def _summary(
    statistics: ReplayStatistics, seen: SeenFaces, seconds: float, files: list[str], _notes: Sequence[str] = ()
) -> str:
    frames = sum(statistics.frames.values())
    lines = [f"{frames} frames in {seconds:.1f} s ({frames / max(seconds, 1e-6):.1f} frames/s)"]
    for topic, count in sorted(statistics.frames.items()):
        faces = seen.faces(topic)
        people = f"{len(faces)} face{'' if len(faces) == 1 else 's'}"
        lines.append(f"  {topic}: {count} frames, {seen.seconds(topic):.1f} s, {people}")
        for face in faces[:MOST_FACES]:
            mostly = f"{face.emotion} in {face.emotions[face.emotion]} of them" if face.emotion else "undecided"
            lines.append(f"    {face.face_id}: {face.frames} frames, {mostly}")
        if len(faces) > MOST_FACES:
            lines.append(f"    ... and {len(faces) - MOST_FACES} more, none of them in more frames")
        if statistics.restarts[topic]:
            lines.append(f"    the stamps began anew {statistics.restarts[topic]} times; every time the faces were new")
    for topic, causes in sorted(statistics.bad.items()):
        for cause, count in causes.most_common():
            lines.append(f"  {topic}: {count} unusable ({cause}): {statistics.examples[cause]}")
    lines += [f"wrote {path}" for path in files]
    return "\n".join(lines)
