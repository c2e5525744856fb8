"""The demo's subscriber process: a live table of /emotions, then an annotated video and a timeline."""

from __future__ import annotations

import argparse
import os
import signal
import time
from pathlib import Path
from types import FrameType
from typing import Any

from fer_perception.demo.timeline import write_timeline
from fer_perception.pipeline_types import FrameResult
from fer_perception.replay.bags import BagReader
from fer_perception.results.annotated_output import VideoFile
from fer_perception.results.drawing import UNDECIDED, draw_faces, hex_color
from fer_perception.results.json_lines import frame_to_json, json_line
from fer_perception.results.messages import result_from_message

#: The live table drops columns and shortens its bars on terminals narrower than these, in columns.
WIDE, MEDIUM = 100, 80
VIDEO, TIMELINE, RECEIVED = "demo.mp4", "timeline.png", "emotions.jsonl"


class Watcher:
    """Keeps every EmotionArray with the time it arrived.

    Args:
        first_stamp_ns: of the clip; answers to earlier frames only show that the node is there.
        last_stamp_ns: of the clip.
        ready_fd: open file descriptor that is written to and closed at the first answer.
    """

    def __init__(self, first_stamp_ns: int, last_stamp_ns: int, ready_fd: int) -> None:
        self.results: list[FrameResult] = []
        self.received_ns: list[int] = []
        self._first_stamp_ns = first_stamp_ns
        self._last_stamp_ns = last_stamp_ns
        self._ready_fd: int | None = ready_fd
        self._heard = time.monotonic()
        #: Whether Ctrl-C was pressed; what was received until then is still worth its images.
        self.stopped = False

    def on_emotions(self, message: Any) -> None:
        """Callback of the subscription."""
        now = time.monotonic_ns()
        self._heard = now / 1e9
        if self._ready_fd is not None:
            os.write(self._ready_fd, b".")
            os.close(self._ready_fd)
            self._ready_fd = None
        result = result_from_message(message)
        if result.stamp_ns >= self._first_stamp_ns:
            self.received_ns.append(now)
            self.results.append(result)

    def silent_for(self, start_timeout_s: float, timeout_s: float) -> bool:
        """True once no answer has arrived for the timeout: `start_timeout_s` before the first, `timeout_s` after it."""
        return time.monotonic() - self._heard > (timeout_s if self._ready_fd is None else start_timeout_s)

    @property
    def finished(self) -> bool:
        """True once the clip's last frame has been answered."""
        return bool(self.results) and self.results[-1].stamp_ns >= self._last_stamp_ns


