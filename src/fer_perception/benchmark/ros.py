"""Speed of the node over real DDS: latency from publish to answer, stages, memory, and behavior under overload.

Publisher and listener are one process, the node is another; 640x480 bgr8 at 30 Hz. Latency is from the publish call to
the listener's callback.
"""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np

from fer_perception.benchmark import Progress
from fer_perception.benchmark.faces_canvas import moving_faces
from fer_perception.benchmark.ros_rig import RosRig
from fer_perception.errors import FerError, SourceError
from fer_perception.model_files.store import ModelStore

RATE_HZ = 30.0
FACES = (1, 4, 16)
#: How much more arrives than can be worked off.
OVERLOAD = 4.0
#: A frame may wait for so long beyond the camera's period, s.
TOLERANCE_S = 0.005
STAGES = ("decode", "detect", "track", "crop", "classify", "smooth", "publish")


def run(*, quick: bool, progress: Progress) -> dict[str, float]:
    """Measure; see `fer_perception.benchmark`.

    Raises:
        FerError: rclpy or the portraits are missing, or the node does not come up or stay.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    progress(f"{cores} cores, load {os.getloadavg()[0]:.1f} before it starts")
    try:
        ModelStore().find("yunet")
    except FerError as err:
        progress(f"the slower detector of OpenCV serves: {err}")
    figures: dict[str, float] = {}
    for faces in FACES:
        figures |= latency(faces, seconds=5.0 if quick else 30.0, progress=progress)
    figures |= overload(seconds=4.0 if quick else 60.0, progress=progress)
    return figures


def latency(faces: int, *, seconds: float, progress: Progress) -> dict[str, float]:
    """Latency, stages and memory with so many faces at 640x480, 30 Hz."""
    key = f"ros.vga_{faces}_face{'s' if faces > 1 else ''}"
    with RosRig() as rig:
        used, since = rig.processor_seconds(), time.monotonic()
        feed = rig.feed(moving_faces(faces), RATE_HZ, seconds)
        processor = 100 * (rig.processor_seconds() - used) / (time.monotonic() - since)
        resident = rig.resident_mb()
        kept = kept_figures(rig)
    milliseconds = np.array(feed.latencies) * 1000
    p50, p99 = np.percentile(milliseconds, (50, 99)) if milliseconds.size else (np.nan, np.nan)
    figures = {
        f"{key}.p50_ms": float(p50),
        f"{key}.p99_ms": float(p99),
        f"{key}.max_ms": float(milliseconds.max(initial=0.0)),
        f"{key}.answered_percent": 100.0 * len(feed.latencies) / feed.sent,
        f"{key}.faces_count": feed.faces,
        f"{key}.resident_mb": resident,
        f"{key}.one_core_percent": processor,
    }
    figures |= {f"{key}.{stage}_ms": _median_ms(kept, stage) for stage in STAGES if stage in kept["stages"]}
    progress(
        f"{faces} faces at 640x480, 30 Hz: p50 {p50:.1f} ms, p99 {p99:.1f} ms, "
        f"{figures[f'{key}.answered_percent']:.1f} % answered with {feed.faces:.1f} faces, {resident:.0f} MB, "
        f"{processor:.0f} % of a core"
    )
    return figures


def overload(*, seconds: float, progress: Progress) -> dict[str, float]:
    """A camera four times faster than the node: how old frames are when work on them begins.

    The Haar detector serves, as the slowest: a camera fast enough for the others would itself take the processor.
    """
    images = moving_faces(4)
    with RosRig(["detector:=haar"]) as rig:
        rig.feed(images, 5.0, 2.0)
        kept = kept_figures(rig)
    work_s = sum(float(np.median(values)) for values in kept["stages"].values())
    rate_hz = OVERLOAD / work_s
    with RosRig(["detector:=haar"]) as rig:
        feed = rig.feed(images, rate_hz, seconds)
        kept = kept_figures(rig)
    # The very last frame waits for the work before it, and nothing newer comes to take its place.
    ages = np.array(kept["dequeue_ages"][:-1]) * 1000
    published = np.array(kept["publish_ages"]) * 1000
    limit = 1000 / rate_hz + TOLERANCE_S * 1000
    within = 100.0 * float(np.mean(ages <= limit))
    figures = {
        "ros.overload_4x.work_ms": work_s * 1000,
        "ros.overload_4x.camera_period_ms": 1000 / rate_hz,
        "ros.overload_4x.answered_percent": 100.0 * len(feed.latencies) / feed.sent,
        "ros.overload_4x.age_at_dequeue_p50_ms": float(np.percentile(ages, 50)),
        "ros.overload_4x.age_at_dequeue_p999_ms": float(np.percentile(ages, 99.9)),
        "ros.overload_4x.age_at_dequeue_max_ms": float(ages.max()),
        "ros.overload_4x.within_period_plus_5ms_percent": within,
        "ros.overload_4x.age_at_publish_p99_ms": float(np.percentile(published, 99)),
        "ros.overload_4x.age_at_publish_max_ms": float(published[:-1].max()),
        "ros.overload_4x.within_two_works_percent": 100.0 * float(np.mean(published[:-1] <= 2000 * work_s)),
    }
    progress(
        f"4x overload ({rate_hz:.0f} Hz, {work_s * 1000:.0f} ms of work): {within:.2f} % of {ages.size} frames no "
        f"older than a period + 5 ms ({limit:.1f} ms) when work began, the oldest {ages.max():.1f} ms"
    )
    return figures


def kept_figures(rig: RosRig) -> dict[str, Any]:
    """End the node; what it kept.

    Raises:
        SourceError: it was killed or hung, or answered hardly anything.
    """
    kept = rig.close()
    if len(kept.get("publish_ages", ())) < 2:
        msg = "the node ended before its time or hardly answered; is this machine busy with something else?"
        raise SourceError(msg)
    return kept


def _median_ms(kept: dict[str, Any], stage: str) -> float:
    return float(np.median(kept["stages"][stage])) * 1000
