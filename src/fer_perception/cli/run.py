"""`fer run`: images, directories, videos, streams and webcams through the pipeline."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fer_perception.cli.common import (
    CsvOption,
    ModelOption,
    ParamsOption,
    load_settings,
    log_choices,
    print_line,
    print_problem,
    print_warnings,
    progress_bar,
    quiet_when_reader_leaves,
    split_settings,
    wants_progress,
)
from fer_perception.system.text import printable

if TYPE_CHECKING:
    from rich.progress import Progress

    from fer_perception.imaging.sources import Media, MediaFrame
    from fer_perception.pipeline import Pipeline
    from fer_perception.pipeline_types import FrameResult
    from fer_perception.replay.sinks import CsvTable
    from fer_perception.results.annotated_output import AnnotatedOutput

_WINDOW = "fer run (q or Esc ends)"


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("run")(run)


def run(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH|URL|INDEX... [KEY=VALUE...]",
            help="Images, directories of images and videos (natural order), videos, streams (rtsp://...) or numbers of "
            "webcams, one after the other; and settings, which win over --params.",
        ),
    ],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a frame on stdout.")] = False,
    csv: CsvOption = None,
    save: Annotated[
        Path | None,
        typer.Option("--save", metavar="DIR", help="Write annotated images or a video there, over older ones."),
    ] = None,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="The subdirectories of directories too.")
    ] = False,
    reconnect: Annotated[
        float,
        typer.Option(
            "--reconnect",
            metavar="S",
            help="Try a camera or stream that ends for so many seconds again (-1: for ever); 0 ends with status 1.",
        ),
    ] = 0.0,
    model: ModelOption = None,
    params: ParamsOption = None,
    view: Annotated[bool, typer.Option("--view", help="Show the annotated frames in a window.")] = False,
    progress: Annotated[
        bool | None,
        typer.Option("--progress/--no-progress", help="Progress bar on stderr; default: where stderr is a terminal."),
    ] = None,
) -> None:
    """Find the faces in PATH and say what they show.

    What cannot be read is named on stderr and the rest is still processed; the exit status is then 1. Files of a
    directory that are no images or videos, and its subdirectories, are counted there. Faces are numbered from f00001
    (unless a setting says deterministic_ids: false); single images are not smoothed.
    """
    if view:
        _require_window()
    # libav and OpenCV talk to stderr on their own; what matters is said by us.
    _silence_opencv()
    from fer_perception.pipeline import build_pipeline
    from fer_perception.replay.sinks import CsvTable
    from fer_perception.results.annotated_output import AnnotatedOutput

    sources, changes = split_settings(sources)
    if not sources:
        msg = "no image, video, directory, URL or webcam is named, only settings"
        raise typer.BadParameter(msg)
    _check_outputs(sources, save=save, csv=csv, recursive=recursive)
    settings = load_settings(params, model=model, changes=changes)
    with ExitStack() as stack:
        stack.enter_context(quiet_when_reader_leaves())
        inputs = _Inputs(sources, recursive=recursive, reconnect=reconnect)
        stack.callback(inputs.close)
        inputs.open_first()
        output = stack.enter_context(AnnotatedOutput(save)) if save is not None else None
        pipeline = build_pipeline(settings)
        stack.callback(pipeline.close)
        print_warnings(pipeline)
        log_choices(pipeline)
        table = CsvTable(csv, pipeline.labels) if csv is not None else None
        if table is not None:
            stack.callback(table.close)
        shown = not inputs.is_single_image and wants_progress(progress, results_on_stdout=as_json or inputs.has_stills)
        bar = stack.enter_context(progress_bar(shown=shown))
        work = _Work(pipeline, bar, as_json=as_json, table=table, output=output, view=view, several=len(sources) > 1)
        work.run(inputs)
        bar.stop()
        if not as_json:
            for path in [*(output.files if output is not None else ()), *([csv] if csv is not None else ())]:
                print_line(f"wrote {path}")
    for notice in inputs.notices:
        print_problem(notice)
    for problem in inputs.problems:
        print_problem(problem)
    if inputs.problems:
        raise typer.Exit(1)


class _Inputs:
    """Opens the sources one after the other; with several, those that cannot be opened are told at the end.

    Args:
        sources: as the user named them.
        recursive: the subdirectories of directories too.
        reconnect: for how long a camera that ends is tried again, in s.
    """

    def __init__(self, sources: Sequence[str], *, recursive: bool, reconnect: float) -> None:
        from fer_perception.imaging.sources import Reconnection

        self.sources = list(sources)
        self.problems: list[str] = []
        self.notices: list[str] = []
        self._recursive = recursive
        self._reconnection = Reconnection(reconnect, print_problem)
        self._first: Media | None = None

    def open_first(self) -> None:
        """Fail before the networks are loaded where there is nothing to look at; raises SourceError."""
        if len(self.sources) == 1:
            self._first = self._open(self.sources[0])

    @property
    def is_single_image(self) -> bool:
        """True for one image and nothing else."""
        return self._first is not None and self._first.kind == "image"

    @property
    def has_stills(self) -> bool:
        """True where each frame's result is a line on stdout."""
        return self._first is None or self._first.kind in {"image", "directory"}

    def __iter__(self) -> Iterator[Media]:
        from fer_perception.errors import SourceError

        for source in self.sources:
            try:
                media = self._first or self._open(source)
            except SourceError as err:
                self.problems.append(str(err))
                continue
            self._first = None
            try:
                with media:
                    yield media
            finally:
                self.notices.extend(media.notices)
                self.problems.extend(media.problems)

    def close(self) -> None:
        """Release what was opened and not looked at; idempotent."""
        if self._first is not None:
            self._first.close()

    def _open(self, source: str) -> Media:
        from fer_perception.imaging.sources import open_media

        return open_media(source, recursive=self._recursive, reconnection=self._reconnection)


