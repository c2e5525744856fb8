"""What surrounds torch2trt; torch2trt itself needs a GPU and has not run."""

from __future__ import annotations

import importlib.util

import pytest
import torch
from typer.testing import CliRunner

from fer_perception.errors import NotInstalledError
from fer_perception.inference.tensorrt.engine_key import BUILDERS
from fer_training.architectures.registry import create
from fer_training.cli.app import build_app
from fer_training.deployed_network import DeployedNetwork
from fer_training.export.torch2trt import HalfSafeNetwork, build_with_torch2trt, torch2trt_arguments

SHAPE = (1, 48, 48)


@pytest.fixture(scope="module")
def networks():
    torch.manual_seed(1)
    network = create("arch1", in_channels=1, input_size=48, num_classes=7).eval()
    return DeployedNetwork(network, 1.4).eval(), HalfSafeNetwork(network, 1.4).eval()


@pytest.fixture(scope="module")
def images():
    noise = torch.rand(3, *SHAPE, generator=torch.Generator().manual_seed(2)) * 255
    chess = ((torch.arange(48)[:, None] + torch.arange(48)) % 2 * 255.0)[None, None]
    return torch.cat([noise, chess, torch.zeros(1, *SHAPE), torch.full((1, *SHAPE), 255.0), noise[:1] / 50])


def test_the_same_answers_as_the_exported_network(networks, images):
    deployed, safe = networks
    with torch.no_grad():
        torch.testing.assert_close(safe(images), deployed(images), atol=1e-5, rtol=0)


def test_nothing_overflows_half_precision_before_the_network(images):
    seen = []
    probe = torch.nn.Identity()
    probe.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    safe = HalfSafeNetwork(torch.nn.Sequential(probe, torch.nn.Flatten()), 1.0)
    with torch.no_grad():
        safe(images.half())
        safe(images)
    assert seen[0].dtype == torch.float16
    assert seen[0].isfinite().all()
    torch.testing.assert_close(seen[0].float(), seen[1], atol=0.02, rtol=0.02)


def test_the_profile_is_given_as_shapes():
    arguments = torch2trt_arguments(SHAPE)
    assert arguments["min_shapes"] == [(1, 1, 48, 48)]
    assert arguments["opt_shapes"] == [(8, 1, 48, 48)]
    assert arguments["max_shapes"] == [(64, 1, 48, 48)]
    assert arguments["use_onnx"] is True
    assert "max_batch_size" not in arguments
    assert "torch2trt" in BUILDERS


@pytest.mark.skipif(importlib.util.find_spec("tensorrt") is not None, reason="TensorRT is installed here")
def test_what_is_missing_is_named(networks):
    with pytest.raises(NotInstalledError, match=r"tensorrt cannot be imported"):
        build_with_torch2trt(networks[1], SHAPE)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [(["--builder", "magic"], "no builder 'magic'"), (["--builder", "torch2trt"], "--checkpoint")],
)
def test_wrong_usage(arguments, complaint, tmp_path):
    result = CliRunner().invoke(build_app(), ["compile", "--model", str(tmp_path / "m.onnx"), *arguments])
    assert result.exit_code == 2
    assert complaint in result.output
