"""The main job, end to end, on this machine: `python -m fer_perception.demo --out demo`.

A clip of real faces is written as a rosbag2 (mcap) and replayed in real time over DDS to the node in its own process; a
third process subscribes to /emotions, shows a live table and writes an annotated video and a timeline. The exit status
says whether the smiling astronaut came out happy.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fer_perception import demo_clip
from fer_perception.bags import COMPRESSED_TYPE, BagReader, BagWriter, fer_typestore
from fer_perception.demo_watch import RECEIVED, TIMELINE, VIDEO
from fer_perception.ending_signals import end_as_ctrl_c_does, ending_signals_wait
from fer_perception.errors import FerError, ModelError, SourceError
from fer_perception.image import encode_jpeg
from fer_perception.media import opencv_name
from fer_perception.model_store import ModelStore
from fer_perception.stdout import usable_streams

CAMERA_TOPIC = "/camera/image_raw/compressed"
EMOTIONS_TOPIC = "/emotions"
FRAME_ID = "camera_color_optical_frame"
BAG, NODE_LOG, MONTAGE = "clip", "node.log", "demo.png"

#: Header time of the clip's first frame, in ns: the same at every run.
START_NS = 1_700_000_000_000_000_000
#: The astronaut must be happy in at least this share of the frames that show her.
HAPPY_SHARE = 0.5
#: The node always takes the newest frame and skips what it has no time for; fewer answers than this are a failure.
ANSWERED_SHARE = 0.2
#: How long the node may take to load its models and the processes to find each other, in s.
START_DEADLINE = 60.0
#: How long an answer may take, that to the clip's last frame too, in s.
END_DEADLINE = 15.0
#: How long the subscriber may take for its pictures after that, in s.
DRAWING_DEADLINE = 60.0
#: DDS makes port numbers of the domain; larger ones leave their range.
MAX_DOMAIN = 232
#: The astronaut's face is left of this column, the admiral's right of it.
_MIDDLE = 335


@dataclass(frozen=True)
class Outcome:
    """What came out of one run.

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
        """What went wrong in one sentence; "" if nothing did."""
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


def main() -> None:
    """Run the demo and exit: 0 if all went well, 1 with the reason on stderr if not."""
    parser = argparse.ArgumentParser(description="Replay a clip of real faces to the node and show what it says.")
    parser.add_argument("--out", type=Path, default=Path("demo"), help="directory for what is written (default: demo)")
    parser.add_argument("--seconds", type=float, default=demo_clip.DURATION, help="play only the beginning of the clip")
    parser.add_argument("--domain", type=int, help="ROS domain to run in; default: one of its own")
    usable_streams()
    options = parser.parse_args()
    if not 0 < options.seconds < math.inf:
        parser.error("--seconds must be a positive number")
    if options.domain is not None and not 0 <= options.domain <= MAX_DOMAIN:
        parser.error(f"--domain must be from 0 to {MAX_DOMAIN}")
    # A cancelled job or a lost terminal must not leave the node behind: its processes are ended.
    end_as_ctrl_c_does()
    try:
        problem = run(options.out, seconds=options.seconds, domain=options.domain)
    except (FerError, OSError) as err:
        problem = str(err)
    except KeyboardInterrupt:
        problem = "interrupted"
    if problem:
        sys.stderr.write(f"demo: {problem}\n")
        sys.exit(1)