def main() -> None:
    """Watch until the last stamp was answered, or nothing comes any more, then write what came and its images."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bag", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--first-stamp", type=int, required=True, help="ns; answers to earlier frames do not count")
    parser.add_argument("--last-stamp", type=int, required=True, help="ns")
    parser.add_argument("--ready-fd", type=int, required=True, help="gets a byte when the first answer arrives")
    parser.add_argument("--rate", type=float, required=True, help="frames a second")
    parser.add_argument("--start-timeout", type=float, required=True, help="how long to wait for the first answer, s")
    parser.add_argument("--timeout", type=float, required=True, help="and for each other, s")
    options = parser.parse_args()
    watcher = Watcher(options.first_stamp, options.last_stamp, options.ready_fd)

    def stop(_number: int, _frame: FrameType | None) -> None:
        watcher.stopped = True

    # No exception: a terminal and the demo send one signal each, and the second would come while this one draws.
    signal.signal(signal.SIGINT, stop)
    _watch(watcher, options.topic, options.start_timeout, options.timeout)
    with (options.out / RECEIVED).open("w", encoding="utf-8") as file:
        for index, (result, received) in enumerate(zip(watcher.results, watcher.received_ns, strict=True)):
            file.write(
                json_line({**frame_to_json(index, result), "stamp_ns": result.stamp_ns, "received_ns": received})
            )
            file.write("\n")
    if watcher.results:
        _write_video(options.bag, options.out / VIDEO, watcher.results, options.rate)
        write_timeline(options.out / TIMELINE, watcher.results, f"{options.topic}: smoothed scores of every face")


def _watch(watcher: Watcher, topic: str, start_timeout_s: float, timeout_s: float) -> None:
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rich.console import Console
    from rich.live import Live

    from fer_msgs.msg import EmotionArray

    context = rclpy.Context()
    rclpy.init(context=context, args=[])
    node = rclpy.create_node("demo_watcher", context=context)
    executor = SingleThreadedExecutor(context=context)
    try:
        node.create_subscription(EmotionArray, topic, watcher.on_emotions, 50)
        executor.add_node(node)
        console = Console()
        told = -1
        with Live(console=console, auto_refresh=False, transient=False, screen=False) as live:
            while not (watcher.finished or watcher.stopped or watcher.silent_for(start_timeout_s, timeout_s)):
                executor.spin_once(timeout_sec=0.1)
                if not watcher.results:
                    continue
                latest = watcher.results[-1]
                if console.is_terminal:
                    live.update(_table(latest, watcher, topic, console.width), refresh=True)
                else:
                    # A log gets one line a second instead of a table that redraws itself.
                    second = (latest.stamp_ns - watcher.results[0].stamp_ns) // 1_000_000_000
                    if second != told:
                        told = second
                        print(_line(latest, second), flush=True)
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown(context=context)


def _line(result: FrameResult, second: int) -> str:
    faces = "   ".join(
        f"{face.face_id} {face.emotion or UNDECIDED} {face.confidence:.0%} ({face.phase.value})"
        for face in result.faces
    )
    return f"{second:3d} s  {faces or 'nobody'}"


def _table(result: FrameResult, watcher: Watcher, topic: str, width: int) -> Any:
    seconds = (result.stamp_ns - watcher.results[0].stamp_ns) / 1e9
    return live_table(result, f"{topic}   {seconds:5.1f} s   {len(watcher.results)} messages", width)


def live_table(result: FrameResult, title: str, width: int) -> Any:
    """The faces of one frame as a table of rich that fits a terminal.

    Args:
        result: the frame.
        title: above the table.
        width: of the terminal, in columns; narrow ones get fewer columns rather than cut ones.

    Returns:
        A rich.table.Table.
    """
    from rich.table import Table
    from rich.text import Text

    cells = 20 if width >= MEDIUM else 8
    # Least widths, so that the table does not jump with its words.
    columns = {"face": 11, "emotion": len(UNDECIDED), "confidence": cells + 5, "phase": len("not seen")}
    if width >= WIDE:
        columns |= {"valence": 7, "arousal": 7}
    if width >= MEDIUM:
        columns |= {"seen for": 8}
    table = Table(title=title, title_justify="left")
    for heading, least in columns.items():
        table.add_column(heading, min_width=least)
    for face in result.faces:
        color = hex_color(face.emotion, result.labels)
        filled = round(cells * face.confidence)
        bar = Text("█" * filled, style=color)
        bar.append("░" * (cells - filled), style="dim")
        bar.append(f" {face.confidence:4.0%}")
        row: dict[str, str | Text] = {
            "face": face.face_id,
            "emotion": Text(face.emotion or UNDECIDED, style=f"bold {color}"),
            "confidence": bar,
            "phase": face.phase.value if face.observed else "not seen",
            "valence": f"{face.valence:+.2f}",
            "arousal": f"{face.arousal:+.2f}",
            "seen for": f"{face.tracked_for:.1f} s",
        }
        table.add_row(*(row[heading] for heading in columns))
    if not result.faces:
        table.add_row("", "nobody")
    return table


def _write_video(bag: Path, path: Path, results: list[FrameResult], rate: float) -> None:
    """The bag's frames, each with the faces reported for its stamp."""
    by_stamp = {result.stamp_ns: result for result in results}
    video: VideoFile | None = None
    with BagReader(bag) as reader:
        for message in reader.messages(reader.camera_topics()):
            recorded = reader.read_image(message)
            image = recorded.decode()
            result = by_stamp.get(recorded.stamp_ns)
            video = video or VideoFile(path, (image.shape[1], image.shape[0]), rate)
            video.add(image if result is None else draw_faces(image, result))
    if video is not None:
        video.close()


if __name__ == "__main__":
    main()
