"""Feature maps of one layer for an image, as arrays and as a figure (the paper's figure of conv2d_4)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor, nn

from fer_perception.errors import ConfigError
from fer_perception.system.files import write_atomically
from fer_training.deployed_network import standardize
from fer_training.report.figures import png_bytes, set_title
from fer_training.report.layer_table import summarize


def feature_maps(network: nn.Module, layer: str, image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The output of a layer for one image.

    Args:
        network: in evaluation mode, on the CPU.
        layer: name of the layer as `fer-train summary` lists it, or its last part if only one layer ends so.
        image: (H, W) uint8, or (C, H, W) uint8.

    Returns:
        (C, H, W) float32.

    Raises:
        ConfigError: there is no such layer, several are meant, or its output is no map.
    """
    module = network.get_submodule(_find_layer(network, layer, image))
    caught: list[Tensor] = []
    handle = module.register_forward_hook(lambda _module, _inputs, output: caught.append(output))
    batch = torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32))
    try:
        with torch.no_grad():
            network(standardize(batch.reshape(1, -1, *image.shape[-2:])))
    finally:
        handle.remove()
    maps = caught[0][0].float().numpy()
    if maps.ndim != 3:
        msg = f"the output of {layer} has the shape {maps.shape}; expected a layer whose output is (C, H, W)"
        raise ConfigError(msg)
    return np.asarray(maps, dtype=np.float32)


def _find_layer(network: nn.Module, layer: str, image: NDArray[np.uint8]) -> str:
    channels = 1 if image.ndim == 2 else image.shape[0]
    rows = summarize(network, in_channels=channels, input_size=image.shape[-1]).layers
    names = [row.name for row in rows if row.name != "softmax"]
    if layer in names:
        return layer
    found = [name for name in names if name.rsplit(".", 1)[-1] == layer]
    if len(found) == 1:
        return found[0]
    if found:
        msg = f"several layers are called {layer!r}: {', '.join(found)}; give the whole name of one"
    else:
        msg = f"there is no layer {layer!r}; expected one of {', '.join(names)}"
    raise ConfigError(msg)


def feature_map_figure(maps: NDArray[np.float32], image: NDArray[np.uint8], *, title: str) -> Figure:
    """The image and all channels side by side, each channel scaled to its own range.

    Args:
        maps: (C, H, W).
        image: (H, W) uint8.
        title: above it all.
    """
    count = len(maps) + 1
    columns = min(count, max(4, int(np.ceil(np.sqrt(count)))))
    rows = -(-count // columns)
    figure = Figure(figsize=(1.3 * columns, 1.45 * rows + 0.4), layout="constrained")
    set_title(figure, title)
    for index, axes in enumerate(figure.subplots(rows, columns, squeeze=False).ravel()):
        axes.axis("off")
        if index < count:
            axes.imshow(image if index == 0 else maps[index - 1], cmap="gray" if index == 0 else "viridis")
            axes.set_title("input" if index == 0 else str(index), fontsize=8)
    return figure


def write_feature_maps(path: Path, maps: NDArray[np.float32], image: NDArray[np.uint8], *, title: str) -> None:
    """Write `feature_map_figure` as PNG.

    Raises:
        SourceError: the file cannot be written.
    """
    write_atomically(path, png_bytes(feature_map_figure(maps, image, title=title)))
