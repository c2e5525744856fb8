"""Corruptions of real cameras, drawn anew for every training image: resolution, gamma, darkness with noise, JPEG."""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  (PyTorch's own abbreviation)
from numpy.typing import NDArray
from torch import Tensor, nn

#: Sides that an image is reduced to before it is enlarged again, as shares of its own side.
_SIDES = (0.35, 0.45, 0.55, 0.7, 0.85)
#: Largest exponent, as a power of e, of the gamma curve in either direction.
_GAMMA = 0.6
#: Share of the light that is left in a dark image: from, to.
_LIGHT = (0.12, 0.8)
#: Standard deviation of the sensor's noise in a dark image, gray levels: from, to.
_NOISE = (0.5, 5.0)
#: JPEG quality: from, to (inclusive).
_QUALITY = (12, 80)


class Corrupt(nn.Module):
    """Applies each of four corruptions to each image with the same probability, independently.

    In the order of a camera: fewer pixels (reduced to 35 to 85 % of the side and enlarged again), a gamma curve,
    little light (12 to 80 % left) with Gaussian noise of 0.5 to 5 gray levels and rounding to 8 bits, JPEG of quality
    12 to 80.
    The strengths follow those of Hendrycks and Dietterich (ICLR 2019) for small images.

    Args:
        probability: of each corruption, 0 to 1.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self._probability = probability

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Corrupts a batch; the random numbers are PyTorch's own.

        Args:
            images: (B, C, H, W) float32 in [0, 1].

        Returns:
            (B, C, H, W) float32 in [0, 1].
        """
        out = images.clamp(0.0, 1.0)
        count, side = len(out), out.shape[-1]
        chosen = torch.rand(4, count) < self._probability
        level = torch.randint(len(_SIDES), (count,))
        for index, share in enumerate(_SIDES):
            rows = torch.nonzero(chosen[0] & (level == index))[:, 0]
            if len(rows):
                small = max(round(share * side), 1)
                reduced = F.interpolate(out[rows], size=(small, small), mode="bilinear", antialias=True)
                out[rows] = F.interpolate(reduced, size=out.shape[-2:], mode="bicubic").clamp(0.0, 1.0)
        exponent = torch.where(chosen[1], torch.exp((2 * torch.rand(count) - 1) * _GAMMA), torch.ones(count))
        out = out ** exponent.to(out).view(-1, 1, 1, 1)
        rows = torch.nonzero(chosen[2])[:, 0]
        if len(rows):
            light = _between(_LIGHT, len(rows)).to(out).view(-1, 1, 1, 1)
            noise = (_between(_NOISE, len(rows)) / 255.0).to(out).view(-1, 1, 1, 1)
            dark = light * out[rows] + noise * torch.randn(out[rows].shape).to(out)
            out[rows] = (dark.clamp(0.0, 1.0) * 255.0).round() / 255.0
        quality = torch.randint(_QUALITY[0], _QUALITY[1] + 1, (count,))
        for row in torch.nonzero(chosen[3])[:, 0].tolist():
            out[row] = _jpeg(out[row], int(quality[row]))
        return out


def _between(bounds: tuple[float, float], count: int) -> Tensor:
    return bounds[0] + (bounds[1] - bounds[0]) * torch.rand(count)


def _jpeg(image: Tensor, quality: int) -> Tensor:
    """One image (C, H, W) in [0, 1] through the JPEG codec; each channel by itself, so that any number of them goes."""
    pixels = (image * 255.0).round().to(torch.uint8).cpu().numpy()
    decoded: list[NDArray[np.generic]] = []
    for channel in pixels:
        _, data = cv2.imencode(".jpg", channel, [cv2.IMWRITE_JPEG_QUALITY, quality])
        plane = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
        # What was encoded a moment ago decodes; the stubs cannot know.
        decoded.append(np.asarray(plane))
    return torch.from_numpy(np.stack(decoded)).to(image) / 255.0