class _Work:
    """Takes each frame through the pipeline and to the outputs.

    Args:
        pipeline: looks at the frames.
        bar: of progress.
        as_json: one JSON object a frame on stdout, nothing else.
        table: CSV file, or None.
        output: annotated images and videos, or None.
        view: show the frames in a window.
        several: more than one source was named.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        bar: Progress,
        *,
        as_json: bool,
        table: CsvTable | None,
        output: AnnotatedOutput | None,
        view: bool,
        several: bool,
    ) -> None:
        self._pipeline = pipeline
        self._bar = bar
        self._as_json = as_json
        self._table = table
        self._output = output
        self._view = view
        self._several = several
        self._started = time.monotonic()
        self._looked_at = 0
        # Of the video that plays now.
        self._playing = ""
        self._tally = Tally()
        self._video_started = self._started

    def run(self, inputs: _Inputs) -> None:
        """Look at every frame of every source."""
        from fer_perception.errors import SourceError

        task = self._bar.add_task("", total=len(inputs.sources), speed="")
        for media in inputs:
            if not self._several:
                self._bar.update(task, description=printable(media.name), total=media.total)
            try:
                for item in media:
                    if not self._take(item, media):
                        return
                    speed = f"{self._looked_at / max(time.monotonic() - self._started, 1e-6):.1f} frames/s"
                    self._bar.update(task, advance=0 if self._several else 1, speed=speed)
            except SourceError as err:
                if not self._several:
                    raise
                media.problems.append(str(err))
            except KeyboardInterrupt:
                # Ctrl-C is how one stops a camera.
                if media.kind != "live":
                    raise
                return
            finally:
                self._end_video(media)
            if self._several:
                self._bar.update(task, description=printable(media.name), advance=1)

    def _take(self, item: MediaFrame, media: Media) -> bool:
        """Look at one frame; False = the user closed the window."""
        from fer_perception.replay.replay import ReplayedFrame

        if item.source != self._playing:
            self._end_video(media)
            self._playing = item.source
        # Two files may have one name; tracks never cross cameras.
        frame = replace(item.frame, camera=item.source)
        result = self._pipeline.process([frame])[0]
        self._looked_at += 1
        if not frame.still:
            self._tally.add(result)
        if self._table is not None:
            self._table.add(ReplayedFrame(item.index, frame.stamp_ns, frame.image, result))
        self._report(item, result)
        return (self._output is None and not self._view) or self._show(item, result)

    def _end_video(self, media: Media) -> None:
        """Summarize the video that ends."""
        if self._tally.frames:
            self._pipeline.end_camera(self._playing)
            if not self._as_json:
                lines = self._tally.lines(time.monotonic() - self._video_started)
                if self._several or media.kind == "directory":
                    lines[0] = f"{self._playing}: {lines[0]}"
                self._print("\n".join(lines))
        self._tally = Tally()
        self._video_started = time.monotonic()

    def _report(self, item: MediaFrame, result: FrameResult) -> None:
        from fer_perception.results.json_lines import frame_to_json, json_line

        if self._as_json:
            self._print(json_line(frame_to_json(item.index, result)))
        elif item.frame.still:
            lines = [f"{item.source if self._several else item.name}: {_counted(len(result.faces), 'face')}"]
            for face in result.faces:
                x, y, w, h = face.roi
                emotion = face.emotion or "undecided"
                lines.append(f"  {face.face_id}  {emotion:<10} {face.confidence * 100:3.0f}%  {w}x{h} at {x},{y}")
            self._print("\n".join(lines))

    def _print(self, text: str) -> None:
        """Write to stdout, past a progress bar on the same terminal."""
        beside = not self._bar.disable and sys.stdout.isatty()
        if beside:
            # Without leaving the bar's present state above the text.
            self._bar.live.transient = True
            self._bar.stop()
            self._bar.live.transient = False
        print_line(text)
        if beside:
            self._bar.start()

    def _show(self, item: MediaFrame, result: FrameResult) -> bool:
        """Save and show one annotated frame; False = the user closed the window."""
        import cv2

        from fer_perception.results.drawing import draw_faces

        image = draw_faces(item.frame.image, result)
        if self._output is not None:
            if item.frame.still:
                self._output.add_image(item.name, image)
            else:
                self._output.add_frame(
                    item.name, image, item.rate or 30.0, source=item.source, stamp_ns=result.stamp_ns
                )
        if self._view:
            cv2.imshow(_WINDOW, image)
            key = cv2.waitKey(0 if item.frame.still else 1) & 0xFF
            return key not in {ord("q"), 27}
        return True


def _check_outputs(sources: Sequence[str], *, save: Path | None, csv: Path | None, recursive: bool) -> None:
    """Refuse outputs that would be inputs the next time, or that cannot be written; raises BadParameter."""
    from fer_perception.system.files import require_writable

    for source in sources:
        if save is not None and Path(source).is_dir():
            here, there = os.path.realpath(source), os.path.realpath(save)
            if there == here or (recursive and Path(here) in Path(there).parents):
                inside = "is" if there == here else "lies in"
                told = f"{inside} the directory that is read: next time its results would be inputs"
                msg = f"--save {save} {told}; name another"
                raise typer.BadParameter(msg)
    if csv is not None:
        if any(os.path.realpath(csv) == os.path.realpath(source) for source in sources):
            msg = f"--csv {csv} would overwrite what is read; name another file"
            raise typer.BadParameter(msg)
        require_writable(csv)


class Tally:
    """Tally of a video: frames, and for each face its time and labels."""

    def __init__(self) -> None:
        self.frames = 0
        self._faces: dict[str, dict[str, Any]] = {}

    def add(self, result: FrameResult) -> None:
        """Count one frame."""
        self.frames += 1
        for face in result.faces:
            seen = self._faces.setdefault(face.face_id, {"first": result.stamp_ns, "labels": {}})
            seen["last"] = result.stamp_ns
            name = face.emotion or "undecided"
            seen["labels"][name] = seen["labels"].get(name, 0) + 1

    def lines(self, seconds: float) -> list[str]:
        """A summary for people, one line a face."""
        rate = self.frames / seconds if seconds > 0 else 0.0
        lines = [f"{_counted(self.frames, 'frame')}, {_counted(len(self._faces), 'face')}, {rate:.1f} frames/s"]
        for face_id, seen in sorted(self._faces.items()):
            count = sum(seen["labels"].values())
            shares = sorted(seen["labels"].items(), key=lambda entry: -entry[1])
            told = ", ".join(f"{name} {100 * n / count:.0f}%" for name, n in shares)
            duration = (seen["last"] - seen["first"]) / 1e9
            lines.append(f"  {face_id}: {_counted(count, 'frame')} over {duration:.1f} s: {told}")
        return lines


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _require_window() -> None:
    """Exit 2 where no window can be shown, naming what would help."""
    import cv2

    built = next((line for line in cv2.getBuildInformation().splitlines() if line.strip().startswith("GUI:")), "")
    reason = ""
    if not built or "NONE" in built:
        reason = (
            "this OpenCV was built without windows; replace opencv-python-headless with opencv-python"
            " (pip install 'opencv-python<5')"
        )
    elif sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        reason = "there is no display (DISPLAY is not set)"
    if reason:
        sys.stderr.write(f"fer: --view is not possible: {reason}, or use --save DIR\n")
        raise typer.Exit(2)


def _silence_opencv() -> None:
    import cv2

    logging = getattr(getattr(cv2, "utils", None), "logging", None)
    if logging is not None:
        logging.setLogLevel(logging.LOG_LEVEL_SILENT)
