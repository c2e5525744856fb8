"""Batched augmentation of gray faces, reproducible from a seed per step."""

from __future__ import annotations

from collections.abc import Callable

import kornia.augmentation as K  # noqa: N812  (the library's own abbreviation)
import torch
from torch import Tensor, nn

from fer_training.fit.corruptions import Corrupt
from fer_training.recipe import Augmentation


class Augment(nn.Module):
    """Apply an `Augmentation` to a batch of images.

    The random numbers depend on the seed given to `forward` alone, not on what ran before: a resumed run sees the very
    images an unbroken one would have seen. They are drawn on the processor wherever the images are.

    Args:
        settings: kinds and strengths of the changes.
    """

    def __init__(self, settings: Augmentation) -> None:
        super().__init__()
        steps: list[nn.Module] = []
        if settings.flip:
            steps.append(K.RandomHorizontalFlip(p=settings.flip))
        if settings.rotation or settings.zoom or settings.shift or settings.shear:
            steps.append(
                K.RandomAffine(
                    degrees=settings.rotation,
                    translate=(settings.shift, settings.shift),
                    scale=(1 - settings.zoom, 1 + settings.zoom),
                    shear=settings.shear or None,
                    padding_mode="border",
                    resample=settings.resample,
                    p=1.0,
                )
            )
        if settings.blur:
            steps.append(K.RandomGaussianBlur((3, 3), (0.1, 0.6), border_type="replicate", p=settings.blur))
        if settings.brightness:
            steps.append(K.ColorJitter(brightness=settings.brightness, contrast=settings.brightness, p=1.0))
        if settings.corruption:
            steps.append(Corrupt(settings.corruption))
        if settings.erasing:
            steps.append(K.RandomErasing(p=settings.erasing, scale=(0.02, 0.2), value=0.5))
        self.steps = nn.ModuleList(steps)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Augment:
        """Stay: nothing here has weights, and Kornia would draw on the device and in the precision moved to."""
        del fn, recurse
        return self

    @torch.no_grad()
    def forward(self, images: Tensor, seed: int) -> Tensor:
        """Change every image at random.

        Args:
            images: (B, C, H, W) float32 in [0, 255].
            seed: decides all random numbers.

        Returns:
            (B, C, H, W) float32 in about [0, 255]: bicubic resampling overshoots at edges.
        """
        devices = [images.device] if images.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            out = images / 255.0
            for step in self.steps:
                out = step(out)
        return out * 255.0
