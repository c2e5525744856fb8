"""Fits the temporal settings: `python benchmarks/temporal_fit.py` prints the best defaults.

It uses one half of the held-out images and seeds of its own; `temporal` reports on the other half.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fer_perception.benchmark.temporal.compare import CORRELATIONS, FIT_SEED, conditions, network_outputs
from fer_perception.benchmark.temporal.contestants import decided, filtered
from fer_perception.benchmark.temporal.expression_sequences import Sequences
from fer_perception.benchmark.temporal.frame_outputs import FrameOutputs
from fer_perception.benchmark.temporal.label_measures import measure
from fer_perception.settings.pipeline_settings import PipelineSettings
from fer_perception.temporal.smoother import create_decision

#: One needless change of label a minute is worth so much accuracy.
FLIP_PRICE = 0.0005
#: One second of median delay is worth so much accuracy.
DELAY_PRICE = 0.1
#: Values tried for each setting of the default filter, and for the one of the exponential mean.
HMM_GRID: dict[str, tuple[float, ...]] = {
    "hmm_dwell_time": (0.8, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5),
    "hmm_correlation_time": (0.1, 0.3, 1.0),
    "undecided_threshold": (0.2, 0.25, 0.3, 0.35),
    "hysteresis": (0.0, 0.1, 0.2, 0.3, 0.4, 0.6),
    "min_dwell": (0.0, 0.1, 0.2, 0.3),
}
EMA_GRID: dict[str, tuple[float, ...]] = {"ema_time_constant": (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6)}

Progress = Callable[[str], None]


def best_temperature(outputs: FrameOutputs) -> float:
    """By what the log-probabilities must be divided for the smallest negative log-likelihood; 1 = calibrated."""
    logits = np.log(np.maximum(outputs.probabilities, 1e-9))
    truth = outputs.labels[:, None, None]

    def loss(temperature: float) -> float:
        scaled = logits / temperature
        norm = np.log(np.exp(scaled).sum(axis=-1))
        return float((norm - np.take_along_axis(scaled, truth, axis=-1)[..., 0]).mean())

    return min((float(t) for t in np.arange(0.6, 2.01, 0.02)), key=loss)


class Conditions:
    """The sequences a setting must be good for. Filtered scores are kept: most settings only decide on labels.

    Args:
        sequences: one for each condition.
    """

    def __init__(self, sequences: Sequence[Sequences]) -> None:
        self._sequences = sequences
        self._scores: dict[tuple[object, ...], list[NDArray[np.float64]]] = {}

    def worth(self, settings: PipelineSettings) -> float:
        """Mean accuracy, less the price of flips and delay."""
        key = (
            *(settings.filter, settings.ema_time_constant, settings.hmm_dwell_time, settings.hmm_correlation_time),
            settings.neutral_share,
        )
        if key not in self._scores:
            self._scores[key] = [filtered(item, settings) for item in self._sequences]
        total = 0.0
        for item, scores in zip(self._sequences, self._scores[key], strict=True):
            m = measure(item, decided(item, scores, lambda: create_decision(settings)), scores)
            total += m.accuracy - FLIP_PRICE * max(m.excess_flips_per_min, 0.0) - DELAY_PRICE * m.delay_ms / 1000.0
        return total / len(self._sequences)


def fit(
    settings: PipelineSettings,
    grid: dict[str, tuple[float, ...]],
    where: Conditions,
    *,
    progress: Progress,
    rounds: int = 2,
) -> PipelineSettings:
    """Improve one setting after the other.

    Args:
        settings: where to begin.
        grid: the values to try of each setting.
        where: what to be good for.
        progress: told about each choice.
        rounds: how often to go through the settings.
    """
    for _ in range(rounds):
        for name, values in grid.items():
            worths = {value: where.worth(replace(settings, **{name: value})) for value in values}  # type: ignore[arg-type]
            best = max(worths, key=lambda value: worths[value])
            settings = replace(settings, **{name: best})  # type: ignore[arg-type]
            progress(f"{name} {best:g} ({', '.join(f'{v:g}: {w:.4f}' for v, w in worths.items())})")
    return settings


def main() -> None:
    """Fit both filters and print the settings."""

    def progress(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    (outputs, _), _ = network_outputs(views=8, progress=progress)
    where = Conditions(
        [
            item
            for correlation in CORRELATIONS
            for _, item in conditions(outputs, correlation, faces=12, seconds=90.0, seed=FIT_SEED)
        ]
    )
    print(f"temperature {best_temperature(outputs):.2f} (1 where the model is calibrated)")
    settings = fit(PipelineSettings(filter="hmm"), HMM_GRID, where, progress=progress)
    settings = fit(replace(settings, filter="ema"), EMA_GRID, where, progress=progress, rounds=1)
    for name in (*HMM_GRID, *EMA_GRID):
        print(f"{name} {getattr(settings, name):g}")


if __name__ == "__main__":
    main()
