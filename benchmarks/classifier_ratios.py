"""Measures arch1 against its INT8 version, its peers and a matrix product, in turn, also on a busy machine.

`fer benchmark classifier` measures wall-clock time; while other programs take turns on the same cores, that says more
about the turns than about the networks. This script takes processor time on one thread, in turn, and prints the fastest
quarter and the median of each as a Markdown table. Run it from the root of the repository:

    python benchmarks/classifier_ratios.py [--model models/arch1_fer2013.onnx] [--data fer2013.npz] [--rounds 60]

With --data (training and validation images) the INT8 version is calibrated, timed and judged as well; this needs the
training package.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from fer_perception.benchmark.classifier import ARCH1_MULTIPLY_ADDS, images
from fer_perception.benchmark.matrix_product import FLOPS, MatrixProduct
from fer_perception.benchmark.peer_networks import efficientnet_b0, mini_xception
from fer_perception.inference.onnxruntime_network import session_options

#: Images at once: as `fer benchmark` compares arch1, and what suits each peer.
BATCHES = {"arch1": 8, "arch1, INT8": 8, "ires_separable": 8, "mini_XCEPTION": 8, "EfficientNet-B0": 1}
PERCENTILES = (25, 50)
#: Calls of one network before the next has its turn: the first finds its weights pushed out of the caches.
_CALLS = 4


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--model", type=Path, default=Path("models/arch1_fer2013.onnx"))
    parser.add_argument("--small", type=Path, default=Path("models/ires_separable.onnx"))
    parser.add_argument("--data", type=Path)
    parser.add_argument("--rounds", type=int, default=60)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        networks: dict[str, tuple[Any, tuple[int, int, int]]] = {"arch1": (arguments.model.read_bytes(), (1, 48, 48))}
        if arguments.data is not None:
            quantized = Path(directory) / "int8.onnx"
            judge_int8(arguments.model, quantized, arguments.data)
            networks["arch1, INT8"] = (quantized.read_bytes(), (1, 48, 48))
        networks["ires_separable"] = (arguments.small.read_bytes(), (1, 48, 48))
        for name, peer in (("mini_XCEPTION", mini_xception()), ("EfficientNet-B0", efficientnet_b0())):
            networks[name] = (peer.data, peer.input_shape)
        report(time_in_turn(networks, arguments.rounds))


def judge_int8(model: Path, out: Path, data: Path) -> None:
    """Quantize with training images and print the accuracy of both on validation images."""
    from fer_training.evaluation.data import load_evaluation_data
    from fer_training.evaluation.evaluate import evaluate_model
    from fer_training.export.int8 import quantize_int8

    quantize_int8(model, out, load_evaluation_data(data, split="train").images)
    judged = load_evaluation_data(data, split="validation")
    single, quantized = (evaluate_model(path, judged)["accuracy"] for path in (model, out))
    print(f"validation accuracy: FP32 {single:.4f}, INT8 {quantized:.4f}\n")


def time_in_turn(networks: dict[str, tuple[bytes, tuple[int, int, int]]], rounds: int) -> dict[str, list[float]]:
    """Processor time per image of each network, and of the matrix product per floating-point operation, in s."""
    calls: dict[str, Callable[[], object]] = {}
    for name, (data, shape) in networks.items():
        session = onnxruntime.InferenceSession(data, session_options(1), providers=["CPUExecutionProvider"])
        batch = images(BATCHES[name], shape)
        calls[name] = lambda session=session, batch=batch: session.run(None, {"images": batch})
        calls[name]()
    durations: dict[str, list[float]] = {name: [] for name in (*calls, "matrix product")}
    with MatrixProduct(1, clock="process_time") as product:
        product()
        for _ in range(rounds):
            for name, call in calls.items():
                for _ in range(_CALLS):
                    start = time.process_time()
                    call()
                    durations[name].append((time.process_time() - start) / BATCHES[name])
            durations["matrix product"].append(product() / FLOPS)
    return durations


def report(durations: dict[str, list[float]]) -> None:
    """Print the table: milliseconds an image, and how many times arch1 that is."""
    print("| one thread, processor time | batch | fastest quarter | median |")
    print("|---|---|---|---|")
    arch1 = np.percentile(durations["arch1"], PERCENTILES)
    for name, values in durations.items():
        each = np.percentile(values, PERCENTILES)
        if name == "matrix product":
            rates = 2 * ARCH1_MULTIPLY_ADDS / arch1 / 1e9
            cells = [f"{1e-9 / e:.0f} GFLOP/s (arch1: {rate:.0f})" for e, rate in zip(each, rates, strict=True)]
        else:
            cells = [f"{e * 1e3:.3f} ms ({e / a:.2f} x arch1)" for e, a in zip(each, arch1, strict=True)]
        print(f"| {name} | {BATCHES.get(name, '')} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
