"""Speed of the whole pipeline on a clip with four moving faces, stage by stage, and its time to start."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_perception.benchmark.measure import summarize
from fer_perception.demo.clip import HEIGHT, WIDTH, load_portraits
from fer_perception.pipeline import build_pipeline
from fer_perception.pipeline_types import Frame
from fer_perception.settings.pipeline_settings import PipelineSettings
from fer_perception.system.process import python_command

FACES = 4
#: Frames of the clip that is played again and again, at 30 frames a second.
_CLIP_FRAMES = 30
_STEP_NS = 33_333_333

_SECONDS, _QUICK_SECONDS = 20.0, 6.0

# What a node does at its start, in a fresh interpreter: import, load the models, the first frame.
_START = """
import time; begin = time.perf_counter(); begin_processor = time.process_time()
import sys, numpy
from fer_perception.pipeline import build_pipeline
from fer_perception.pipeline_types import Frame
from fer_perception.settings.pipeline_settings import PipelineSettings
pipeline = build_pipeline(PipelineSettings())
image = numpy.zeros((480, 640, 3), numpy.uint8)
pipeline.process([Frame(image, 1, "benchmark")])
print(time.perf_counter() - begin, time.process_time() - begin_processor)
pipeline.close()
"""


def run(*, quick: bool, progress: Callable[[str], None]) -> dict[str, float]:
    """Time decoded 640x480 frames with four faces through the node's default pipeline.

    Args:
        quick: a shorter measurement.
        progress: gets one line for each result.

    Returns:
        `pipeline.vga_4_faces.{ms,p95_ms,p99_ms,frames_per_s}`, `pipeline.vga_4_faces.<stage>.{ms,p95_ms,p99_ms}`,
        `pipeline.vga_4_faces.faces.count` (mean number found), `pipeline.start_to_first_frame.s`, and of both the
        processor time of all threads, `.processor_ms` and `.processor_s`, which other programs disturb less.

    Raises:
        SourceError: the portraits' packages are not installed.
        ModelError: a model is missing.
    """
    clip = four_faces_clip()
    pipeline = build_pipeline(PipelineSettings())
    detector, classifier = getattr(pipeline.detector, "name", "detector"), pipeline.classifier.backend
    progress(f"detector {detector}, classifier {classifier}, {pipeline.settings.threads} threads")
    totals: list[float] = []
    processor: list[float] = []
    stages: dict[str, list[float]] = {}
    faces = 0
    seconds = _QUICK_SECONDS if quick else _SECONDS
    try:
        begin: float | None = None
        number = 0
        while begin is None or time.perf_counter() - begin < seconds:
            frame = Frame(clip[number % len(clip)], 1_000_000_000 + number * _STEP_NS, "benchmark")
            start, start_processor = time.perf_counter(), time.process_time()
            (result,) = pipeline.process([frame])
            duration, spent = time.perf_counter() - start, time.process_time() - start_processor
            number += 1
            if number <= _CLIP_FRAMES:  # tracks are born and caches warm up
                continue
            begin = begin or start
            totals.append(duration)
            processor.append(spent)
            faces += len(result.faces)
            for stage, seconds_spent in result.timings.items():
                stages.setdefault(stage, []).append(seconds_spent)
    finally:
        pipeline.close()
    durations = summarize(totals)
    prefix = "pipeline.vga_4_faces"
    figures = durations.figures(prefix)
    figures[f"{prefix}.processor_ms"] = summarize(processor).median * 1e3
    figures[f"{prefix}.frames_per_s"] = 1 / durations.median
    figures[f"{prefix}.faces.count"] = faces / len(totals)
    for stage, spans in stages.items():
        figures.update(summarize(spans).figures(f"{prefix}.{stage}"))
    parts = ", ".join(f"{stage} {np.median(spans) * 1e3:.2f}" for stage, spans in stages.items())
    progress(f"640x480, {faces / len(totals):.1f} faces: {durations.median * 1e3:.2f} ms ({parts})")
    wall, of_processor = start_seconds(runs=2 if quick else 5)
    figures["pipeline.start_to_first_frame.s"] = wall
    figures["pipeline.start_to_first_frame.processor_s"] = of_processor
    progress(f"from import to the first result: {wall:.2f} s, {of_processor:.2f} s of them calculating")
    return figures


def four_faces_clip() -> list[NDArray[np.uint8]]:
    """Two people, each twice and once mirrored, drifting a few pixels over a gray wall.

    Returns:
        `_CLIP_FRAMES` images, (480, 640, 3) uint8 BGR; the last joins the first.

    Raises:
        SourceError: the portraits' packages are not installed.
    """
    tiles = []
    for portrait in load_portraits():
        side = portrait.face_height * 2.2
        x, y = (int(value - side / 2) for value in portrait.face_center)
        size = int(side)
        padded = cv2.copyMakeBorder(portrait.image, size, size, size, size, cv2.BORDER_REPLICATE)
        tile = cv2.resize(padded[y + size : y + 2 * size, x + size : x + 2 * size], (200, 200))
        tiles += [tile, tile[:, ::-1]]
    clip = []
    for number in range(_CLIP_FRAMES):
        frame = np.full((HEIGHT, WIDTH, 3), 127, np.uint8)
        for index, tile in enumerate(tiles):
            angle = 2 * np.pi * (number / _CLIP_FRAMES + index / len(tiles))
            x = (60 + 320 * (index % 2)) + round(20 * float(np.cos(angle)))
            y = (20 + 230 * (index // 2)) + round(10 * float(np.sin(angle)))
            frame[y : y + 200, x : x + 200] = tile
        clip.append(frame)
    return clip


def start_seconds(*, runs: int) -> tuple[float, float]:
    """Seconds from the first import to the first result, each in a fresh interpreter.

    Returns:
        Medians of the time and of the processor time, in s.
    """
    durations = []
    for _ in range(runs):
        done = subprocess.run(  # noqa: S603  (our own interpreter and text)
            python_command(code=_START), check=True, capture_output=True, text=True
        )
        durations.append([float(number) for number in done.stdout.split()[-2:]])
    wall, processor = np.median(durations, axis=0)
    return float(wall), float(processor)
