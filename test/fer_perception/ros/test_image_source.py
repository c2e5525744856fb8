"""The image source, as its own process: videos, images, and sources that are none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytestmark = pytest.mark.ros


def start(*parameters: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "fer_perception.image_source", "--ros-args"]
    for parameter in parameters:
        command += ["-p", parameter]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ))


@pytest.mark.parametrize(
    "case",
    [
        ([], "source is empty; expected a webcam's index"),
        (["source:=/no/such/video.mp4"], "/no/such/video.mp4 does not exist"),
        (["source:={empty}"], "holds no images"),
        (["source:=x", "rate:=fast"], "rate is 'fast'"),
        (["source:=x", "rate:=-1.0"], "expected a number from 0.0"),
        (["source:=77"], "webcam 77 cannot be opened"),
    ],
    ids=["nothing", "missing", "empty", "type", "range", "webcam"],
)
def test_what_cannot_be_published_is_one_sentence_and_exit_1(
    ros_domain_id: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    case: tuple[list[str], str],
) -> None:
    from fer_perception.ros.image_source import main

    parameters, told = case
    # Else it would choose one for the whole test run.
    monkeypatch.setenv("FASTDDS_BUILTIN_TRANSPORTS", "DEFAULT")
    arguments = ["--ros-args"]
    for parameter in parameters:
        arguments += ["-p", parameter.format(empty=tmp_path)]
    assert main(arguments) == 1
    error = capfd.readouterr().err
    assert told in error
    assert "Traceback" not in error


def test_a_directory_of_images_is_shown_over_and_over_until_told_to_end(probe: Any, tmp_path: Path) -> None:
    from sensor_msgs.msg import Image

    # Different sizes and colors, one damaged: all others must come.
    cv2.imwrite(str(tmp_path / "b.png"), np.full((40, 60, 3), (10, 20, 30), np.uint8))
    cv2.imwrite(str(tmp_path / "a.jpg"), np.full((30, 30), 99, np.uint8))
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n")
    images: list[Any] = []
    probe.subscribe(Image, "/image_raw", images)
    process = start(f"source:={tmp_path}", "rate:=20.0", "frame_id:=wall")
    try:
        shapes = {(30, 30), (60, 40)}
        probe.until(lambda: len(images) >= 8 and {(m.width, m.height) for m in images} == shapes)
    finally:
        process.send_signal(signal.SIGINT)
    output, error = process.communicate(timeout=30)
    assert process.returncode == 0, error
    assert "broken.png" in output + error
    large = next(m for m in images if m.width == 60)
    assert (large.encoding, large.step, large.header.frame_id) == ("bgr8", 180, "wall")
    assert list(large.data[:3]) == [10, 20, 30]
    stamps = [m.header.stamp.sec * 10**9 + m.header.stamp.nanosec for m in images]
    assert stamps == sorted(stamps)
    assert stamps[0] > 1_600_000_000 * 10**9


def test_ctrl_c_as_soon_as_it_runs_and_more_than_once_ends_it_cleanly(
    ros_domain_id: int, interrupt: Any, tmp_path: Path
) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((48, 64, 3), 90, np.uint8))
    process = start(f"source:={tmp_path}")
    assert process.stderr is not None
    assert any("a second" in line for line in process.stderr)
    interrupt(process)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 0, error
    assert "Traceback" not in error


def test_a_video_plays_once_at_its_own_rate_and_ends(probe: Any, tmp_path: Path) -> None:
    from sensor_msgs.msg import Image

    path = tmp_path / "video.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25.0, (64, 48))
    for level in range(0, 250, 10):
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()
    images: list[Any] = []
    probe.subscribe(Image, "/camera/image_raw", images)
    command = [sys.executable, "-m", "fer_perception.image_source", "--ros-args", "-r", "image_raw:=/camera/image_raw"]
    command += ["-p", f"source:={path}", "-p", "loop:=false"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    _, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    probe.until(lambda: images and images[-1].data[0] > 230)
    levels = [int(m.data[0]) for m in images]
    assert levels == sorted(levels)
    assert levels[0] < 100, "it waited for us"
    stamps = np.array([m.header.stamp.sec + m.header.stamp.nanosec / 1e9 for m in images])
    assert np.median(np.diff(stamps)) == pytest.approx(0.04, abs=0.02)


def test_a_camera_that_dies_is_reached_again_and_turned(probe: Any) -> None:
    """An MJPEG camera over HTTP that hangs up after some frames."""
    import http.server
    import threading

    from sensor_msgs.msg import Image

    jpeg = cv2.imencode(".jpg", np.full((48, 64, 3), 120, np.uint8))[1].tobytes()
    served: list[str] = []

    class Camera(http.server.BaseHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

        def do_GET(self) -> None:
            served.append(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=B")
            self.end_headers()
            for _ in range(8):
                self.wfile.write(
                    b"--B\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n" % (len(jpeg), jpeg)
                )

    images: list[Any] = []
    probe.subscribe(Image, "/image_raw", images)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Camera) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        process = start(f"source:=http://127.0.0.1:{server.server_address[1]}/cam", "rotate:=90")
        try:
            probe.until(lambda: len(served) >= 3 and images)
        finally:
            process.send_signal(signal.SIGINT)
            output, error = process.communicate(timeout=30)
            server.shutdown()
            thread.join()
    assert process.returncode == 0, error
    assert "delivers no frames any more; it is tried again until it is back" in output + error
    assert "is back" in output + error
    assert (images[0].width, images[0].height) == (48, 64)