def run(out: Path, *, seconds: float = demo_clip.DURATION, domain: int | None = None) -> str:
    """Write the clip, replay it, collect the answers.

    Args:
        out: directory for everything that is written; made if missing.
        seconds: length of the clip; the whole one at most.
        domain: ROS domain; None takes one of its own.

    Returns:
        What went wrong in one sentence, "" if nothing did.

    Raises:
        FerError: the clip cannot be made, or a process did not start.
    """
    # Before anything is begun that would only find out later.
    opencv_name(out / VIDEO)
    out.mkdir(parents=True, exist_ok=True)
    for name in (RECEIVED, VIDEO, TIMELINE, MONTAGE, NODE_LOG):
        (out / name).unlink(missing_ok=True)
    _say("1/4  writing the clip")
    bag = out / BAG
    stamps = write_clip(bag, seconds)
    _say(f"     {len(stamps)} frames, {stamps[-1] / 1e9 - stamps[0] / 1e9:.1f} s: {bag}")
    try:
        ModelStore().find("yunet_dynamic")
    except ModelError:
        _say("     YuNet is not here: the weaker Haar detector serves (`fer models fetch yunet` gets YuNet)")

    environment = private_ros_environment(domain)
    os.environ.update(environment)
    _require_ros()
    _say(f"2/4  starting the node and the subscriber (ROS_DOMAIN_ID={environment['ROS_DOMAIN_ID']}, this machine only)")
    watch = [
        sys.executable, "-m", "fer_perception.demo_watch", "--bag", str(bag), "--out", str(out),
        "--topic", EMOTIONS_TOPIC,
        "--first-stamp", str(stamps[0]), "--last-stamp", str(stamps[-1]), "--rate", str(demo_clip.RATE),
        "--start-patience", str(START_DEADLINE + END_DEADLINE), "--patience", str(END_DEADLINE),
    ]  # fmt: skip
    with (out / NODE_LOG).open("wb") as log, ExitStack() as started:
        with ending_signals_wait():
            node = subprocess.Popen(node_command(CAMERA_TOPIC), stdout=log, stderr=subprocess.STDOUT)  # noqa: S603
            started.callback(_stop, node)
            heard, hears = os.pipe()
            started.callback(os.close, heard)
            watcher = subprocess.Popen([*watch, "--ready-fd", str(hears)], pass_fds=[hears])  # noqa: S603
            started.callback(_stop, watcher)
            os.close(hears)
        sent = replay(
            bag,
            heard,
            lambda: _check_alive(node, watcher, out / NODE_LOG),
            lambda: _wait(watcher, END_DEADLINE + DRAWING_DEADLINE),
        )
    _say("4/4  summary")
    outcome = summarise(out / RECEIVED, sent)
    if (out / VIDEO).is_file():
        _write_montage(out / VIDEO, out / MONTAGE)
    _print_summary(outcome, out)
    problem = outcome.problem()
    if watcher.returncode and not problem:
        problem = f"the subscriber ended with exit status {watcher.returncode} before all its pictures were drawn"
    if problem and not outcome.received:
        problem += _tail(out / NODE_LOG)
    return problem


def _require_ros() -> None:
    """Find out before processes are started whether ROS starts here.

    Raises:
        SourceError: it does not.
    """
    import rclpy

    context = rclpy.Context()
    try:
        rclpy.init(context=context, args=[])
    except RuntimeError as err:
        msg = f"ROS does not start here ({err}); `fer doctor` says what to look at"
        raise SourceError(msg) from None
    rclpy.try_shutdown(context=context)


