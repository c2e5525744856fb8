"""Muon: updates of matrices are orthogonal and as large as AdamW's; the rest is AdamW's own."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fer_training.fit.module import ExpressionModule
from fer_training.fit.muon import Muon, orthogonalized
from fer_training.recipe import recipe_from_mapping


@pytest.mark.parametrize("shape", [(16, 16), (8, 72), (72, 8), (1, 5)])
def test_every_singular_value_comes_near_one_and_the_directions_stay(shape: tuple[int, int]) -> None:
    matrix = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    left, values, right = torch.linalg.svd(orthogonalized(matrix), full_matrices=False)
    assert float(values.min()) > 0.6
    assert float(values.max()) < 1.3
    before = torch.linalg.svd(matrix, full_matrices=False)
    # U V^T is unique where no singular value is zero, U and V are not.
    assert torch.allclose(left @ right, before[0] @ before[2], atol=1e-3)


def test_the_size_of_a_matrix_does_not_matter_and_zero_stays_zero() -> None:
    matrix = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(orthogonalized(matrix), orthogonalized(1e-6 * matrix), atol=1e-5)
    assert torch.equal(orthogonalized(torch.zeros(3, 2)), torch.zeros(3, 2))


def _one_step(weight: nn.Parameter, gradient: torch.Tensor, **settings: float) -> torch.Tensor:
    bias = nn.Parameter(torch.zeros(3))
    optimizer = Muon([weight], [{"params": [bias], "weight_decay": 0.0}], **settings)
    weight.grad, bias.grad = gradient, torch.tensor([1.0, -2.0, 0.0])
    before = weight.detach().clone()
    optimizer.step()
    # The first step of Adam is the rate along the sign of the gradient.
    assert torch.allclose(bias, settings["lr"] * torch.tensor([-1.0, 1.0, 0.0]), atol=1e-6)
    return weight.detach() - before


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_an_update_is_as_large_as_one_of_adamw(layout: torch.memory_format) -> None:
    random = torch.Generator().manual_seed(0)
    weight = nn.Parameter(torch.randn(16, 8, 3, 3, generator=random).to(memory_format=layout))
    gradient = torch.randn(16, 8, 3, 3, generator=random).to(memory_format=layout)
    moved = _one_step(weight, gradient, lr=0.1, momentum=0.9, weight_decay=0.0)
    assert float(moved.square().mean().sqrt()) == pytest.approx(0.1 * 0.2, rel=0.25)
    expected = -orthogonalized(gradient.flatten(1)).view_as(gradient)
    assert float(torch.cosine_similarity(moved.flatten(), expected.flatten(), dim=0)) > 0.999


def test_weight_decay_is_decoupled() -> None:
    weight = nn.Parameter(torch.full((4, 4), 2.0))
    moved = _one_step(weight, torch.zeros(4, 4), lr=0.1, momentum=0.9, weight_decay=0.5)
    assert torch.allclose(moved, torch.full((4, 4), -2.0 * 0.1 * 0.5))


def test_the_closure_of_a_step_is_called_with_gradients() -> None:
    weight = nn.Parameter(torch.eye(2))
    optimizer = Muon([weight], [], lr=0.1, momentum=0.9, weight_decay=0.0)

    def closure() -> torch.Tensor:
        loss = weight.square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 2.0
    assert not torch.equal(weight, torch.eye(2))


def test_heads_and_depthwise_kernels_are_left_to_adamw() -> None:
    recipe = recipe_from_mapping({"architecture": "arch1", "data": "x", "optimizer": {"name": "muon", "lr": 0.01}})
    module = ExpressionModule(recipe, classes=7, in_channels=1, input_size=48, steps_per_epoch=1)
    optimizer = module.configure_optimizers()["optimizer"]
    assert isinstance(optimizer, Muon)
    taken = {id(p) for group in optimizer.param_groups if "momentum" in group for p in group["params"]}
    shapes = [tuple(p.shape) for p in module.network.parameters() if id(p) in taken]
    assert shapes
    assert all(len(shape) == 4 and shape[1] > 1 and shape[0] > 7 for shape in shapes)
    everything = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(everything) == sorted(id(p) for p in module.network.parameters())
