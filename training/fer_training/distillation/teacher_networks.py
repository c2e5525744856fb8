"""Teacher networks run on the student's own augmented images: distillation by function matching."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from fer_training.checkpoint import load_checkpoint
from fer_training.deployed_network import deploy, input_shape
from fer_training.recipe import RecipeError, beside_recipes


class TeacherNetworks:
    """Several networks, each of which answers for a share of every batch.

    An image is answered by one network, drawn at random, half of the time for its mirror image. The cross-entropy is
    linear in its target, so over the steps the student learns the mean of all networks and of both views, for the price
    of one (Beyer et al., "Knowledge distillation: a good teacher is patient and consistent", CVPR 2022: teacher and
    student must see the same image, and the training must be long).

    This is no `nn.Module`: the teachers are not to be trained, averaged or saved with the student.

    Args:
        paths: checkpoints (.safetensors) of `fer-train fit`; bare names are also looked for beside the recipes.
        labels: the classes the student has; every teacher must have the same.
        shape: (C, H, W) of the student's images.

    Raises:
        RecipeError: a network has other classes or takes other images.
        CheckpointError: a file is missing or damaged.
    """

    def __init__(self, paths: Sequence[str], *, labels: Sequence[str], shape: tuple[int, int, int]) -> None:
        self._networks: list[nn.Module] = []
        for name in paths:
            path = beside_recipes(name)
            checkpoint = load_checkpoint(path)
            if checkpoint.labels != tuple(labels):
                msg = f"the teacher {path} has the classes {list(checkpoint.labels)}; the recipe's are {list(labels)}"
                raise RecipeError(msg)
            if input_shape(checkpoint) != shape:
                msg = f"the teacher {path} takes images (C, H, W) {input_shape(checkpoint)}, the recipe has {shape}"
                raise RecipeError(msg)
            network = deploy(checkpoint)
            self._networks.append(network.to(memory_format=torch.channels_last))  # type: ignore[call-overload]

    @torch.no_grad()
    def __call__(self, images: Tensor, seed: int) -> Tensor:
        """Probabilities of raw images.

        Args:
            images: (B, C, H, W) float32 in [0, 255].
            seed: decides which network answers for which image, and for which view of it.

        Returns:
            (B, K) float32, rows sum to 1, where the images are.
        """
        random = np.random.default_rng((seed, len(self._networks)))
        order = torch.from_numpy(random.permutation(len(images))).to(images.device)
        mirrored = torch.from_numpy(random.random(len(images)) < 0.5).to(images.device)
        views = torch.where(mirrored[:, None, None, None], images.flip(3), images)
        # Shares differ by an image where they do not come out even: no network always has the larger one.
        turn = [self._networks[index] for index in random.permutation(len(self._networks))]
        answers = torch.cat(
            [
                network.to(images.device)(views[share].to(memory_format=torch.channels_last)).float()
                for network, share in zip(turn, order.tensor_split(len(turn)), strict=True)
                if len(share)
            ]
        )
        return torch.empty_like(answers).index_copy_(0, order, answers)
