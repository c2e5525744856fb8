"""How raw gray values become network input; the same function is traced into the exported graph."""

from __future__ import annotations

import torch
from torch import Tensor

#: Added to the variance (gray levels squared), so that a flat picture gives zeros instead of NaN.
EPSILON = 1.0


def standardise(images: Tensor) -> Tensor:
    """Per-image standardisation: each picture gets mean 0 and standard deviation 1.

    Args:
        images: (B, C, H, W) float32, gray values in [0, 255].

    Returns:
        (B, C, H, W) float32.
    """
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    centred = images - mean
    variance = centred.square().mean(dim=(1, 2, 3), keepdim=True)
    return centred * torch.rsqrt(variance + EPSILON)
