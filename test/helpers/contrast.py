"""How well text of one color is legible on another."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def contrast(one: ArrayLike, other: ArrayLike) -> float:
    """Contrast ratio of two colors, 1 to 21 (WCAG 2.2; text needs 4.5).

    Args:
        one: (3,) red, green, blue in 0-255.
        other: like `one`.
    """
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(rgb: ArrayLike) -> float:
    share = np.asarray(rgb, dtype=float) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])
