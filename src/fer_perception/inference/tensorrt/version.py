"""Differences between TensorRT versions as data: graph, build flags and progress report.

Sources: the TensorRT release notes and the names in the Python bindings of 8.6.1, 10.0.1, 10.11, 10.13 and 11.4.
EXPLICIT_BATCH is needed in 8.6, ignored in 10 and gone in 11; STRONGLY_TYPED and IProgressMonitor appear in 10; the
FP16 flag and the precision constraints are deprecated from 10.12 on and gone in 11, where every network is strongly
typed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from fer_perception.errors import NotInstalledError

#: The oldest supported version: JetPack 6.0. (JetPack 5 brings Python 3.8, which ROS 2 Humble and later do not run on.)
OLDEST = (8, 6)


@dataclass(frozen=True)
class BuildPlan:
    """Build options of an engine.

    Attributes:
        typing: "weak" (precision chosen by flags) or "strong" (precision written in the graph).
        graph: "fp32" or "fp16": which of the two exported files is parsed.
        network_flags: names in `NetworkDefinitionCreationFlag`.
        builder_flags: names in `BuilderFlag`.
        pins_layers: keep normalization and head in FP32 by precision constraints, as the FP16 graph does by its types.
        progress_monitor: `IProgressMonitor` exists.
    """

    typing: str
    graph: str
    network_flags: tuple[str, ...]
    builder_flags: tuple[str, ...]
    pins_layers: bool
    progress_monitor: bool


def parse_version(text: str) -> tuple[int, int, int]:
    """Major, minor and patch of a version such as "10.11.0.33" or "8.6.1.post1".

    Raises:
        NotInstalledError: that is no version.
    """
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    if found is None:
        msg = f"the installed tensorrt says its version is {text!r}; expected something like 10.3.0; install it again"
        raise NotInstalledError(msg)
    return int(found[1]), int(found[2]), int(found[3] or 0)


def build_plan(version: str) -> BuildPlan:
    """Build options of our engine for a version of TensorRT.

    Args:
        version: `tensorrt.__version__`.

    Raises:
        NotInstalledError: older than 8.6.
    """
    number = parse_version(version)
    if number[:2] < OLDEST:
        msg = (
            f"TensorRT {version} is too old; expected 8.6 (JetPack 6.0) or later: a newer JetPack brings it; "
            "or set backend to onnxruntime"
        )
        raise NotInstalledError(msg)
    if number[:2] >= (10, 12):
        flags = ("STRONGLY_TYPED",) if number[0] < 11 else ()
        return BuildPlan("strong", "fp16", flags, (), pins_layers=False, progress_monitor=True)
    flags = ("EXPLICIT_BATCH",) if number[0] < 10 else ()
    return BuildPlan(
        "weak",
        "fp32",
        flags,
        ("FP16", "OBEY_PRECISION_CONSTRAINTS"),
        pins_layers=True,
        progress_monitor=number[0] >= 10,
    )


def full_precision_layers(kinds: list[str]) -> set[int]:
    """Layers of a weakly typed network that stay in FP32: all before the first convolution and after the last.

    Before lies the per-image standardization (sums of squared gray values overflow FP16), after it pooling, temperature
    and softmax. Constants and shape arithmetic are left alone: they carry no activations.

    Args:
        kinds: `LayerType` names in network order, e.g. "CONVOLUTION".

    Returns:
        Indices into `kinds`; empty where the network has no convolution.
    """
    convolutions = [index for index, kind in enumerate(kinds) if kind == "CONVOLUTION"]
    if not convolutions:
        return set()
    first, last = convolutions[0], convolutions[-1]
    return {
        index
        for index, kind in enumerate(kinds)
        if (index < first or index > last) and kind not in ("CONSTANT", "SHAPE", "CONCATENATION", "GATHER")
    }
