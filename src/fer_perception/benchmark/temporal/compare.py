"""The temporal part of the benchmark: accuracy gained by filtering over time, and its cost in delay.

Expressions change at known times on several faces at once; frames come at 5 to 60 Hz with drops. What the network
says of each frame is drawn from held-out images, whose errors persist so that neighboring frames (33 ms apart) err
with a correlation of 0, 0.5 or 0.9. Conversations, neutral nine tenths of the time, give the false label events a
minute that a dialogue manager would act on. Settings are fitted (`temporal_fit`) on one half of the images with other
seeds; this reports on the other half.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from fer_perception.benchmark.temporal.contestants import contestants
from fer_perception.benchmark.temporal.expression_sequences import (
    PERSON_ERROR,
    Sequences,
    error_correlation,
    hold_scale,
    make_sequences,
)
from fer_perception.benchmark.temporal.face_worlds import WORLDS
from fer_perception.benchmark.temporal.frame_outputs import (
    FrameOutputs,
    from_images,
    halves,
    held_out_file,
    synthetic,
)
from fer_perception.benchmark.temporal.identity_measures import follow
from fer_perception.benchmark.temporal.label_events import measure_events
from fer_perception.benchmark.temporal.label_measures import LabelMeasures, measure
from fer_perception.classification.create import create_classifier
from fer_perception.errors import ModelError
from fer_perception.settings.pipeline_settings import PipelineSettings

#: Frame rates, Hz, and error correlations of frames 33 ms apart.
RATES = (5, 15, 30, 60)
CORRELATIONS = (0.0, 0.5, 0.9)
#: Seeds of the sequences that settings are fitted on and of those that are reported.
FIT_SEED, REPORT_SEED = 100, 200

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Row:
    """One line of the comparison: a filter under one condition."""

    name: str
    rate: int
    correlation: float
    measures: LabelMeasures

    @property
    def key(self) -> str:
        """For example "temporal.hmm.30.r90"."""
        return f"temporal.{self.name}.{self.rate}.r{round(100 * self.correlation)}"


def run(*, quick: bool, progress: Progress) -> dict[str, float]:
    """Measure every filter under every condition.

    Args:
        quick: fewer faces, less time and fewer views of each image.
        progress: told about every condition.

    Returns:
        temporal.conversation.<filter>.<hz>.{false_events_per_min,missed,delay_ms,accuracy} (people who are neutral nine
        tenths of the time, an error of each that lasts, errors of neighboring frames correlated by 0.9),
        temporal.<filter>.<hz>.r<0|50|90>.{accuracy,excess_flips_per_min,delay_ms,delay_p95_ms,ece}, the measured error
        correlations temporal.r<0|50|90>.error_correlation, temporal.images (0 where the outputs are synthetic), and
        temporal.tracking.<world>.<hz>.{id_switches,fragments,mota}.
    """
    (_, outputs), images = network_outputs(views=4 if quick else 8, progress=progress)
    faces, seconds = (6, 60.0) if quick else (24, 120.0)
    figures = {"temporal.images": float(images), **_tracking(seeds=2 if quick else 10)}
    for correlation in CORRELATIONS:
        for rate, sequences in conditions(outputs, correlation, faces=faces, seconds=seconds, seed=REPORT_SEED):
            if rate == 30:
                measured = error_correlation(sequences, outputs)
                figures[f"temporal.r{round(100 * correlation)}.error_correlation"] = measured
            for row in compare(sequences, rate, correlation, PipelineSettings()):
                for name, value in vars(row.measures).items():
                    figures[f"{row.key}.{name}"] = value
            progress(f"temporal: {rate} Hz, error correlation {correlation:g} done")
    figures |= _conversations(outputs, faces=faces, seconds=seconds, progress=progress)
    return figures


def _conversations(outputs: FrameOutputs, *, faces: int, seconds: float, progress: Progress) -> dict[str, float]:
    """Every contestant on people who talk: false events a minute, expressions missed."""
    figures = {}
    scale = hold_scale(outputs, CORRELATIONS[-1])
    for rate in RATES:
        sequences = make_sequences(
            outputs,
            faces=faces,
            seconds=seconds,
            rate=rate,
            scale=scale,
            seed=REPORT_SEED,
            conversation=True,
            person_error=PERSON_ERROR,
        )
        for name, contestant in contestants(PipelineSettings()).items():
            labels, scores = contestant(sequences)
            events, whole = measure_events(sequences, labels, scores), measure(sequences, labels, scores)
            key = f"temporal.conversation.{name}.{rate}"
            figures[f"{key}.false_events_per_min"] = events.false_events_per_min
            if not np.isnan(events.missed):
                figures[f"{key}.missed"] = events.missed
            figures[f"{key}.delay_ms"] = whole.delay_ms
            figures[f"{key}.accuracy"] = whole.accuracy
        progress(f"temporal: conversations at {rate} Hz done")
    return figures


def _tracking(*, seeds: int) -> dict[str, float]:
    """Identity measures with 20 % of the detections dropped and boxes jittered by 5 %, over all seeds."""
    figures = {}
    for name, world in WORLDS.items():
        for rate in RATES:
            runs = [follow(world(rate), seed=seed) for seed in range(seeds)]
            key = f"temporal.tracking.{name}.{rate}"
            figures[f"{key}.id_switches"] = float(sum(run.id_switches for run in runs))
            figures[f"{key}.fragments"] = float(sum(run.fragments for run in runs))
            figures[f"{key}.mota"] = sum(run.mota for run in runs) / seeds
    return figures


def conditions(
    outputs: FrameOutputs, correlation: float, *, faces: int, seconds: float, seed: int
) -> Iterator[tuple[int, Sequences]]:
    """The same expressions at every rate of `RATES`, with errors correlated as asked for."""
    scale = hold_scale(outputs, correlation)
    for rate in RATES:
        yield rate, make_sequences(outputs, faces=faces, seconds=seconds, rate=rate, scale=scale, seed=seed)


def compare(sequences: Sequences, rate: int, correlation: float, settings: PipelineSettings) -> list[Row]:
    """Measure all contestants on the same sequences."""
    rows = []
    for name, contestant in contestants(settings).items():
        labels, scores = contestant(sequences)
        rows.append(Row(name, rate, correlation, measure(sequences, labels, scores)))
    return rows


def network_outputs(*, views: int, progress: Progress) -> tuple[tuple[FrameOutputs, FrameOutputs], int]:
    """Outputs to fit on and to report on, and how many images they are from.

    The shipped model on the held-out images where both are there, else synthetic outputs (and 0 images).
    """
    archive = held_out_file()
    try:
        classifier = create_classifier(PipelineSettings().model, backend="onnxruntime", threads=1)
    except ModelError as err:
        progress(f"temporal: synthetic network outputs, because {err}")
        return halves(*synthetic(images=6000, views=views, seed=0)), 0
    try:
        if archive is None:
            progress("temporal: synthetic network outputs, because there are no held-out images (FER_DATA names them)")
            return halves(*synthetic(images=6000, views=views, seed=0)), 0
        outputs, fingerprints = from_images(classifier, archive, views=views, seed=0, progress=progress)
    finally:
        classifier.close()
    return halves(outputs, fingerprints), len(outputs.labels)
