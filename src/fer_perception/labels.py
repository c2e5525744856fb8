"""Class names, their order and their circumplex coordinates: the one definition for messages, JSON and training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

#: The seven classes in FER2013 order, spelled as in hri_msgs/Expression (REP-155).
LABELS: tuple[str, ...] = ("angry", "disgusted", "scared", "happy", "sad", "surprised", "neutral")

#: The eight classes of FER+ and AffectNet models.
LABELS_WITH_CONTEMPT: tuple[str, ...] = (*LABELS, "contempt")

#: The class that means "no expression"; intensity and phases are measured from it.
NEUTRAL = "neutral"

#: Valence and arousal in [-1, 1] of each class: mean pleasure and arousal of the terms angry, disgusted, fearful,
#: happy, sad, surprised and (for contempt) disdainful among the 151 terms rated in J. A. Russell & A. Mehrabian 1977,
#: "Evidence for a three-factor theory of emotions", Journal of Research in Personality 11, 273-294. Neutral is the
#: origin by definition, not a rated term.
CIRCUMPLEX: dict[str, tuple[float, float]] = {
    "angry": (-0.51, 0.59),
    "disgusted": (-0.60, 0.35),
    "scared": (-0.64, 0.60),
    "happy": (0.81, 0.51),
    "sad": (-0.63, -0.27),
    "surprised": (0.40, 0.67),
    "neutral": (0.0, 0.0),
    "contempt": (-0.32, -0.11),
}


def circumplex_matrix(labels: Sequence[str]) -> NDArray[np.float64]:
    """Valence and arousal of each label.

    Args:
        labels: K class names.

    Returns:
        (K, 2) float64; a row of NaN for a name that is not in `CIRCUMPLEX`.
    """
    nan = (float("nan"), float("nan"))
    return np.array([CIRCUMPLEX.get(label, nan) for label in labels], dtype=np.float64).reshape(-1, 2)
