"""Models as they are compared: one network or the mean of several, without contempt, divided by a prior.

arch1_ferplus                                       a name, or a file (.onnx or .safetensors)
models/arch1_ferplus.onnx@votes                     divided by the vote frequencies of the training images
mix:arch1_fer2013+arch1_ferplus@mean^0.6            the mean of two, divided by a prior to the power 0.6
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_perception.errors import ModelError
from fer_perception.labels import LABELS
from fer_perception.model_files.store import ModelStore
from fer_training.evaluation.calibration import softmax
from fer_training.evaluation.evaluate import ModelDescription, describe_model, run_model

Floats = NDArray[np.float64]

#: Priors a model can be divided by. "votes" and "labels" are the frequencies of the training images, "mean" their mean;
#: "own" is the one that the model's file states (`fer.class_prior`).
PRIORS = ("votes", "labels", "mean", "own")
_FIX = f"expected MODEL, MODEL@PRIOR or mix:MODEL+MODEL@PRIOR^POWER with a prior among {', '.join(PRIORS)}"


@dataclass(frozen=True)
class ModelSpec:
    """A model as it is compared.

    Attributes:
        text: as the user wrote it.
        networks: names or files; the mean of their probabilities is taken.
        prior: what the mean is divided by, one of `PRIORS`; "" for nothing.
        power: of the prior.
    """

    text: str
    networks: tuple[str, ...]
    prior: str = ""
    power: float = 1.0


def parse_model_spec(text: str) -> ModelSpec:
    """Read a model as the command line writes it.

    Raises:
        ModelError: it does not parse; the message shows the form.

    Example:
        >>> parse_model_spec("mix:a.onnx+b.onnx@mean^0.6")
        ModelSpec(text='mix:a.onnx+b.onnx@mean^0.6', networks=('a.onnx', 'b.onnx'), prior='mean', power=0.6)
    """
    body, _, prior = text.partition("@")
    name, _, exponent = prior.partition("^")
    mixed = body.startswith("mix:")
    networks = tuple(body.removeprefix("mix:").split("+")) if mixed else (body,)
    try:
        power = float(exponent) if exponent else 1.0
    except ValueError:
        power = np.nan
    if not all(networks) or ("@" in text and name not in PRIORS) or not np.isfinite(power):
        msg = f"{text!r} is no model to compare; {_FIX}"
        raise ModelError(msg)
    return ModelSpec(text, networks, name, power)


class Networks:
    """Probabilities of the seven classes from networks; each network sees the same images once.

    Args:
        frequencies: prior -> (7,) frequencies in the order of `LABELS`, see `PRIORS`; empty where nothing is known.
    """

    def __init__(self, frequencies: Mapping[str, Floats]) -> None:
        self._frequencies = frequencies
        self._known: dict[tuple[Path, str], Floats] = {}
        self._descriptions: dict[Path, ModelDescription] = {}

    def probabilities(self, spec: ModelSpec, images: NDArray[np.uint8], key: str) -> Floats:
        """Probabilities of a model for images.

        Args:
            spec: the model.
            images: (N, 48, 48) uint8; enlarged for networks that take larger ones.
            key: name of these images: what a network said of images of this name is not asked again.

        Returns:
            (N, 7) in the order of `LABELS`; further classes (contempt) are left out, the rest renormalized, and the
            mean divided by the prior.

        Raises:
            ModelError: a network is missing or lacks one of the seven classes, or the prior is not known.
        """
        answers = [self._network(_file(name), images, key) for name in spec.networks]
        if spec.prior == "own":
            # Each by its own, before the mean.
            answers = [
                said / self._own_prior(_file(name)) ** spec.power
                for name, said in zip(spec.networks, answers, strict=True)
            ]
            answers = [said / said.sum(axis=1, keepdims=True) for said in answers]
        mean = np.mean(answers, axis=0)
        if spec.prior not in {"", "own"}:
            mean = mean / self._frequency(spec) ** spec.power
        return np.asarray(mean / mean.sum(axis=1, keepdims=True), dtype=np.float64)

    def _frequency(self, spec: ModelSpec) -> Floats:
        prior = self._frequencies.get(spec.prior)
        if prior is None:
            msg = f"{spec.text} needs the frequencies of training images, which the data lack; leave out @{spec.prior}"
            raise ModelError(msg)
        return prior

    def _own_prior(self, path: Path) -> Floats:
        description = self._described(path)
        if not description.class_prior:
            msg = f"{path} states no class prior; divide it by @votes or @labels, or export it with one"
            raise ModelError(msg)
        return np.array([description.class_prior[description.labels.index(name)] for name in LABELS])

    def _described(self, path: Path) -> ModelDescription:
        if path not in self._descriptions:
            description = describe_model(path)
            missing = [name for name in LABELS if name not in description.labels]
            if missing:
                msg = f"{path} has no class {', '.join(missing)}; expected a model of {', '.join(LABELS)}"
                raise ModelError(msg)
            self._descriptions[path] = description
        return self._descriptions[path]

    def _network(self, path: Path, images: NDArray[np.uint8], key: str) -> Floats:
        if (path, key) not in self._known:
            output = run_model(path, _of_side(images, self._described(path).side))
            seven = softmax(output.logits, output.temperature)[:, [output.labels.index(name) for name in LABELS]]
            self._known[path, key] = seven / seven.sum(axis=1, keepdims=True)
        return self._known[path, key]


def _file(name: str) -> Path:
    return Path(name) if name.endswith(".safetensors") else ModelStore().find(name)


def _of_side(images: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    if images.shape[1] == side:
        return images
    return np.array([cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC) for image in images], np.uint8)


def training_frequencies(labels: NDArray[np.integer], votes: NDArray[np.uint8] | None) -> dict[str, Floats]:
    """Class frequencies of training images, for `Networks`.

    Args:
        labels: (N,) in the order of `LABELS`; others are left out.
        votes: (M, 10) FER+ votes, or None.

    Returns:
        "labels"; with votes "votes" (votes for the seven classes, contempt and "unknown" left out) and "mean".
    """
    from fer_training.data.readers.ferplus import class_votes

    known = labels[(labels >= 0) & (labels < len(LABELS))]
    frequencies: dict[str, Floats] = {}
    if len(known):
        frequencies["labels"] = _shares(np.bincount(known, minlength=len(LABELS)))
    if votes is not None:
        frequencies["votes"] = _shares(class_votes(votes, len(LABELS)).sum(axis=0))
    if len(frequencies) == 2:
        frequencies["mean"] = (frequencies["labels"] + frequencies["votes"]) / 2
    return frequencies


def _shares(counts: NDArray[np.integer] | Sequence[int]) -> Floats:
    total = np.maximum(np.asarray(counts, dtype=np.float64), 1.0)
    return np.asarray(total / total.sum(), dtype=np.float64)
