"""Models compared by what a robot needs: the votes of people, posed faces of another laboratory, spoiled images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_perception.detection.yunet_ort import OrtYunet
from fer_perception.labels import LABELS, NEUTRAL
from fer_training.data.load import load_dataset
from fer_training.data.near_duplicates import near_duplicate_clusters
from fer_training.data.readers.ferplus import majority_of_ten
from fer_training.data.samples import DatasetError
from fer_training.evaluation.bootstrap import cluster_weights, interval, standard_error
from fer_training.evaluation.corruptions import CORRUPTIONS, resized
from fer_training.evaluation.model_specs import ModelSpec, Networks, training_frequencies
from fer_training.evaluation.operating_curve import NEGATIVE, OperatingCurve
from fer_training.evaluation.redetection import found_again
from fer_training.evaluation.vote_figures import READ_AT, majority_figures, share_figures

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float64]
Progress = Callable[[str], None]

#: Sides that faces are shrunk to, pixels, and enlarged from again.
FACE_SIZES = (32, 24, 16, 12)


@dataclass(frozen=True)
class VotedFaces:
    """Images that ten annotators named.

    Attributes:
        name: of the data set.
        images: (N, 48, 48) uint8; each has a vote for one of the seven classes.
        votes: (N, 10) uint8.
        weights: (D, N) of the images in sets resampled by clusters of near-duplicates.
        clusters: how many clusters there are.
        frequencies: prior -> (7,) frequencies of the training images, see `model_specs.PRIORS`.
    """

    name: str
    images: Bytes
    votes: NDArray[np.uint8]
    weights: Floats
    clusters: int
    frequencies: dict[str, Floats] = field(default_factory=dict)


@dataclass(frozen=True)
class PosedFaces:
    """Images of people who were asked for an expression; no neutral ones.

    Attributes:
        name: of the data set.
        images: (N, 48, 48) uint8.
        truth: (N,) index into `LABELS`.
        subjects: (N,) who is in each image.
        weights: (D, N) of the images in sets resampled by subjects.
    """

    name: str
    images: Bytes
    truth: NDArray[np.int64]
    subjects: NDArray[np.str_]
    weights: Floats


def load_voted_faces(path: Path, *, limit: int = 0, draws: int = 1000) -> VotedFaces:
    """Read the validation images of a data set with FER+ votes, and the frequencies of its training images.

    Args:
        path: whatever `load_dataset` reads.
        limit: at most so many images, drawn at random but the same at every run; 0 = all.
        draws: resampled sets.

    Raises:
        DatasetError: missing, damaged, or without votes or a validation split.
    """
    samples = load_dataset(path, split="validation", targets="ferplus_soft")
    if samples.votes is None:
        msg = f"{path} has no FER+ votes; expected a data set prepared with --votes"
        raise DatasetError(msg)
    chosen = _chosen(len(samples), limit)
    samples = samples.take(chosen)
    try:
        training = load_dataset(path, split="train", targets="ferplus_soft")
        frequencies = training_frequencies(load_dataset(path, split="train").labels, training.votes)
    except DatasetError:
        # Without a training split nothing can be divided by its frequencies; `Networks` says so when asked to.
        frequencies = {}
    clusters = near_duplicate_clusters(samples.images)
    return VotedFaces(
        path.name,
        samples.images,
        np.asarray(samples.votes, dtype=np.uint8),
        cluster_weights(clusters, draws=draws),
        len(np.unique(clusters)),
        frequencies,
    )


def load_posed_faces(path: Path, *, limit: int = 0, draws: int = 1000) -> PosedFaces:
    """Read posed faces of the six expressions with their subjects; contempt and neutral are left out.

    Args:
        path: whatever `load_dataset` reads, with subjects.
        limit: at most so many images, drawn at random but the same at every run; 0 = all.
        draws: resampled sets.

    Raises:
        DatasetError: missing, damaged, or without subjects.
    """
    samples = load_dataset(path)
    samples = samples.take(samples.labels != samples.label_names.index(NEUTRAL))
    if samples.subjects is None or not len(samples):
        msg = f"{path} has no expressions of known subjects; expected the folders of CK+48"
        raise DatasetError(msg)
    samples = samples.take(_chosen(len(samples), limit))
    subjects = np.asarray(samples.subjects, dtype=np.str_)
    weights = cluster_weights(subjects, draws=draws)
    return PosedFaces(path.name, samples.images, samples.labels, subjects, weights)


def _chosen(count: int, limit: int) -> NDArray[np.int64]:
    order = np.random.default_rng(0).permutation(count).astype(np.int64)
    return np.sort(order[:limit]) if limit else np.arange(count)


def measure_models(
    specs: Sequence[ModelSpec],
    voted: VotedFaces,
    *,
    posed: PosedFaces | None = None,
    detector: OrtYunet | None = None,
    spoiled: bool = True,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """All figures of several models, ready for JSON.

    Args:
        specs: the models; networks that occur in several are asked once.
        voted: the images that people named.
        posed: the posed faces; None leaves them out.
        detector: finds the faces again; None leaves that out.
        spoiled: measure on spoiled and on small images, which takes ten times as long as the rest.
        progress: gets a line now and then.

    Returns:
        "data", "images", "clusters", "posed", "posed_subjects", "frequencies" (prior -> class -> share), "corruptions"
        (name -> strength, trainable) and "models", a list of: "model"; "majority" and "shares" (see `vote_figures`);
        "posed" ("n", "seven_way", "six_way", their intervals, "recall"); "found_again" ("found", of the images on which
        a face was found "majority" and "posed", and "as_they_are" the accuracies of the same images before);
        "corruptions" (name -> accuracy, relative change, neutral_called_negative, named_rightly_at), "trainable" and
        "never_trained" (mean and worst relative change); "face_sizes" (side -> neutral_called_negative,
        negatives_named_rightly). What was left out is null.
    """
    networks = Networks(voted.frequencies)
    truth = majority_of_ten(voted.votes)
    known = truth >= 0
    judged, judged_truth = voted.images[known], truth[known]
    views: dict[str, Bytes] = {}
    for corruption in CORRUPTIONS if spoiled else ():
        views[corruption.name] = corruption.corrupt(judged)
    told = np.isin(judged_truth, [LABELS.index(name) for name in (*NEGATIVE, NEUTRAL)])
    small = {
        side: np.array([resized(image, side) for image in judged[told]], np.uint8) for side in FACE_SIZES if spoiled
    }
    again: tuple[Bytes, NDArray[np.bool_]] | None = None
    posed_again: tuple[Bytes, NDArray[np.bool_]] | None = None
    if detector is not None:
        if progress is not None:
            progress("finding the faces again")
        again = found_again(voted.images, detector)
        posed_again = None if posed is None else found_again(posed.images, detector)

    models = []
    for spec in specs:
        if progress is not None:
            progress(spec.text)
        plain = networks.probabilities(spec, voted.images, "voted")
        figures: dict[str, Any] = {
            "model": spec.text,
            "majority": majority_figures(plain, voted.votes, voted.weights),
            "shares": share_figures(plain, voted.votes, voted.weights),
            "posed": None,
            "found_again": None,
        }
        posed_plain = None
        if posed is not None:
            posed_plain = networks.probabilities(spec, posed.images, "posed")
            figures["posed"] = posed_figures(posed_plain, posed.truth, posed.weights)
        if again is not None:
            crops, found = again
            said = networks.probabilities(spec, crops, "voted again")
            before = majority_figures(plain[found], voted.votes[found], voted.weights[:, found])
            figures["found_again"] = {
                "found": float(found.mean()),
                "majority": majority_figures(said, voted.votes[found], voted.weights[:, found]),
                "as_they_are": {"accuracy": before["accuracy"], "balanced_accuracy": before["balanced_accuracy"]},
                "posed": None,
            }
            if posed is not None and posed_again is not None:
                crops, found = posed_again
                said = networks.probabilities(spec, crops, "posed again")
                figures["found_again"]["posed"] = posed_figures(said, posed.truth[found], posed.weights[:, found])
        figures["corruptions"] = {
            name: corrupted_figures(networks.probabilities(spec, images, name), judged_truth, plain[known])
            for name, images in views.items()
        }
        for key, trainable in (("trainable", True), ("never_trained", False)):
            figures[key] = summary(
                [c.name for c in CORRUPTIONS if c.name in views and c.trainable == trainable], figures["corruptions"]
            )
        figures["face_sizes"] = {
            str(side): size_figures(networks.probabilities(spec, images, f"{side} pixels"), judged_truth[told])
            for side, images in small.items()
        }
        models.append(figures)
    return {
        "data": voted.name,
        "images": len(voted.images),
        "clusters": voted.clusters,
        "posed": None if posed is None else posed.name,
        "posed_subjects": None if posed is None else len(np.unique(posed.subjects)),
        "frequencies": {
            prior: dict(zip(LABELS, shares.tolist(), strict=True)) for prior, shares in voted.frequencies.items()
        },
        "corruptions": {c.name: {"strength": c.strength, "trainable": c.trainable} for c in CORRUPTIONS},
        "models": models,
    }


def posed_figures(probabilities: Floats, truth: NDArray[np.int64], weights: Floats) -> dict[str, Any]:
    """Accuracy on posed faces that are never neutral.

    Args:
        probabilities: (N, 7) in the order of `LABELS`.
        truth: (N,) index into `LABELS`.
        weights: (D, N) of the images in sets resampled by subjects.

    Returns:
        "n"; "seven_way", where neutral is a possible (and wrong) answer, and "six_way", where it is none, each with an
        "..._interval" of 95 %; "recall" of each expression (seven-way: recall, count, standard_error).
    """
    expressions = [index for index, name in enumerate(LABELS) if name != NEUTRAL]
    result: dict[str, Any] = {"n": len(truth)}
    seven = probabilities.argmax(axis=1) == truth
    six = np.asarray(expressions)[probabilities[:, expressions].argmax(axis=1)] == truth
    for name, right in (("seven_way", seven), ("six_way", six)):
        result[name] = float(right.mean()) if len(right) else None
        with np.errstate(invalid="ignore"):
            result[f"{name}_interval"] = interval(weights @ right / weights.sum(axis=1))
    result["recall"] = {}
    for index in expressions:
        of_class = truth == index
        hits, count = int((seven & of_class).sum()), int(of_class.sum())
        result["recall"][LABELS[index]] = {
            "recall": hits / count if count else None,
            "count": count,
            "standard_error": standard_error(hits, count),
        }
    return result


def corrupted_figures(probabilities: Floats, truth: NDArray[np.int64], clean: Floats) -> dict[str, Any]:
    """Figures on spoiled images of the majority.

    Args:
        probabilities: (N, 7) of the spoiled images.
        truth: (N,) index into `LABELS`.
        clean: (N, 7) of the same images before.

    Returns:
        "accuracy"; "relative", its change as a share of that before; "neutral_called_negative"; "named_rightly_at"
        (false alarms -> share of negative faces, the prior set anew).
    """
    accuracy = float(np.mean(probabilities.argmax(axis=1) == truth)) if len(truth) else None
    before = float(np.mean(clean.argmax(axis=1) == truth)) if len(truth) else None
    curve = OperatingCurve(probabilities, truth, LABELS)
    return {
        "accuracy": accuracy,
        "relative": (accuracy - before) / before if accuracy is not None and before else None,
        "neutral_called_negative": _number(curve.shipped().false_alarms),
        "named_rightly_at": {str(share): _number(curve.read(share).named_rightly) for share in READ_AT},
    }


def size_figures(probabilities: Floats, truth: NDArray[np.int64]) -> dict[str, Any]:
    """False alarms and negative faces named rightly of small faces, the prior as it is; arguments as above."""
    shipped = OperatingCurve(probabilities, truth, LABELS).shipped()
    return {
        "neutral_called_negative": _number(shipped.false_alarms),
        "negatives_named_rightly": _number(shipped.named_rightly),
    }


def summary(names: Sequence[str], figures: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Mean and worst relative change of the accuracy over some corruptions: "mean", "worst" and "worst_name"."""
    changes = {name: figures[name]["relative"] for name in names if figures[name]["relative"] is not None}
    if not changes:
        return {"mean": None, "worst": None, "worst_name": None}
    worst = min(changes, key=lambda name: float(changes[name]))
    return {"mean": float(np.mean(list(changes.values()))), "worst": changes[worst], "worst_name": worst}


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
