"""`fer run`: images, directories, videos, streams and webcams through the pipeline."""

from __future__ import annotations

import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fer_perception.cli.common import (
    ParamsOption,
    load_settings,
    log_choices,
    print_line,
    print_problem,
    print_warnings,
    printable,
    progress_bar,
    quiet_when_reader_leaves,
    wants_progress,
)

if TYPE_CHECKING:
    from fer_perception.imaging.sources import Media, MediaFrame
    from fer_perception.pipeline_types import FrameResult
    from fer_perception.results.annotated_output import AnnotatedOutput

_WINDOW = "fer run (q or Esc ends)"


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("run")(run)


def run(
    source: Annotated[
        str,
        typer.Argument(
            metavar="PATH|URL|INDEX",
            help="Image, directory of images (natural order), video, stream (rtsp://...) or number of a webcam.",
        ),
    ],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a frame on stdout.")] = False,
    save: Annotated[
        Path | None,
        typer.Option("--save", metavar="DIR", help="Write annotated images or a video there, over older ones."),
    ] = None,
    params: ParamsOption = None,
    view: Annotated[bool, typer.Option("--view", help="Show the annotated frames in a window.")] = False,
    progress: Annotated[
        bool | None,
        typer.Option("--progress/--no-progress", help="Progress bar on stderr; default: where stderr is a terminal."),
    ] = None,
) -> None:
    """Find the faces in PATH and say what they show.

    Files of a directory that cannot be read are named on stderr and the others are still processed; the exit status is
    then 1. Faces are numbered from f00001 (unless --params says deterministic_ids: false); single images are not
    smoothed.
    """
    if view:
        _require_window()
    # libav and OpenCV talk to stderr on their own; what matters is said by us.
    _silence_opencv()
    from fer_perception.imaging.sources import open_media
    from fer_perception.pipeline import build_pipeline
    from fer_perception.results.annotated_output import AnnotatedOutput

    if save is not None and Path(source).is_dir() and os.path.realpath(save) == os.path.realpath(source):
        msg = f"--save {save} is the directory that is read: next time its results would be inputs; name another"
        raise typer.BadParameter(msg)
    settings = load_settings(params)
    started = time.monotonic()
    tally = Tally()
    with ExitStack() as stack:
        stack.enter_context(quiet_when_reader_leaves())
        media = stack.enter_context(open_media(source))
        output = stack.enter_context(AnnotatedOutput(save)) if save is not None else None
        pipeline = build_pipeline(settings)
        stack.callback(pipeline.close)
        print_warnings(pipeline)
        log_choices(pipeline)
        bar = stack.enter_context(progress_bar(shown=wants_progress(progress, results_on_stdout=as_json)))
        task = bar.add_task(printable(media.name), total=media.total, speed="")
        try:
            for item in media:
                result = pipeline.process([item.frame])[0]
                tally.add(result)
                _report(item, result, media, as_json=as_json)
                if (output is not None or view) and not _show(item, result, media, output, view=view):
                    break
                speed = f"{tally.frames / max(time.monotonic() - started, 1e-6):.1f} frames/s"
                bar.update(task, advance=1, speed=speed)
        except KeyboardInterrupt:
            # Ctrl-C is how one stops a camera.
            if media.kind != "live":
                raise
        bar.stop()
        if not as_json and media.kind in {"video", "live"}:
            for line in tally.lines(time.monotonic() - started):
                print_line(line)
        if output is not None and not as_json:
            for path in output.files:
                print_line(f"wrote {path}")
    for problem in media.problems:
        print_problem(problem)
    if media.problems:
        raise typer.Exit(1)


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


def _report(item: MediaFrame, result: FrameResult, media: Media, *, as_json: bool) -> None:
    from fer_perception.results.json_lines import frame_to_json, json_line

    if as_json:
        print_line(json_line(frame_to_json(item.index, result)))
    elif media.kind in {"image", "directory"}:
        print_line(f"{item.name}: {_counted(len(result.faces), 'face')}")
        for face in result.faces:
            x, y, w, h = face.roi
            print_line(
                f"  {face.face_id}  {face.emotion or 'undecided':<10} {face.confidence * 100:3.0f}%  {w}x{h} at {x},{y}"
            )


def _show(item: MediaFrame, result: FrameResult, media: Media, output: AnnotatedOutput | None, *, view: bool) -> bool:
    """Save and show one annotated frame; False = the user closed the window."""
    import cv2

    from fer_perception.results.drawing import draw_faces

    image = draw_faces(item.frame.image, result)
    if output is not None:
        if item.frame.still:
            output.add_image(item.name, image)
        else:
            output.add_frame(media.name, image, media.rate or 30.0)
    if view:
        cv2.imshow(_WINDOW, image)
        key = cv2.waitKey(0 if item.frame.still else 1) & 0xFF
        return key not in {ord("q"), 27}
    return True


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
