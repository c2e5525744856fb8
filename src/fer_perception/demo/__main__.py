"""The demo end to end on this machine: `python -m fer_perception.demo --out demo`.

A clip of real faces is written as a rosbag2 (mcap) and replayed in real time over DDS to the node in its own process; a
third process subscribes to /emotions, shows a live table and writes an annotated video and a timeline. The exit status
says whether the smiling astronaut came out happy.
"""

from __future__ import annotations

import argparse
import math
import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from fer_perception.demo import clip as demo_clip
from fer_perception.demo.camera import (
    BAG,
    CAMERA_TOPIC,
    MONTAGE,
    NODE_LOG,
    START_DEADLINE,
    replay,
    say,
    tail,
    write_clip,
)
from fer_perception.demo.outcome import EMOTIONS_TOPIC, print_summary, summarize, write_montage
from fer_perception.demo.watcher import RECEIVED, TIMELINE, VIDEO
from fer_perception.errors import FerError, ModelError, SourceError
from fer_perception.imaging.image_files import opencv_name
from fer_perception.model_files.store import ModelStore
from fer_perception.system.process import end_as_ctrl_c_does, ending_signals_wait, python_command, usable_streams

#: How long an answer may take, that to the clip's last frame too, in s.
END_DEADLINE = 15.0

#: How long the subscriber may take for its images after that, in s.
DRAWING_DEADLINE = 60.0

#: DDS makes port numbers of the domain; larger ones leave their range.
MAX_DOMAIN = 232


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
    # A canceled job or a lost terminal must not leave the node behind: its processes are ended.
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
    say("1/4  writing the clip")
    bag = out / BAG
    stamps = write_clip(bag, seconds)
    say(f"     {len(stamps)} frames, {stamps[-1] / 1e9 - stamps[0] / 1e9:.1f} s: {bag}")
    models = ModelStore()
    try:
        detector_file = models.find("yunet")
    except ModelError:
        say("     YuNet is not here: the weaker Haar detector serves (`fer models fetch yunet` gets YuNet)")
    else:
        say(f"     YuNet serves: {detector_file}, from {models.origin(detector_file)}")

    environment = private_ros_environment(domain)
    os.environ.update(environment)
    _require_ros()
    say(f"2/4  starting the node and the subscriber (ROS_DOMAIN_ID={environment['ROS_DOMAIN_ID']}, this machine only)")
    watch = python_command(
        "--bag", str(bag), "--out", str(out), "--topic", EMOTIONS_TOPIC,
        "--first-stamp", str(stamps[0]), "--last-stamp", str(stamps[-1]), "--rate", str(demo_clip.RATE),
        "--start-timeout", str(START_DEADLINE + END_DEADLINE), "--timeout", str(END_DEADLINE),
        module="fer_perception.demo.watcher",
    )  # fmt: skip
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
    say("4/4  summary")
    outcome = summarize(out / RECEIVED, sent)
    if (out / VIDEO).is_file():
        write_montage(out / VIDEO, out / MONTAGE)
    print_summary(outcome, out)
    problem = outcome.problem()
    if watcher.returncode and not problem:
        problem = f"the subscriber ended with exit status {watcher.returncode} before all its images were drawn"
    if problem and not outcome.received:
        problem += tail(out / NODE_LOG)
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
    return python_command("--ros-args", "-r", f"image_raw:={topic}", *arguments, module="fer_perception.node")


def _check_alive(node: subprocess.Popen[bytes], watcher: subprocess.Popen[bytes], log: Path) -> None:
    if node.poll() is not None:
        msg = f"the node ended with exit status {node.returncode}{tail(log)}"
        raise SourceError(msg)
    if watcher.poll() == 0:
        msg = f"the subscriber heard nothing of the node for {END_DEADLINE:.0f} s{tail(log)}"
        raise SourceError(msg)
    if watcher.poll() is not None:
        msg = f"the subscriber ended with exit status {watcher.returncode}"
        raise SourceError(msg)


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


if __name__ == "__main__":
    main()
