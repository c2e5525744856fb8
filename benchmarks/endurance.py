"""Memory growth of the node: ten minutes of 640x480 at 30 Hz with four faces over real DDS.

    python benchmarks/endurance.py [--minutes 10] [--json FILE]

Faces come and go (the feed changes between four faces and one every quarter of a minute), so tracks are born and end
all the time. The growth is the slope of the resident memory in the second half, when all buffers have found their
size. Exit status 1 where it grows by more than a megabyte a minute.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

from fer_perception.benchmark.faces_canvas import moving_faces
from fer_perception.benchmark.ros_rig import RosRig

RATE_HZ = 30.0
#: One feed, s.
FEED_S = 15.0
LARGEST_GROWTH_MB_PER_MINUTE = 1.0


def measure(minutes: float) -> dict[str, float]:
    """Feed the node for so long; returns the figures, keys ending in their units."""
    feeds = [moving_faces(4), moving_faces(1)]
    times: list[float] = []
    memory: list[float] = []
    latencies: list[float] = []
    sent = 0
    start = time.monotonic()
    with RosRig(keep=False) as rig:
        while time.monotonic() - start < minutes * 60:
            left = minutes * 60 - (time.monotonic() - start)
            feed = rig.feed(feeds[len(times) % 2], RATE_HZ, min(FEED_S, max(left, 1.0)))
            sent += feed.sent
            latencies += feed.latencies
            times.append((time.monotonic() - start) / 60)
            memory.append(rig.resident_mb())
            print(f"{times[-1]:6.2f} min  {memory[-1]:7.1f} MB  {len(latencies)} answers", file=sys.stderr, flush=True)
        rig.close()
    settled = np.array(times) >= times[-1] / 2
    growth = float(np.polyfit(np.array(times)[settled], np.array(memory)[settled], 1)[0]) if settled.sum() > 2 else 0.0
    return {
        "endurance.length_min": times[-1],
        "endurance.resident_start_mb": memory[0],
        "endurance.resident_end_mb": memory[-1],
        "endurance.growth_mb_per_min": growth,
        "endurance.answered_percent": 100.0 * len(latencies) / sent,
        "endurance.p50_ms": float(np.percentile(latencies, 50)) * 1000,
        "endurance.p99_ms": float(np.percentile(latencies, 99)) * 1000,
    }


def main() -> int:
    """Measure and judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    options = parser.parse_args()
    figures = measure(options.minutes)
    text = json.dumps(figures, indent=2)
    print(text)
    if options.json is not None:
        options.json.write_text(text + "\n", encoding="utf-8")
    return 1 if figures["endurance.growth_mb_per_min"] > LARGEST_GROWTH_MB_PER_MINUTE else 0


if __name__ == "__main__":
    sys.exit(main())
