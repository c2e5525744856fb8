"""Mirror-symmetric networks: channels in mirrored pairs give a face and its mirror image the same answer.

A group-equivariant network (Cohen and Welling, ICML 2016) for the group of two elements, identity and mirroring:
channel c + C/2 of every map holds what channel c would hold for the mirrored image, mirrored. The mean over the last
map then no longer depends on the side. Nothing but the weights knows of it: layers, number of weights and speed are the
plain network's, and each kernel learns from both sides of every face.

A strided convolution on an even size samples other pixels of the mirrored image, so there the symmetry is only nearly
exact (arch1 has one, in its residual branch: with fresh weights probabilities differ by up to 0.04), and in some
networks nothing is left of it (mini_xception, simpler_cnn). arch3 and simple_cnn are exact.
"""

from __future__ import annotations

import copy
from collections.abc import Collection

import torch
from torch import Tensor, nn

from fer_training.recipe import RecipeError

#: Largest relative change of any tensor by which rounding can explain that it was not symmetric.
SYMMETRIC = 1e-3


def start_symmetric(network: nn.Module, head: Collection[str]) -> None:
    """Make a freshly initialized network symmetric, in place, with weights as large as they were.

    Args:
        network: convolutions, batch-norms and layers without weights; a dense layer only as the head behind the average
            pooling.
        head: name of the layer whose outputs are the classes (see `architectures.head_tensors`).

    Raises:
        RecipeError: it has other layers, or a map with an odd number of channels.
    """
    _check(network, head)
    before = {name: value.detach().norm() for name, value in network.named_parameters()}
    make_symmetric(network, head)
    with torch.no_grad():
        for name, value in network.named_parameters():
            # The mean of two independent draws is smaller than each.
            if value.ndim > 1:
                value.mul_(before[name] / value.norm())


@torch.no_grad()
def make_symmetric(network: nn.Module, head: Collection[str]) -> None:
    """Project all weights and batch statistics, in place, onto those of a symmetric network.

    Args:
        network: as for `start_symmetric`.
        head: as for `start_symmetric`.
    """
    first = True
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            # The image is its own pair, and so is every class.
            pairs_in = not first and (isinstance(module, nn.Linear) or module.groups == 1)
            pairs_out = name not in head
            first = False
            other = module.weight.flip(3) if isinstance(module, nn.Conv2d) else module.weight
            other = _swapped(other, 1) if pairs_in else other
            tensors = [(module.weight, _swapped(other, 0) if pairs_out else other)]
            if module.bias is not None and pairs_out:
                tensors.append((module.bias, _swapped(module.bias, 0)))
        elif isinstance(module, nn.BatchNorm2d):
            values = (module.weight, module.bias, module.running_mean, module.running_var)
            tensors = [(value, _swapped(value, 0)) for value in values if value is not None]
        else:
            continue
        for value, other in tensors:
            value.copy_((value + other) / 2)


def asymmetry(network: nn.Module, head: Collection[str]) -> float:
    """Distance of a network from a symmetric one.

    Args:
        network: as for `start_symmetric`; it stays as it is.
        head: as for `start_symmetric`.

    Returns:
        The largest relative change of a tensor (L2 norm) that `make_symmetric` would make; 0 for a symmetric network.
    """
    symmetric = copy.deepcopy(network)
    make_symmetric(symmetric, head)
    pairs = zip(network.state_dict().values(), symmetric.state_dict().values(), strict=True)
    floating = [(own, other) for own, other in pairs if own.is_floating_point()]
    return max((float((other - own).norm() / (own.norm() + 1e-12)) for own, other in floating), default=0.0)


def _swapped(value: Tensor, dim: int) -> Tensor:
    """The two halves of a dimension in the other order."""
    return value.roll(value.shape[dim] // 2, dims=dim)


def _check(network: nn.Module, head: Collection[str]) -> None:
    channels = 0
    for name, module in network.named_modules():
        if not list(module.parameters(recurse=False)):
            continue
        if isinstance(module, nn.Conv2d):
            fits, channels = name in head or module.out_channels % 2 == 0, module.out_channels
        elif isinstance(module, nn.Linear):
            # Behind a flattened map a feature's place would have to be mirrored too.
            fits = name in head and module.in_features == channels
        else:
            fits = isinstance(module, nn.BatchNorm2d)
        if not fits:
            msg = (
                f"mirror_symmetry is not possible here: the layer {name}, {module}, is no convolution with an even "
                "number of channels; set mirror_symmetry=false"
            )
            raise RecipeError(msg)
