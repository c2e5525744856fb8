"""Speed of the classifier beside its peers and beside the machine's matrix product."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fer_perception.benchmark.matrix_product import FLOPS, MatrixProduct
from fer_perception.benchmark.measure import Durations, measure_in_turn
from fer_perception.benchmark.peer_networks import PeerNetwork, efficientnet_b0, mini_xception
from fer_perception.classification.classifier import Classifier
from fer_perception.classification.create import create_classifier
from fer_perception.classification.faces import classify_faces
from fer_perception.inference.network import Network
from fer_perception.inference.onnxruntime_network import OnnxRuntimeNetwork
from fer_perception.model_files.onnx_file import version_path
from fer_perception.model_files.store import ModelStore
from fer_perception.settings.pipeline_settings import PipelineSettings

BATCHES = (1, 4, 8, 16, 64)
#: Multiply-adds of ARCH-1 for one 48x48 face, summed over the convolutions as its table lists them.
ARCH1_MULTIPLY_ADDS = 27_025_920
#: Batch at which networks are compared.
_COMPARED = 8

_SECONDS, _QUICK_SECONDS = 30.0, 8.0
_MODEL = "arch1_fer2013"


def run(*, quick: bool, progress: Callable[[str], None]) -> dict[str, float]:
    """Time arch1 at several batch sizes, then in turn with its peers and with a matrix product.

    Args:
        quick: a shorter measurement.
        progress: gets one line for each result.

    Returns:
        `classifier.arch1.batch<n>.{ms,p95_ms,p99_ms,ms_per_face,images_per_s}`, `classifier.arch1.memory_mb` (what
        loading and running it added to this process), `classifier.machine.gflops` (matrix product),
        `classifier.arch1.gflops`, `classifier.arch1.roofline.ratio` (the one over the other), and for each peer, for
        the setting `mirror_average` ("arch1_mirrored"), and for the INT8 version where it lies beside the model,
        `classifier.<name>.ms_per_face` and `classifier.<name>_to_arch1.ratio` (of the times, all on the processor). A
        peer is timed with 1 and 8 images at once, and the better counts.

    Raises:
        ModelError: the shipped model is missing or damaged.
    """
    threads = PipelineSettings().threads
    seconds = _QUICK_SECONDS if quick else _SECONDS
    figures: dict[str, float] = {"classifier.threads.count": float(threads or os.cpu_count() or 1)}
    before = resident_megabytes()
    processor = classifier = create_classifier(_MODEL, backend="auto", threads=threads)
    progress(f"{classifier.metadata.model_id} on {classifier.backend}, {threads} threads")
    try:
        batches = {n: made_images(n, classifier.metadata.input_shape) for n in BATCHES}
        calls = {str(n): _classify(classifier, batch) for n, batch in batches.items()}
        for name, durations in measure_in_turn(calls, seconds=seconds).items():
            figures.update(batch_figures(f"classifier.arch1.batch{name}", durations, int(name)))
            progress(f"arch1, batch {name}: {durations.median / int(name) * 1e3:.3f} ms a face")
        if before is not None:
            figures["classifier.arch1.memory_mb"] = (resident_megabytes() or before) - before
        # Its peers and the matrix product run on the processor.
        if not classifier.backend.startswith("onnxruntime/CPU"):
            processor = create_classifier(_MODEL, backend="onnxruntime", threads=threads)
            progress(f"{processor.metadata.model_id} on {processor.backend} for the comparisons")
        compared = _classify(processor, batches[_COMPARED])
        peers = (
            _mirrored(processor, batches[_COMPARED]) | _int8(batches[_COMPARED], threads) | _peers(threads, progress)
        )
        figures.update(_compare(compared, peers, seconds=seconds, progress=progress))
        figures.update(_roofline(compared, threads=threads, seconds=seconds / 2, progress=progress))
    finally:
        classifier.close()
        processor.close()
    return figures


def made_images(count: int, shape: tuple[int, int, int]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """(count, C, H, W) float32 noise in [0, 255]; what is in an image does not change its cost."""
    return np.random.default_rng(0).uniform(0, 255, (count, *shape)).astype(np.float32)


def batch_figures(prefix: str, durations: Durations, count: int) -> dict[str, float]:
    """Figures of one batch size: durations of the batch, and of each image."""
    return {
        **durations.figures(prefix),
        f"{prefix}.ms_per_face": durations.median / count * 1e3,
        f"{prefix}.images_per_s": count / durations.median,
    }


def _classify(classifier: Any, batch: np.ndarray[Any, np.dtype[np.float32]]) -> Callable[[], object]:
    return lambda: classifier.classify(batch)


def _mirrored(
    classifier: Classifier, batch: np.ndarray[Any, np.dtype[np.float32]]
) -> dict[tuple[str, int], Callable[[], object]]:
    """The same network with the setting `mirror_average`."""
    call = partial(classify_faces, classifier, batch, mirror_average=True)
    return {("arch1_mirrored", len(batch)): call}


def _int8(batch: np.ndarray[Any, np.dtype[np.float32]], threads: int) -> dict[tuple[str, int], Callable[[], object]]:
    quantized = version_path(ModelStore().find(_MODEL), "int8")
    if not quantized.is_file():
        return {}
    classifier = create_classifier(quantized, backend="onnxruntime", threads=threads)
    return {("arch1_int8", len(batch)): _classify(classifier, batch)}


def _peers(threads: int, progress: Callable[[str], None]) -> dict[tuple[str, int], Callable[[], object]]:
    try:
        peers: dict[str, PeerNetwork] = {"mini_xception": mini_xception(), "efficientnet_b0": efficientnet_b0()}
    except ImportError as err:
        progress(f"no comparison with other networks: {err}; `pip install onnx` builds them")
        return {}
    calls: dict[tuple[str, int], Callable[[], object]] = {}
    for name, peer in peers.items():
        network = OnnxRuntimeNetwork(peer.data, name=name, threads=threads)
        for count in (1, _COMPARED):
            calls[name, count] = _run(network, made_images(count, peer.input_shape))
    return calls


def _run(network: Network, batch: np.ndarray[Any, np.dtype[np.float32]]) -> Callable[[], object]:
    outputs = [output.name for output in network.outputs]
    return lambda: network.run({"images": batch}, outputs)


def _compare(
    arch1: Callable[[], object],
    peers: dict[tuple[str, int], Callable[[], object]],
    *,
    seconds: float,
    progress: Callable[[str], None],
) -> dict[str, float]:
    """Time everything in turn; a peer counts with the batch size that suits it better."""
    measured = measure_in_turn({("arch1", _COMPARED): arch1} | peers, seconds=seconds)
    per_face: dict[str, float] = {}
    for (name, count), durations in measured.items():
        per_face[name] = min(per_face.get(name, float("inf")), durations.median / count)
    reference = per_face.pop("arch1")
    figures: dict[str, float] = {}
    for name, duration in per_face.items():
        figures[f"classifier.{name}.ms_per_face"] = duration * 1e3
        figures[f"classifier.{name}_to_arch1.ratio"] = duration / reference
        progress(f"{name}: {duration * 1e3:.3f} ms a face, {duration / reference:.2f} times arch1")
    return figures


def _roofline(
    arch1: Callable[[], object], *, threads: int, seconds: float, progress: Callable[[str], None]
) -> dict[str, float]:
    with MatrixProduct(threads) as product:
        measured = measure_in_turn({"arch1": arch1, "product": product}, seconds=seconds)
    machine = FLOPS / measured["product"].median
    reached = 2 * ARCH1_MULTIPLY_ADDS * _COMPARED / measured["arch1"].median
    progress(f"matrix product {machine / 1e9:.0f} GFLOP/s, arch1 {reached / 1e9:.0f} GFLOP/s")
    return {
        "classifier.machine.gflops": machine / 1e9,
        "classifier.arch1.gflops": reached / 1e9,
        "classifier.arch1.roofline.ratio": reached / machine,
    }


def resident_megabytes() -> float | None:
    """Resident memory of this process in MB (10^6 bytes); None where /proc does not say."""
    try:
        found = re.search(r"^VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 / 1e6 if found else None