def write_clip(bag: Path, seconds: float = demo_clip.DURATION) -> list[int]:
    """Write the clip as a rosbag2 (mcap) with one JPEG camera topic.

    Args:
        bag: directory of the bag; an older one is replaced.
        seconds: how much of the clip.

    Returns:
        Header stamps of the frames in ns.
    """
    if (bag / "metadata.yaml").is_file():
        shutil.rmtree(bag)
    store = fer_typestore()
    types = store.types
    stamps: list[int] = []
    with BagWriter(bag) as writer:
        topic = writer.add_topic(CAMERA_TOPIC, COMPRESSED_TYPE, store)
        for t, image in demo_clip.clip_frames(seconds):
            stamp_ns = START_NS + round(t * 1e9)
            stamp = types["builtin_interfaces/msg/Time"](stamp_ns // 10**9, stamp_ns % 10**9)
            header = types["std_msgs/msg/Header"](stamp, FRAME_ID)
            data = np.frombuffer(encode_jpeg(image, 92), dtype=np.uint8)
            message = types[COMPRESSED_TYPE](header, "bgr8; jpeg compressed bgr8", data)
            writer.write(topic, stamp_ns, store.serialize_cdr(message, COMPRESSED_TYPE))
            stamps.append(stamp_ns)
    return stamps


def private_ros_environment(domain: int | None = None) -> dict[str, str]:
    """Environment variables that keep this run's ROS traffic on this machine and apart from others' (by `domain`)."""
    # Humble has only the older name of the same.
    discovery = (
        {"ROS_LOCALHOST_ONLY": "1"}
        if os.environ.get("ROS_DISTRO") == "humble"
        else {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    )
    return {
        # 1 to 101 are safe from the ephemeral ports on Linux; 0 is everybody's.
        "ROS_DOMAIN_ID": str(1 + os.getpid() % 101 if domain is None else domain),
        **discovery,
    }


def node_command(topic: str, *arguments: str) -> list[str]:
    """The command line of the node with its camera remapped to `topic`, and more ROS arguments."""
    return [
        sys.executable, "-m", "fer_perception.node", "--ros-args", "-r", f"image_raw:={topic}", *arguments,
    ]  # fmt: skip


def replay(bag: Path, heard: int, check: Callable[[], None], stay: Callable[[], None]) -> dict[int, int]:
    """Publish the bag's images at the pace they were recorded, once the others listen.

    Until the subscriber has heard the node's first answer, the empty wall is repeated with earlier stamps.

    Args:
        bag: with one CompressedImage topic, which is published under its own name.
        heard: file descriptor that becomes readable when the subscriber has heard the node.
        check: called while waiting; raises if there is nobody left to wait for.
        stay: called after the last image and before the camera goes: what the node has not taken yet would go with it.

    Returns:
        Header stamp in ns -> monotonic time of its publication in ns.

    Raises:
        SourceError: nobody answered within `START_DEADLINE`.
    """
    import rclpy
    from rclpy.qos import QoSProfile
    from sensor_msgs.msg import CompressedImage

    context = rclpy.Context()
    rclpy.init(context=context, args=[])
    node = rclpy.create_node("demo_camera", context=context)
    try:
        publisher = node.create_publisher(CompressedImage, CAMERA_TOPIC, QoSProfile(depth=5))
        end = time.monotonic() + START_DEADLINE
        prelude = _prelude(bag)
        # Waiting for the answer also sets the pace: ten pictures a second.
        while not select.select([heard], [], [], 0.1)[0]:
            check()
            if time.monotonic() > end:
                log = _tail(bag.parent / NODE_LOG)
                msg = f"the node did not answer to {CAMERA_TOPIC} within {START_DEADLINE:.0f} s{log}"
                raise SourceError(msg)
            publisher.publish(next(prelude))
        _say("3/4  replaying in real time")
        sent: dict[int, int] = {}
        with BagReader(bag) as reader:
            first = 0
            begin = time.monotonic_ns()
            for message in reader.messages([CAMERA_TOPIC]):
                first = first or message.received_ns
                pause = (message.received_ns - first - (time.monotonic_ns() - begin)) / 1e9
                if pause > 0:
                    time.sleep(pause)
                check()
                sent[reader.read_image(message).stamp_ns] = time.monotonic_ns()
                publisher.publish(message.data)
        stay()
        return sent
    finally:
        node.destroy_node()
        rclpy.try_shutdown(context=context)


def _prelude(bag: Path) -> Iterator[bytes]:
    """The clip's first picture again and again, with stamps before the clip that move forward.

    Yields:
        CDR bytes of CompressedImage.
    """
    store = fer_typestore()
    with BagReader(bag) as reader:
        first = next(reader.messages([CAMERA_TOPIC]))
    message: Any = store.deserialize_cdr(first.data, COMPRESSED_TYPE)
    for stamp_ns in itertools.count(START_NS - 10 * 60 * 10**9, 10**8):
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 10**9)
        yield bytes(store.serialize_cdr(message, COMPRESSED_TYPE))


def summarise(received: Path, sent: dict[int, int]) -> Outcome:
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


def _print_summary(outcome: Outcome, out: Path) -> None:
    skipped = outcome.sent - outcome.received
    busy = f" ({skipped} skipped for lack of time)" if skipped > 0 else ""
    _say(f"     {outcome.received} answers to {outcome.sent} frames{busy}, {outcome.faces} faces")
    if outcome.astronaut:
        share = 100 * outcome.happy / outcome.astronaut
        _say(f"     the smiling astronaut: happy in {outcome.happy} of {outcome.astronaut} frames ({share:.0f} %)")
    if outcome.latencies_ms:
        p50, p99 = np.percentile(outcome.latencies_ms, [50, 99])
        _say(f"     latency from publishing a frame to the answer: p50 {p50:.1f} ms, p99 {p99:.1f} ms")
    for name in (VIDEO, MONTAGE, TIMELINE, RECEIVED, BAG, NODE_LOG):
        if (out / name).exists():
            _say(f"     {out / name}")


def _write_montage(video: Path, path: Path) -> None:
    """Six moments of the annotated video on one picture."""
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


def _check_alive(node: subprocess.Popen[bytes], watcher: subprocess.Popen[bytes], log: Path) -> None:
    if node.poll() is not None:
        msg = f"the node ended with exit status {node.returncode}{_tail(log)}"
        raise SourceError(msg)
    if watcher.poll() == 0:
        msg = f"the subscriber heard nothing of the node for {END_DEADLINE:.0f} s{_tail(log)}"
        raise SourceError(msg)
    if watcher.poll() is not None:
        msg = f"the subscriber ended with exit status {watcher.returncode}"
        raise SourceError(msg)


def _tail(log: Path, lines: int = 12) -> str:
    text = log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:] if log.is_file() else []
    return f"; the node's last words ({log}):\n  " + "\n  ".join(text) if text else ""


def _wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        sys.stderr.write("demo: the subscriber does not come to an end; stopping it\n")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a process as Ctrl-C does, less politely after 10 s."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGINT)
    try:
        process.wait(timeout=10.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
