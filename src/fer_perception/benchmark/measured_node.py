"""The node as a process of its own for measurements, which also records every frame's age and stages.

    python -m fer_perception.benchmark.measured_node FILE --ros-args ...

At the end FILE holds one JSON object: "dequeue_ages" (s) of every frame, "publish_ages" (s) and "stages" (s, by name)
of every result.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from fer_perception.live.camera_statistics import CameraStatistics
from fer_perception.ros.node import FerNode, main

dequeue_ages: list[float] = []
publish_ages: list[float] = []
stages_of_results: dict[str, list[float]] = {}


class KeepingStatistics(CameraStatistics):
    """Keeps everything instead of the last seconds."""

    def dequeued(self, now: float, age_s: float) -> None:
        """Work on a frame begins."""
        dequeue_ages.append(age_s)
        super().dequeued(now, age_s)

    def published(self, now: float, age_s: float, stages: Mapping[str, float], faces: int) -> None:
        """A result left."""
        publish_ages.append(age_s)
        for stage, seconds in stages.items():
            stages_of_results.setdefault(stage, []).append(seconds)
        super().published(now, age_s, stages, faces)


class MeasuredNode(FerNode):
    """The node with figures that are kept."""

    def create_statistics(self) -> CameraStatistics:
        """Figures that are kept."""
        return KeepingStatistics()


if __name__ == "__main__":
    file = Path(sys.argv.pop(1))
    status = main(node_class=MeasuredNode)
    kept = {"dequeue_ages": dequeue_ages, "publish_ages": publish_ages, "stages": stages_of_results}
    file.write_text(json.dumps(kept), encoding="utf-8")
    sys.exit(status)
