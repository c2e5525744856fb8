"""Mirror symmetry: channels in mirrored pairs, kept through training, and the same answer for a face and its mirror."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from quick_recipe import QUICK
from torch import nn

from fer_training import architectures
from fer_training.checkpoint import CheckpointError, load_checkpoint
from fer_training.deployed_network import load_network, standardize
from fer_training.fit.fit import fit
from fer_training.fit.mirror_symmetry import asymmetry, make_symmetric, start_symmetric
from fer_training.fit.module import ExpressionModule
from fer_training.recipe import RecipeError, recipe_from_mapping

SYMMETRIC_RUN = {**QUICK, "architecture": "arch3", "epochs": 1, "mirror_symmetry": True}


def made_images(count: int = 4) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (count, 1, 48, 48)).astype(np.float32))


def head_of(name: str) -> set[str]:
    return {tensor.rpartition(".")[0] for tensor in architectures.head_tensors(name)}


@pytest.mark.parametrize("name", ["arch3", "simple_cnn", "teacher_large"])
def test_a_network_without_strides_answers_a_face_and_its_mirror_image_alike(name: str) -> None:
    torch.manual_seed(0)
    network = architectures.create(name)
    images = standardize(made_images())
    network(images)  # in training mode: batch statistics that are not those of the start
    start_symmetric(network, head_of(name))
    network.eval()
    with torch.inference_mode():
        answers, mirrored = network(images), network(images.flip(3))
    spread = float((answers - answers.mean(dim=0)).abs().max())
    assert float((answers - mirrored).abs().max()) < 1e-4 * spread


def test_arch1_does_so_but_for_its_strided_residual_branch() -> None:
    torch.manual_seed(0)
    network = architectures.create("arch1")
    start_symmetric(network, head_of("arch1"))
    network.get_submodule("features.conv2d_6").get_parameter("weight").data.zero_()
    network.eval()
    images = standardize(made_images())
    with torch.inference_mode():
        assert torch.allclose(network(images), network(images.flip(3)), atol=1e-5)


def test_every_map_holds_mirrored_pairs() -> None:
    torch.manual_seed(0)
    network = architectures.create("arch3").eval()
    start_symmetric(network, head_of("arch3"))
    maps: list[torch.Tensor] = []
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_hook(lambda _, inputs, output: maps.append(output))
    images = standardize(made_images())
    with torch.inference_mode():
        network(images)
        network(images.flip(3))
    half = len(maps) // 2
    assert half > 5
    for one, other in zip(maps[:half], maps[half:], strict=True):
        paired = other.flip(3).roll(other.shape[1] // 2, dims=1)
        assert torch.allclose(one, paired, atol=1e-4 * float(one.abs().max()))


def test_projecting_twice_changes_nothing_and_sizes_are_kept() -> None:
    torch.manual_seed(0)
    network = architectures.create("ires_separable")
    norms = {name: float(value.detach().norm()) for name, value in network.named_parameters()}
    start_symmetric(network, head_of("ires_separable"))
    for name, value in network.named_parameters():
        assert float(value.detach().norm()) == pytest.approx(norms[name], rel=1e-4), name
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert asymmetry(network, head_of("ires_separable")) == 0
    make_symmetric(network, head_of("ires_separable"))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_run_keeps_the_symmetry_with_an_auxiliary_output_and_averaged_weights(tiny_npz: Path, tmp_path: Path) -> None:
    fit({**SYMMETRIC_RUN, "loss": {"auxiliary_votes": 0.2}}, data=tiny_npz, out=tmp_path, progress=False)
    checkpoint = load_checkpoint(tmp_path / "weights.safetensors")
    network = load_network(checkpoint)
    fresh = architectures.create("arch3", **checkpoint.arguments).state_dict()
    assert any(not torch.equal(value, fresh[name]) for name, value in network.state_dict().items())
    images = standardize(made_images())
    with torch.inference_mode():
        assert torch.allclose(network(images), network(images.flip(3)), atol=1e-4)


def test_it_starts_only_from_symmetric_weights(tiny_npz: Path, tmp_path: Path) -> None:
    fit(SYMMETRIC_RUN, data=tiny_npz, out=tmp_path / "symmetric", progress=False)
    fit({**SYMMETRIC_RUN, "mirror_symmetry": False}, data=tiny_npz, out=tmp_path / "plain", progress=False)
    again = {**SYMMETRIC_RUN, "initial": str(tmp_path / "symmetric" / "weights.safetensors")}
    fit(again, data=tiny_npz, out=tmp_path / "again", progress=False)
    other = {**SYMMETRIC_RUN, "initial": str(tmp_path / "plain" / "weights.safetensors")}
    with pytest.raises(CheckpointError, match="is not mirror-symmetric: start from a network that was trained so"):
        fit(other, data=tiny_npz, out=tmp_path / "other", progress=False)


@pytest.mark.parametrize(
    ("name", "layer"),
    [("arch2", "head.dense_1"), ("lenet", "layers.7"), ("sepconv_attention", "blocks.0.separable_conv2d.depthwise")],
)
def test_networks_that_cannot_be_symmetric(name: str, layer: str) -> None:
    recipe = recipe_from_mapping({"architecture": name, "mirror_symmetry": True})
    with pytest.raises(RecipeError, match=rf"not possible here: the layer {layer}, .*set mirror_symmetry=false"):
        ExpressionModule(recipe, classes=7, in_channels=1, input_size=48, steps_per_epoch=1)
