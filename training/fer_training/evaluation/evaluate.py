"""Evaluation of a model on a data set: all figures as one dictionary for JSON."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from fer_perception.errors import ModelError
from fer_perception.labels import LABELS_WITH_CONTEMPT
from fer_perception.model_files.metadata import ModelMetadata
from fer_perception.system.files import parse_yaml
from fer_training.checkpoint import Checkpoint, load_checkpoint
from fer_training.data.readers.ferplus import majority, soft_labels
from fer_training.data.samples import short_hashes
from fer_training.deployed_network import as_batch, deploy, input_shape, run_torch
from fer_training.evaluation import metrics
from fer_training.evaluation.calibration import cross_fit, cross_fit_scaling, image_hashes, softmax
from fer_training.evaluation.data import EvaluationData
from fer_training.onnx_file import get_metadata, load_onnx, run_onnx

#: What a model file need not repeat about itself.
_NOT_RECORDED = frozenset({"model", "model_sha256", "notes", "reliability", "source_commit"})
#: The figures given again for subsets and other temperatures.
COMPACT = ("accuracy", "balanced_accuracy", "macro_f1", "nll", "ece", "ece_perfect", "brier", "n")


@dataclass(frozen=True)
class ModelOutput:
    """Outputs of a model for images, before its temperature.

    Attributes:
        logits: (N, K) float64; `softmax(logits / temperature)` are the probabilities.
        labels: K class names.
        temperature: the one the model was shipped with.
        name: for reports.
        sha256: of the file.
        recipe: the recipe it was trained with, YAML text; "" where unknown.
        source_commit: of the code that trained it.
        trained_images: `short_hashes` of the images it was trained on; None where it does not say.
        trained_before: it was trained on other images too, nobody knows which.
    """

    logits: NDArray[np.float64]
    labels: tuple[str, ...]
    temperature: float
    name: str
    sha256: str = ""
    recipe: str = ""
    source_commit: str = ""
    trained_images: NDArray[np.uint64] | None = None
    trained_before: bool = False


@dataclass(frozen=True)
class ModelDescription:
    """Facts about a model that are needed to read images for it.

    Attributes:
        labels: K class names.
        side: height and width of its input, pixels.
        recipe: the recipe it was trained with, YAML text; "" where unknown.
        class_prior: the one that the file states; () for none.
        trained_images: `short_hashes` of the images it was trained on; None where it does not say.
    """

    labels: tuple[str, ...]
    side: int
    recipe: str = ""
    class_prior: tuple[float, ...] = ()
    trained_images: NDArray[np.uint64] | None = None


def describe_model(model: Path) -> ModelDescription:
    """Labels, input size and recipe of an ONNX file or a checkpoint; raises as `run_model` does."""
    if _is_onnx(model):
        graph, _ = load_onnx(model)
        metadata = _metadata(model, graph, "")
        return ModelDescription(metadata.labels, metadata.input_shape[1], metadata.recipe, metadata.class_prior)
    checkpoint = load_checkpoint(model)
    return ModelDescription(
        tuple(checkpoint.labels),
        input_shape(checkpoint)[1],
        checkpoint.recipe,
        trained_images=checkpoint.trained_images,
    )


def run_model(model: Path, images: NDArray[Any]) -> ModelOutput:
    """Run an ONNX file through ONNX Runtime, or a checkpoint through PyTorch, both in float32 on the CPU.

    Args:
        model: .onnx or .safetensors.
        images: (N, H, W) or (N, C, H, W), gray values 0-255.

    Raises:
        ModelError: not a model of this project, a graph that does not run or contradicts its metadata, or images of
            another size than it takes.
        CheckpointError: the checkpoint is unusable.
    """
    if not _is_onnx(model):
        checkpoint = load_checkpoint(model)
        output = run_checkpoint(checkpoint, images, name=model.stem)
        return replace(output, sha256=hashlib.sha256(model.read_bytes()).hexdigest())
    graph, data = load_onnx(model)
    sha256 = hashlib.sha256(data).hexdigest()
    metadata = _metadata(model, graph, sha256)
    probabilities = run_onnx(data, as_batch(images, metadata.input_shape), name=str(model)).astype(np.float64)
    if probabilities.shape[1:] != (len(metadata.labels),):
        shape = ", ".join(map(str, probabilities.shape[1:]))
        msg = f"{model} gives ({shape}) numbers an image but names {len(metadata.labels)} classes; export it again"
        raise ModelError(msg)
    logits = np.log(np.maximum(probabilities, metrics.SMALLEST_PROBABILITY)) * metadata.temperature
    return ModelOutput(
        logits, metadata.labels, metadata.temperature, metadata.name, sha256, metadata.recipe, metadata.source_commit
    )


def run_checkpoint(checkpoint: Checkpoint, images: NDArray[Any], *, name: str = "") -> ModelOutput:
    """Run a checkpoint's network through PyTorch in float32 on the CPU.

    Args:
        checkpoint: weights and how to build their network.
        images: (N, H, W) or (N, C, H, W), gray values 0-255.
        name: for reports; default: the architecture.

    Returns:
        Logits that hold the biases of the checkpoint, if it has any: the temperature alone makes probabilities of them.
    """
    logits = run_torch(deploy(checkpoint).logits, as_batch(images, input_shape(checkpoint))).astype(np.float64)
    if checkpoint.biases:
        logits += checkpoint.temperature * np.array(checkpoint.biases)
    return ModelOutput(
        logits,
        tuple(checkpoint.labels),
        checkpoint.temperature,
        name or checkpoint.architecture,
        "",
        checkpoint.recipe,
        checkpoint.source_commit,
        checkpoint.trained_images,
        checkpoint.trained_before,
    )


def evaluate_probabilities(
    probabilities: NDArray[Any], labels: NDArray[Any], class_names: Sequence[str], *, seed: int = 0
) -> dict[str, Any]:
    """All figures that need only probabilities and labels.

    Args:
        probabilities: (N, K), rows sum to 1.
        labels: (N,) index into `class_names`; anything outside [0, K) is an unknown label, left out and counted.
        class_names: K names.
        seed: of the bootstrap and of `ece_perfect`.

    Returns:
        Keys accuracy, balanced_accuracy, macro_f1, nll, ece, ece_perfect, ece_interval (95 %), brier, per_class,
        confusion (rows true, columns predicted), labels, reliability, n and skipped_unknown; numbers and lists only,
        ready for JSON.

    Raises:
        ModelError: shapes that do not fit, no known label, or rows that are no probabilities.
    """
    probabilities = np.asarray(probabilities, dtype=np.float64)
    labels = labels.astype(np.int64)
    classes = len(class_names)
    if probabilities.shape != (len(labels), classes):
        msg = (
            f"probabilities of shape {probabilities.shape}, expected ({len(labels)}, {classes}) for {list(class_names)}"
        )
        raise ModelError(msg)
    known = (labels >= 0) & (labels < classes)
    probabilities, labels = probabilities[known], labels[known]
    if not len(labels):
        msg = f"none of {len(known)} images has a known label; expected labels among {list(class_names)}"
        raise ModelError(msg)
    if not (np.isfinite(probabilities).all() and np.allclose(probabilities.sum(axis=1), 1.0, atol=1e-3)):
        msg = "the model's output is no probability for some images (rows must be finite, sum 1); export it again"
        raise ModelError(msg)
    confusion = metrics.confusion_matrix(labels, probabilities.argmax(axis=1), classes)
    diagram = metrics.reliability(probabilities, labels)
    return {
        "accuracy": float(np.trace(confusion) / len(labels)),
        "balanced_accuracy": metrics.balanced_accuracy(confusion),
        "macro_f1": metrics.macro_f1(confusion),
        "nll": metrics.negative_log_likelihood(probabilities, labels),
        "ece": diagram.ece,
        "ece_perfect": metrics.perfect_calibration_error(probabilities, seed=seed),
        "ece_interval": list(metrics.calibration_error_interval(probabilities, labels, seed=seed)),
        "brier": metrics.brier_score(probabilities, labels),
        "per_class": metrics.per_class_figures(confusion, class_names),
        "confusion": confusion.tolist(),
        "labels": list(class_names),
        "reliability": {
            "confidence": _without_nan(diagram.confidence),
            "accuracy": _without_nan(diagram.accuracy),
            "count": diagram.count.tolist(),
        },
        "n": len(labels),
        "skipped_unknown": int((~known).sum()),
    }


def ferplus_figures(
    probabilities: NDArray[Any], class_names: Sequence[str], votes: NDArray[np.uint8]
) -> dict[str, float | int | None]:
    """Agreement with the ten FER+ annotators (Barsoum et al. 2016).

    Args:
        probabilities: (N, K).
        class_names: the model's labels, some of our eight.
        votes: (N, 10) counts.

    Returns:
        "agreement": of the "n" images whose majority (see `data.readers.ferplus`) is one of the model's classes, the
        share where it was predicted; "kl": mean Kullback-Leibler divergence of the model from the votes on its classes,
        in nats, over "kl_n" images with such votes. None where there are no such images.
    """
    columns = [LABELS_WITH_CONTEMPT.index(name) for name in class_names if name in LABELS_WITH_CONTEMPT]
    if len(columns) != len(class_names):
        return {"agreement": None, "n": 0, "kl": None, "kl_n": 0}
    probabilities = np.asarray(probabilities, dtype=np.float64)
    agreed = majority(votes)
    judged = np.isin(agreed, columns)
    predicted = np.asarray(columns)[probabilities.argmax(axis=1)]
    shares = soft_labels(votes, classes=len(LABELS_WITH_CONTEMPT))[:, columns].astype(np.float64)
    total = shares.sum(axis=1)
    voted = total > 0
    target = shares[voted] / total[voted, None]
    safe = np.maximum(probabilities[voted], metrics.SMALLEST_PROBABILITY)
    divergence = (target * (np.log(np.where(target > 0, target, 1.0)) - np.log(safe))).sum(axis=1)
    return {
        "agreement": float((predicted == agreed)[judged].mean()) if judged.any() else None,
        "n": int(judged.sum()),
        "kl": float(divergence.mean()) if voted.any() else None,
        "kl_n": int(voted.sum()),
    }


def align_classes(
    output: ModelOutput, data: EvaluationData
) -> tuple[NDArray[np.float64], NDArray[np.int64], list[str]]:
    """Bring a model's classes and a data set's together.

    Classes are matched by name. A class of the model that the data set does not label (contempt on a 7-class set) is
    left out and the rest renormalized, which for logits is leaving out its column. An image of a class that the model
    does not have counts as unknown.

    Args:
        output: of the model.
        data: what it was run on.

    Returns:
        Logits (N, K'), labels (N,) in [0, K') or -1, and the K' names.

    Raises:
        ModelError: fewer than two classes in common.
    """
    shared = [name for name in output.labels if name in data.class_names]
    if len(shared) < 2:
        msg = (
            f"the model's classes {list(output.labels)} and those of {data.name}, {list(data.class_names)}, have "
            "fewer than two in common; use a data set with the model's classes"
        )
        raise ModelError(msg)
    logits = output.logits[:, [output.labels.index(name) for name in shared]]
    new_index = np.array([shared.index(name) if name in shared else -1 for name in data.class_names])
    labels = np.where(data.labels >= 0, new_index[data.labels], -1)
    return logits, labels, shared


def evaluate_output(output: ModelOutput, data: EvaluationData, *, cross_fitted: bool = False) -> dict[str, Any]:
    """Figures of a model on a data set, with its shipped temperature.

    Args:
        output: of the model on `data.images`.
        data: images and labels.
        cross_fitted: add "cross_fit", the pooled figures of two-fold cross-fitted temperatures.

    Returns:
        The keys of `evaluate_probabilities` and: model, data, split, targets, protocol, temperature, notes, skipped
        (reason -> images); those of `trained_figures`; "ferplus" where there are votes; "without_training_duplicates"
        and "training_duplicates" where the data holds a training split; "cross_fit" on request.
    """
    logits, labels, names = align_classes(output, data)
    probabilities = softmax(logits, output.temperature)
    result = evaluate_probabilities(probabilities, labels, names)
    result |= {
        "model": output.name,
        "model_sha256": output.sha256,
        "source_commit": output.source_commit,
        "data": data.name,
        "split": data.split,
        "targets": data.targets,
        "protocol": _protocol(output.recipe),
        "temperature": output.temperature,
        "notes": _class_notes(output, data, names),
        "skipped": data.skipped,
        **trained_figures(output, data, labels >= 0),
    }
    if data.votes is not None:
        result["ferplus"] = ferplus_figures(softmax(output.logits, output.temperature), output.labels, data.votes)
    known = labels >= 0
    if data.in_training is not None:
        fresh = known & ~data.in_training
        result["training_duplicates"] = int((known & data.in_training).sum())
        if fresh.any():
            result["without_training_duplicates"] = _compact(probabilities[fresh], labels[fresh], names)
    if cross_fitted:
        fitted = cross_fit(logits[known], labels[known], image_hashes(data.images[known]))
        result["cross_fit"] = _compact(fitted.probabilities, labels[known], names) | {
            "temperature": fitted.shipped,
            "temperatures": list(fitted.temperatures),
        }
    return result


def trained_figures(output: ModelOutput, data: EvaluationData, counted: NDArray[np.bool_]) -> dict[str, Any]:
    """True for figures of images that the model was trained on.

    Args:
        output: of the model.
        data: what it was run on.
        counted: (N,) which images the figures are of.

    Returns:
        "trained_images": how many of them the model was trained on, None where it does not say; "trained_images_known":
        "all", "some" (it began with weights that do not say) or "unknown".
    """
    if output.trained_images is None:
        return {"trained_images": None, "trained_images_known": "unknown"}
    seen = np.isin(short_hashes(data.images[counted]), output.trained_images)
    return {"trained_images": int(seen.sum()), "trained_images_known": "some" if output.trained_before else "all"}


def evaluate_model(model: Path, data: EvaluationData, *, cross_fitted: bool = False) -> dict[str, Any]:
    """`evaluate_output` of a model file; raises what `run_model` and `evaluate_probabilities` raise."""
    return evaluate_output(run_model(model, data.images), data, cross_fitted=cross_fitted)


def calibrate_checkpoint(checkpoint: Checkpoint, data: EvaluationData, *, biases: bool = False) -> Checkpoint:
    """Fit a checkpoint's temperature, and on request one bias a class, on a data set and record its figures there.

    The temperature alone is fitted on the labels. Temperature and biases are fitted on the FER+ vote shares of all
    images with votes, on the labels where the data set has none; the class prior then is the mean of these targets.
    The recorded figures are those of two-fold cross-fitting, pooled; what is shipped is fitted on everything. Those of
    the images that training does not repeat, and the divergence from the FER+ votes, are of what is shipped.

    Args:
        checkpoint: trained weights.
        data: images that were not trained on.
        biases: fit the biases too.

    Returns:
        The checkpoint with its temperature (biases, class prior) and `metrics[data.split]`.

    Raises:
        CalibrationError: nothing can be fitted on these images; for biases, also where a class has no share in them.
    """
    output = run_checkpoint(checkpoint, data.images)
    logits, labels, names = align_classes(output, data)
    known = labels >= 0
    hashes = np.array(image_hashes(data.images))
    before = metrics.expected_calibration_error(softmax(logits[known]), labels[known])
    if biases:
        # From the network's own logits: these would hold biases of before.
        plain = run_checkpoint(replace(checkpoint, biases=()), data.images)
        targets = _calibration_targets(plain, data)
        used = targets.sum(axis=1) > 0
        pooled, scaling, temperatures = cross_fit_scaling(plain.logits[used], targets[used], hashes[used].tolist())
        everywhere = scaling.apply(plain.logits)
        everywhere[used] = pooled
        columns = [output.labels.index(name) for name in names]
        probabilities = everywhere[:, columns] / everywhere[:, columns].sum(axis=1, keepdims=True)
        prior = targets[used].mean(axis=0)
        calibrated = replace(
            checkpoint,
            temperature=scaling.temperature,
            biases=tuple(scaling.biases.tolist()),
            class_prior=tuple((prior / prior.sum()).tolist()),
        )
        output = replace(plain, logits=plain.logits + scaling.temperature * scaling.biases)
    else:
        fitted = cross_fit(logits[known], labels[known], hashes[known].tolist())
        probabilities = np.zeros(logits.shape)
        probabilities[known] = fitted.probabilities
        temperatures = fitted.temperatures
        # Biases were found at the temperature of before, and lie behind it.
        ratio = checkpoint.temperature / fitted.shipped
        calibrated = replace(
            checkpoint, temperature=fitted.shipped, biases=tuple(ratio * bias for bias in checkpoint.biases)
        )
    figures = evaluate_probabilities(probabilities[known], labels[known], names)
    whole = evaluate_output(replace(output, temperature=calibrated.temperature), data)
    figures |= {key: whole[key] for key in whole if key not in figures or key == "skipped_unknown"}
    figures["ece_before_calibration"] = before
    figures["temperatures"] = list(temperatures)
    recorded = {
        **checkpoint.metrics,
        data.split: {key: value for key, value in figures.items() if key not in _NOT_RECORDED},
    }
    return replace(calibrated, metrics=recorded)


def _calibration_targets(output: ModelOutput, data: EvaluationData) -> NDArray[np.float64]:
    """(N, K) what biases are fitted on: vote shares, else ones at the labels; a row of zeros where neither is known."""
    columns = [LABELS_WITH_CONTEMPT.index(name) for name in output.labels if name in LABELS_WITH_CONTEMPT]
    if data.votes is not None and len(columns) == len(output.labels):
        shares = soft_labels(data.votes, classes=len(LABELS_WITH_CONTEMPT))[:, columns].astype(np.float64)
        return np.asarray(shares / np.maximum(shares.sum(axis=1, keepdims=True), 1e-12))
    index = np.array([output.labels.index(name) if name in output.labels else -1 for name in data.class_names])
    labels = np.where(data.labels >= 0, index[data.labels], -1)
    targets = np.zeros((len(labels), len(output.labels)))
    targets[labels >= 0, labels[labels >= 0]] = 1.0
    return targets


def _is_onnx(model: Path) -> bool:
    return model.suffix.lower() == ".onnx"


def _compact(probabilities: NDArray[np.float64], labels: NDArray[np.int64], names: Sequence[str]) -> dict[str, Any]:
    figures = evaluate_probabilities(probabilities, labels, names)
    return {key: figures[key] for key in COMPACT}


def _without_nan(values: NDArray[np.float64]) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]


def _metadata(model: Path, graph: onnx.ModelProto, sha256: str) -> ModelMetadata:
    return ModelMetadata.from_props(get_metadata(graph), path=str(model), sha256=sha256)


def _protocol(recipe: str) -> str:
    """The protocol a recipe names, "unknown" where it names none."""
    try:
        parsed = parse_yaml(recipe)
    except ValueError:
        return "unknown"
    return str(parsed.get("protocol", "unknown")) if isinstance(parsed, dict) else "unknown"


def _class_notes(output: ModelOutput, data: EvaluationData, shared: Sequence[str]) -> list[str]:
    notes = []
    extra = [name for name in output.labels if name not in shared]
    if extra:
        notes.append(
            f"the data set does not label {', '.join(extra)}: left out of the probabilities, the rest renormalized"
        )
    other = [name for name in data.class_names if name not in shared]
    count = int(np.isin(data.labels, [data.class_names.index(name) for name in other]).sum())
    if count:
        notes.append(f"{count} images of {', '.join(other)} skipped: not classes of the model")
    return notes
