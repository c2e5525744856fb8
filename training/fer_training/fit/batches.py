"""Training data in memory, and batches of it whose order depends on seed, epoch and process alone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Arrays:
    """Images with everything known of them.

    Attributes:
        images: (N, C, H, W) uint8.
        labels: (N,) int64, all known.
        votes: (N, 8) float32 distributions over the classes with contempt; a row of zeros where there are no votes.
        expected: (N, K) float32 label distribution that the votes predict; a row of zeros where there are none.
        teacher: (N, K) float32 probabilities; a row of zeros where the teacher did not see the image.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    votes: NDArray[np.float32]
    expected: NDArray[np.float32]
    teacher: NDArray[np.float32]

    def __len__(self) -> int:
        """Number of images."""
        return len(self.images)


class ArrayDataset(Dataset[Batch]):
    """Takes a list of indices and returns a whole batch: far cheaper than collating single images.

    Args:
        arrays: the images, and everything known of them.
    """

    def __init__(self, arrays: Arrays) -> None:
        self._tensors = {
            "images": torch.from_numpy(arrays.images),
            "labels": torch.from_numpy(arrays.labels),
            "votes": torch.from_numpy(arrays.votes),
            "expected": torch.from_numpy(arrays.expected),
            "teacher": torch.from_numpy(arrays.teacher),
        }

    def __len__(self) -> int:
        """Number of images."""
        return len(self._tensors["labels"])

    def __getitem__(self, indices: list[int]) -> Batch:
        """One batch: images (B, C, H, W) uint8, labels (B,), votes (B, 8), expected and teacher (B, K)."""
        index = torch.as_tensor(indices)
        return {name: tensor[index] for name, tensor in self._tensors.items()}


class BatchSampler(Sampler[list[int]]):
    """Lists of indices; shuffled by (seed, epoch), dealt out to the processes of a distributed run.

    Args:
        size: number of images.
        batch_size: per process.
        seed: of the shuffling.
        shuffle: False: in order, nothing dropped.
        rank: of this process.
        world_size: number of processes.
    """

    def __init__(
        self, size: int, batch_size: int, *, seed: int = 0, shuffle: bool, rank: int = 0, world_size: int = 1
    ) -> None:
        self._size = size
        self._batch_size = batch_size
        self._seed = seed
        self._shuffle = shuffle
        self._rank = rank
        self._world_size = world_size
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        self._epoch = epoch

    def __len__(self) -> int:
        """Number of batches of this process."""
        share = self._share()
        if self._shuffle:
            return max(share // self._batch_size, 1)
        return math.ceil(share / self._batch_size)

    def _share(self) -> int:
        if self._shuffle:
            return self._size // self._world_size
        return len(range(self._rank, self._size, self._world_size))

    def __iter__(self) -> Iterator[list[int]]:
        """The batches of this epoch; when shuffled, the incomplete last one is left out (another one next epoch)."""
        if self._shuffle:
            order = np.random.default_rng((self._seed, self._epoch)).permutation(self._size)
        else:
            order = np.arange(self._size)
        own = order[self._rank :: self._world_size][: self._share()]
        for number in range(len(self)):
            yield own[number * self._batch_size : (number + 1) * self._batch_size].tolist()


def batch_loader(
    arrays: Arrays, batch_size: int, *, seed: int = 0, shuffle: bool, rank: int = 0, world_size: int = 1
) -> DataLoader[Batch]:
    """A loader over arrays in memory (no worker processes: indexing is cheaper than handing batches over)."""
    sampler = BatchSampler(len(arrays), batch_size, seed=seed, shuffle=shuffle, rank=rank, world_size=world_size)
    return DataLoader(ArrayDataset(arrays), sampler=sampler, batch_size=None)
