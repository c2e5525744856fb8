"""Probabilities of face crops as the pipeline uses them: in one batch, as exact distributions, mirrored on request."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fer_perception.classification.classifier import Classifier


def classify_faces(
    classifier: Classifier, crops: NDArray[np.float32], *, mirror_average: bool = False
) -> NDArray[np.float64]:
    """Classify face crops.

    Args:
        classifier: of K classes.
        crops: (N, C, H, W) float32 gray values in [0, 255]; N from 0 up.
        mirror_average: the mean of the probabilities of each crop and of its mirror image, both in one batch.

    Returns:
        (N, K) float64, rows sum to 1.

    Raises:
        BackendError: see `Classifier.classify`.
    """
    batch = np.concatenate([crops, crops[..., ::-1]]) if mirror_average else crops
    probabilities = classifier.classify(batch).astype(np.float64)
    if mirror_average:
        probabilities = probabilities[: len(crops)] + probabilities[len(crops) :]
    # float32 rows sum to 1 only nearly; readers of float64 scores may rely on it.
    return np.asarray(probabilities / probabilities.sum(axis=1, keepdims=True))
