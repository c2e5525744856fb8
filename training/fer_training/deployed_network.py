"""Deployed form of a trained network: built from its checkpoint, with normalization, temperature and softmax."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fer_perception.errors import ModelError
from fer_training import architectures
from fer_training.checkpoint import Checkpoint, CheckpointError


class DeployedNetwork(nn.Module):
    """The exported module: normalization, network, temperature, biases and softmax in one.

    Args:
        network: standardized images in, logits out.
        temperature: of the softmax, above 0.
        biases: K numbers added to logits / temperature; () = none.
    """

    temperature: Tensor
    biases: Tensor | None

    def __init__(self, network: nn.Module, temperature: float, biases: Sequence[float] = ()) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("temperature", torch.tensor(float(temperature), dtype=torch.float32))
        self.register_buffer("biases", torch.tensor(list(biases), dtype=torch.float32) if biases else None)

    def forward(self, images: Tensor) -> Tensor:
        """Probabilities of raw images.

        Args:
            images: (B, C, H, W) float32, gray values in [0, 255].

        Returns:
            (B, K) float32, rows sum to 1.
        """
        scaled = self.logits(images) / self.temperature
        return torch.softmax(scaled if self.biases is None else scaled + self.biases, dim=1)

    def logits(self, images: Tensor) -> Tensor:
        """The network's own output for raw images, before temperature, biases and softmax: (B, C, H, W) -> (B, K)."""
        return self.network(standardize(images))  # type: ignore[no-any-return]


def deploy(checkpoint: Checkpoint) -> DeployedNetwork:
    """A checkpoint as it will be deployed, in evaluation mode; raises as `load_network`."""
    return DeployedNetwork(load_network(checkpoint), checkpoint.temperature, checkpoint.biases).eval()


def load_network(checkpoint: Checkpoint) -> nn.Module:
    """Build a checkpoint's network in evaluation mode, float32, on the CPU.

    Raises:
        CheckpointError: the weights do not fit the architecture, or its normalization or temperature is unusable.
    """
    if checkpoint.normalization != "per_image_standardisation":
        msg = (
            f"the checkpoint's normalization is {checkpoint.normalization!r}, expected 'per_image_standardisation'; "
            "train it with this version of fer_training"
        )
        raise CheckpointError(msg)
    if not (np.isfinite(checkpoint.temperature) and checkpoint.temperature > 0):
        msg = f"the checkpoint's temperature is {checkpoint.temperature}, expected a number above 0; calibrate it again"
        raise CheckpointError(msg)
    network = architectures.create(checkpoint.architecture, **checkpoint.arguments)
    try:
        network.load_state_dict(checkpoint.state)
    except RuntimeError as err:
        # PyTorch lists every tensor, one a line: the first few say it.
        words = " ".join(str(err).split())
        first = words if len(words) <= 300 else f"{words[:300]} ..."
        msg = (
            f"the checkpoint's weights do not fit architecture {checkpoint.architecture!r} with arguments "
            f"{checkpoint.arguments} ({first}); was it saved by another version? Train again or take another checkpoint"
        )
        raise CheckpointError(msg) from err
    bad = [name for name, value in checkpoint.state.items() if value.is_floating_point() and not value.isfinite().all()]
    if bad:
        msg = f"the checkpoint holds NaN or infinite values in {', '.join(bad[:3])}; take an earlier checkpoint"
        raise CheckpointError(msg)
    return network.float().eval()


def input_shape(checkpoint: Checkpoint) -> tuple[int, int, int]:
    """(C, H, W) of a checkpoint's input; 1, 48, 48 where its arguments do not say."""
    side = int(checkpoint.arguments.get("input_size", 48))
    return int(checkpoint.arguments.get("in_channels", 1)), side, side


def as_batch(images: NDArray[Any], shape: Sequence[int]) -> NDArray[np.float32]:
    """Bring stored images into the shape a graph takes.

    Args:
        images: (M, H, W) or (M, C, H, W), 0-255; one channel is repeated where the graph wants three.
        shape: (C, H, W) of the graph.

    Returns:
        (M, C, H, W) float32.

    Raises:
        ModelError: height, width or channels differ.
    """
    batch = np.asarray(images, dtype=np.float32)
    if batch.ndim == 3:
        batch = batch[:, None]
    if batch.ndim == 4 and batch.shape[1] == 1 and shape[0] > 1:
        batch = np.repeat(batch, shape[0], axis=1)
    if batch.shape[1:] != tuple(shape):
        msg = f"images of shape {batch.shape[1:]} (C, H, W), expected {tuple(shape)}; prepare them at the model's size"
        raise ModelError(msg)
    return np.ascontiguousarray(batch)


def run_torch(
    module: Callable[[Tensor], Tensor], images: NDArray[np.float32], *, batch: int = 256
) -> NDArray[np.float32]:
    """Output of a module for many images, in float32 without gradients.

    Args:
        module: (B, C, H, W) -> (B, K), in evaluation mode.
        images: (N, C, H, W) float32, N at least 1.
        batch: images a call.

    Returns:
        (N, K) float32.
    """
    with torch.no_grad():
        parts = [module(torch.from_numpy(images[i : i + batch])).float().numpy() for i in range(0, len(images), batch)]
    return np.concatenate(parts)


#: Added to the variance (gray levels squared), so that a flat image gives zeros instead of NaN.
EPSILON = 1.0


def standardize(images: Tensor) -> Tensor:
    """Per-image standardization: each image gets mean 0 and standard deviation 1.

    Args:
        images: (B, C, H, W) float32, gray values in [0, 255].

    Returns:
        (B, C, H, W) float32.
    """
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    centered = images - mean
    variance = centered.square().mean(dim=(1, 2, 3), keepdim=True)
    return centered * torch.rsqrt(variance + EPSILON)
