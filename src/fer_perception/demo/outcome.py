"""The outcome of a demo run: counts, latencies and images, and whether the smiling astronaut came out happy."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fer_perception.demo.camera import BAG, MONTAGE, NODE_LOG, say
from fer_perception.demo.watcher import RECEIVED, TIMELINE, VIDEO

EMOTIONS_TOPIC = "/emotions"

#: The astronaut must be happy in at least this share of the frames that show her.
HAPPY_SHARE = 0.5

#: The node always takes the newest frame and skips what it has no time for; fewer answers than this are a failure.
ANSWERED_SHARE = 0.2

#: The astronaut's face is left of this column, the admiral's right of it.
_MIDDLE = 335


@dataclass(frozen=True)
class Outcome:
    """Outcome of one run.

    Attributes:
        sent: frames published.
        received: messages on /emotions.
        faces: number of different face ids.
        astronaut: frames in which the astronaut was observed.
        happy: of these, frames in which she was called happy.
        latencies_ms: from publishing a frame to the subscriber's callback, one a message.
    """

    sent: int
    received: int
    faces: int
    astronaut: int
    happy: int
    latencies_ms: list[float]

    def problem(self) -> str:
        """The first problem in one sentence; "" if there is none."""
        if not self.received:
            return f"nothing arrived on {EMOTIONS_TOPIC}"
        if self.received < ANSWERED_SHARE * self.sent:
            return (
                f"only {self.received} of {self.sent} frames were answered: is this machine busy with something else?"
            )
        if not self.astronaut:
            return "the astronaut's face was not found in any frame"
        if self.happy < HAPPY_SHARE * self.astronaut:
            return f"the smiling astronaut was happy in only {self.happy} of {self.astronaut} frames"
        return ""


def summarize(received: Path, sent: dict[int, int]) -> Outcome:
    """Compare what the subscriber wrote with what was published and with what the clip shows."""
    rows: list[dict[str, Any]] = []
    if received.is_file():
        rows = [json.loads(line) for line in received.read_text(encoding="utf-8").splitlines()]
    astronaut = [
        face
        for row in rows
        for face in row["faces"]
        if face["observed"] and face["roi"][0] + face["roi"][2] / 2 < _MIDDLE
    ]
    return Outcome(
        sent=len(sent),
        received=len(rows),
        faces=len({face["face_id"] for row in rows for face in row["faces"]}),
        astronaut=len(astronaut),
        happy=sum(face["emotion"] == "happy" for face in astronaut),
        latencies_ms=[(row["received_ns"] - sent[row["stamp_ns"]]) / 1e6 for row in rows if row["stamp_ns"] in sent],
    )


def print_summary(outcome: Outcome, out: Path) -> None:
    """Print the figures of a run and which files it wrote."""
    skipped = outcome.sent - outcome.received
    busy = f" ({skipped} skipped for lack of time)" if skipped > 0 else ""
    say(f"     {outcome.received} answers to {outcome.sent} frames{busy}, {outcome.faces} faces")
    if outcome.astronaut:
        share = 100 * outcome.happy / outcome.astronaut
        say(f"     the smiling astronaut: happy in {outcome.happy} of {outcome.astronaut} frames ({share:.0f} %)")
    if outcome.latencies_ms:
        p50, p99 = np.percentile(outcome.latencies_ms, [50, 99])
        say(f"     latency from publishing a frame to the answer: p50 {p50:.1f} ms, p99 {p99:.1f} ms")
    for name in (VIDEO, MONTAGE, TIMELINE, RECEIVED, BAG, NODE_LOG):
        if (out / name).exists():
            say(f"     {out / name}")


def write_montage(video: Path, path: Path) -> None:
    """Six moments of the annotated video on one image."""
    import cv2

    capture = cv2.VideoCapture(str(video))
    frames = []
    while True:
        ok, frame = capture.read()
        if not ok:
            break
        frames.append(frame)
    capture.release()
    if len(frames) < 6:
        return
    picks = [frames[round(len(frames) * at)] for at in (0.16, 0.34, 0.44, 0.58, 0.765, 0.92)]
    cv2.imwrite(str(path), np.vstack([np.hstack(picks[:3]), np.hstack(picks[3:])]))
