"""Feature maps: the layer that was asked for, of the image that was given."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import typer
from matplotlib.backends.backend_agg import FigureCanvasAgg
from numpy.typing import NDArray
from torch import nn
from typer.testing import CliRunner

from fer_perception.errors import ConfigError, FerError
from fer_training.architectures.registry import create
from fer_training.checkpoint import Checkpoint, save_checkpoint
from fer_training.cli import feature_maps as cli_feature_maps
from fer_training.deployed_network import standardize
from fer_training.report.feature_maps import feature_map_figure, feature_maps, write_feature_maps


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    return create("arch1").eval()


@pytest.fixture
def image() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)


def test_maps_are_the_layers_output(network: nn.Module, image: NDArray[np.uint8]) -> None:
    maps = feature_maps(network, "features.conv2d_1", image)
    assert maps.shape == (8, 48, 48)
    image = standardize(torch.from_numpy(image.astype(np.float32))[None, None])
    with torch.no_grad():
        expected = network.get_submodule("features.conv2d_1")(image)[0].numpy()
    np.testing.assert_allclose(maps, expected, rtol=1e-5, atol=1e-6)


def test_last_part_of_the_name_is_enough(network: nn.Module, image: NDArray[np.uint8]) -> None:
    np.testing.assert_array_equal(
        feature_maps(network, "conv2d_4", image), feature_maps(network, "features.conv2d_4", image)
    )
    assert feature_maps(network, "conv2d_4", image).shape == (16, 48, 48)


def test_hooks_are_gone_afterwards(network: nn.Module, image: NDArray[np.uint8]) -> None:
    feature_maps(network, "add", image)
    assert all(not module._forward_hooks for module in network.modules())


def test_unknown_ambiguous_and_flat_layers_are_errors(network: nn.Module, image: NDArray[np.uint8]) -> None:
    with pytest.raises(ConfigError, match=r"no layer 'conv9'; expected one of features\.conv2d_1"):
        feature_maps(network, "conv9", image)
    with pytest.raises(ConfigError, match=r"the output of global_average_pooling has the shape \(7,\)"):
        feature_maps(network, "global_average_pooling", image)
    with pytest.raises(ConfigError, match=r"several layers are called 'expand': blocks\.0\.expand, blocks\.1\.expand"):
        feature_maps(create("ires_separable").eval(), "expand", image)


def test_image_holds_input_and_every_channel(network: nn.Module, image: NDArray[np.uint8], tmp_path: Path) -> None:
    png = tmp_path / "maps.png"
    write_feature_maps(png, feature_maps(network, "conv2d_4", image), image, title="conv2d_4")
    drawn = cv2.imread(str(png))
    assert drawn is not None
    # Viridis panels are colored, the input is gray: count colored regions.
    colored = (drawn.max(axis=2).astype(int) - drawn.min(axis=2) > 40).astype(np.uint8)
    colored = cv2.morphologyEx(colored, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    count, _, stats, _ = cv2.connectedComponentsWithStats(colored)
    large = [row for row in stats[1:count] if row[cv2.CC_STAT_AREA] > 2000]
    assert len(large) == 16


class TestCommand:
    def app(self) -> typer.Typer:
        app = typer.Typer()
        app.callback()(lambda: None)
        cli_feature_maps.register(app)
        return app

    @pytest.fixture
    def checkpoint(self, tmp_path: Path) -> Path:
        path = tmp_path / "weights.safetensors"
        labels = ("angry", "disgusted", "scared", "happy", "sad", "surprised", "neutral")
        state = create("arch1").state_dict()
        arguments = {"in_channels": 1, "input_size": 48, "num_classes": 7}
        save_checkpoint(path, Checkpoint("arch1", arguments, labels, state))
        return path

    def test_draws_the_papers_figure(self, checkpoint: Path, image: NDArray[np.uint8], tmp_path: Path) -> None:
        cv2.imwrite(str(tmp_path / "face.png"), cv2.resize(image, (96, 96)))
        out = tmp_path / "figures" / "conv2d_4.png"
        arguments = ["--model", str(checkpoint), "--image", str(tmp_path / "face.png"), "--out", str(out)]
        result = CliRunner().invoke(self.app(), ["feature-maps", *arguments])
        assert result.exit_code == 0, result.output
        assert "16 maps of 48x48 pixels" in result.stdout
        assert out.stat().st_size > 1000

    def test_corrupt_image_is_a_clear_error(self, checkpoint: Path, tmp_path: Path) -> None:
        (tmp_path / "face.png").write_bytes(b"no image")
        arguments = ["--model", str(checkpoint), "--image", str(tmp_path / "face.png")]
        result = CliRunner().invoke(self.app(), ["feature-maps", *arguments])
        assert isinstance(result.exception, FerError)
        assert "face.png: the image is corrupt" in str(result.exception)


def test_the_title_fits_over_few_maps(image: NDArray[np.uint8]) -> None:
    title = "features.separable_conv2d_2 of arch1_fer2013.safetensors, face.png"
    figure = feature_map_figure(np.zeros((1, 4, 4), np.float32), image, title=title)
    FigureCanvasAgg(figure).draw()
    box = figure._suptitle.get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.width
