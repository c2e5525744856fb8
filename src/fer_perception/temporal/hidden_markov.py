"""Hidden Markov filter of a face's expression under correlated errors of neighboring frames.

Hidden are the class and the view. A view is what the network sees as one image: pose, light, crop, the way the person
smiles. All frames of a view err together, so a frame that repeats its view brings no new evidence, and only a new view
can show a new class. How long views last is learned from each face while it is watched, so the same settings suit
frames that err independently and frames that err alike for a second. The derivation is in docs/smoothing.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Standard deviation of a log-probability within a view and between views (measured on held-out images).
JITTER, SPREAD = 0.22, 2.0
#: Log-probabilities are compared above this floor: how small a small probability is says little.
COMPARED_FROM = 1e-3
#: Share of views whose probabilities say nothing: bounds how much one view can claim.
OUTLIERS = 0.02
#: So much of the assumed class frequencies is uniform: a class that is very rare there would else be believed on very
#: little evidence.
UNIFORM_SHARE = 0.1
#: The view rate learned from a face starts with the weight of this many views and is forgotten with this time
#: constant, s.
VIEW_PRIOR, VIEW_MEMORY = 1.0, 10.0

_LOG_MIN, _LOG_MAX = -30.0, 12.0


@dataclass(frozen=True)
class HmmParameters:
    """Parameters of the model.

    Attributes:
        prior: (K,) class frequencies, sum 1, under which the probabilities are posteriors; also how often each class
            comes in time.
        dwell_time: expected time in one expression, s.
        correlation_time: expected time of one view, s, until the face has taught better.
    """

    prior: Array
    dwell_time: float
    correlation_time: float


class HmmFilter:
    """Forward filter over classes, their age and views; a `TemporalFilter`.

    An expression passes two stages, young and mature, each left at random at the same rate: so expressions that end at
    once are rare, as in life, and yet the transition over any time step has a closed form.

    Args:
        parameters: of the model.
    """

    def __init__(self, parameters: HmmParameters) -> None:
        prior = (1.0 - UNIFORM_SHARE) * parameters.prior + UNIFORM_SHARE / len(parameters.prior)
        self._prior = prior
        # A mature expression gives way to class k with probability prior[k]; to the same class, that does not show.
        self._rate = 2.0 / (parameters.dwell_time * max(1.0 - float(np.sum(prior**2)), 1e-6))
        self._views = _ViewMemory(max(parameters.correlation_time, 1e-3), len(prior))
        self._young: Array | None = None
        self._mature: Array | None = None
        self._waited: float | Array = 0.0

    def observe(self, probabilities: Array, dt: float | Array) -> Array:
        """See `TemporalFilter.observe`."""
        logits = np.log(np.maximum(probabilities, COMPARED_FROM))
        if self._young is None or self._mature is None:
            self._young = self._mature = 0.5 * probabilities
            self._views.begin(logits)
            return probabilities
        elapsed = np.asarray(dt + self._waited, dtype=np.float64)
        self._waited = 0.0
        (young, mature), (new_young, new_mature) = self._transition(self._young, self._mature, elapsed)
        evidence = (1.0 - OUTLIERS) / self._prior * probabilities + OUTLIERS
        lasting, same = self._views.compare(logits, elapsed)
        again = lasting * same
        repeated = again * (young + mature).sum(axis=-1)
        weight = again[..., None] + (1.0 - lasting)[..., None] * evidence
        young, mature = young * weight + new_young * evidence, mature * weight + new_mature * evidence
        belief = young + mature
        total = belief.sum(axis=-1)
        scale = 1.0 / total[..., None]
        self._young, self._mature = young * scale, mature * scale
        self._views.learn(logits, repeated / total, elapsed)
        return np.asarray(belief * scale)

    def wait(self, dt: float | Array) -> Array | None:
        """See `TemporalFilter.wait`: the belief moves towards the prior as expressions change unseen."""
        if self._young is None or self._mature is None:
            return None
        self._waited = self._waited + dt
        elapsed = np.asarray(self._waited, dtype=np.float64)
        (young, mature), (new_young, new_mature) = self._transition(self._young, self._mature, elapsed)
        return np.asarray(young + mature + new_young + new_mature)

    def _transition(self, young: Array, mature: Array, dt: Array) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        """Young and mature belief after `dt`: of the same expression, and of one that came in between."""
        turns = (self._rate * dt)[..., None]
        none = np.exp(-turns)
        # The number of stages passed is Poisson with mean `turns`: it is odd, even but not 0, odd but not 1 so often.
        odd = 0.5 * (1.0 - none * none)
        not_none = 0.5 * np.square(1.0 - none)
        not_one = np.maximum(odd - turns * none, 0.0)
        all_young, all_mature = young.sum(axis=-1, keepdims=True), mature.sum(axis=-1, keepdims=True)
        kept = none * young, none * (mature + turns * young)
        new_young = self._prior * (all_young * not_none + all_mature * odd)
        new_mature = self._prior * (all_young * not_one + all_mature * not_none)
        return kept, (new_young, new_mature)


class _ViewMemory:
    """Memory of the present view, and the rate at which the views of this face change.

    Args:
        duration: expected time of a view before anything is known, s.
        classes: K.
    """

    def __init__(self, duration: float, classes: int) -> None:
        self._prior_time = VIEW_PRIOR * duration
        self._degrees = classes - 1
        self._wide = 2.0 * SPREAD**2

    def begin(self, logits: Array) -> None:
        """Start the first view with its first log-probabilities (..., K)."""
        self._mean = logits
        self._frames = np.ones(logits.shape[:-1])
        self._changes = np.zeros(logits.shape[:-1])
        self._watched = np.zeros(logits.shape[:-1])

    def compare(self, logits: Array, dt: Array) -> tuple[Array, Array]:
        """Is this the same view?

        Returns:
            The probability that it lasted over `dt`, and how much more probable these log-probabilities are if it did
            than if it did not; both (...).
        """
        rate = (VIEW_PRIOR + self._changes) / (self._prior_time + self._watched)
        narrow = JITTER**2 * (1.0 + 1.0 / self._frames)
        distance = np.square(logits - self._mean).sum(axis=-1)
        log_ratio = 0.5 * (self._degrees * np.log(self._wide / narrow) - distance * (1.0 / narrow - 1.0 / self._wide))
        return np.exp(-dt * rate), np.exp(np.clip(log_ratio, _LOG_MIN, _LOG_MAX))

    def learn(self, logits: Array, again: Array, dt: Array) -> None:
        """Take the frame in: it repeats the view with probability `again` (...)."""
        self._frames = 1.0 + again * self._frames
        share = 1.0 - again + again / self._frames
        self._mean = self._mean + share[..., None] * (logits - self._mean)
        kept = np.exp(-dt / VIEW_MEMORY)
        self._changes = kept * self._changes + 1.0 - again
        self._watched = kept * self._watched + dt
