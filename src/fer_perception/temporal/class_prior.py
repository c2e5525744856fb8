"""Class priors: from the prior a network's probabilities were made under to the one assumed of the faces seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fer_perception.labels import NEUTRAL

Array = NDArray[np.float64]


def assumed_prior(labels: Sequence[str], model_prior: Sequence[float] | Array, neutral_share: float) -> Array:
    """Class frequencies assumed of the faces in front of the camera.

    Args:
        labels: K class names.
        model_prior: (K,) prior of the model (`ModelMetadata.prior`), sum 1, each above 0.
        neutral_share: share of neutral, the rest spread evenly over the other classes, whatever the model's prior is;
            0 = the model's prior. Without effect where no class, or the only one, is neutral.

    Returns:
        (K,) sum 1.

    Raises:
        ValueError: not one share a class.
    """
    prior = np.asarray(model_prior, dtype=np.float64)
    if prior.shape != (len(labels),):
        msg = f"a class prior of shape {prior.shape}; expected one share for each of {', '.join(labels)}"
        raise ValueError(msg)
    if not takes_neutral_share(labels) or neutral_share <= 0.0:
        return prior
    shares = np.full(len(labels), (1.0 - neutral_share) / (len(labels) - 1))
    shares[list(labels).index(NEUTRAL)] = neutral_share
    return shares


def takes_neutral_share(labels: Sequence[str]) -> bool:
    """True where `neutral_share` has an effect: there is a class neutral, and another one."""
    return NEUTRAL in labels and len(labels) > 1


def with_prior(probabilities: Array, before: Array, after: Array) -> Array:
    """Posteriors under another class prior (Saerens, Latinne and Decaestecker 2002, eq. 4).

    Args:
        probabilities: (..., K), rows sum to 1.
        before: (K,) prior they are posteriors under, each above 0.
        after: (K,) prior wanted.

    Returns:
        (..., K), rows sum to 1; `probabilities` itself where both priors are equal.
    """
    if np.array_equal(before, after):
        return probabilities
    moved = probabilities * (after / before)
    return np.asarray(moved / moved.sum(axis=-1, keepdims=True))
