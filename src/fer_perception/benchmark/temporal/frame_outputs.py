"""Network outputs for single frames: of held-out images under jitter, or synthetic ones."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from fer_perception.classification.classifier import Classifier
from fer_perception.errors import FerError
from fer_perception.labels import LABELS

#: A tracked and aligned face wobbles in its crop by so much (standard deviations): pixels of 48, degrees, relative
#: size, relative contrast; and gray levels of noise in every view.
SHIFT, ROTATION, ZOOM, CONTRAST, NOISE = 0.25, 1.0, 0.01, 0.04, 0.5
#: Training images of each of `LABELS` in FER2013 (Goodfellow et al. 2013): what an imagined network was trained with.
FER2013_COUNTS = np.array([3995.0, 436.0, 4097.0, 7215.0, 4830.0, 3171.0, 4965.0])
#: Time of one turn of the wobble, s.
WOBBLE_TIME = 1.6

Progress = Callable[[str], None]


@dataclass(frozen=True)
class FrameOutputs:
    """Outputs of a network for images of known class.

    Attributes:
        probabilities: (M, J, K) float64: J views of each of M images, neighbors on a loop of small movements.
        labels: (M,) index of the true class.
        source: where they come from, for people.
        prior: (K,) class prior under which the probabilities are posteriors, sum 1.
    """

    probabilities: NDArray[np.float64]
    labels: NDArray[np.intp]
    source: str
    prior: NDArray[np.float64]

    @property
    def error_rate(self) -> NDArray[np.float64]:
        """(K,) share of wrong frames of each class."""
        wrong = self.probabilities.argmax(axis=-1) != self.labels[:, None]
        return np.array([wrong[self.labels == k].mean() for k in range(self.probabilities.shape[-1])])

    def at(self, images: NDArray[np.intp], times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Network outputs for images at times of their wobble.

        Args:
            images: (N,) index of the image.
            times: (N,) s.

        Returns:
            (N, K) probabilities, log-linear between the two nearest views.
        """
        views = self.probabilities.shape[1]
        place = times / WOBBLE_TIME % 1.0 * views
        before = np.minimum(place.astype(np.intp), views - 1)
        share = (place - before)[:, None]
        first, second = self.probabilities[images, before], self.probabilities[images, (before + 1) % views]
        mixed = np.maximum(first, 1e-9) ** (1.0 - share) * np.maximum(second, 1e-9) ** share
        return np.asarray(mixed / mixed.sum(axis=-1, keepdims=True))

    def view_correlation(self, lag: float) -> float:
        """Correlation of the errors of frames of one image `lag` s apart, class error rates taken out."""
        images = np.repeat(np.arange(len(self.labels)), 8)
        times = np.random.default_rng(0).uniform(0.0, WOBBLE_TIME, len(images))
        truth = self.labels[images]
        first, second = (
            (self.at(images, t).argmax(axis=-1) != truth) - self.error_rate[truth] for t in (times, times + lag)
        )
        return float((first * second).mean() / (first**2).mean())

    def part(self, mask: NDArray[np.bool_]) -> FrameOutputs:
        """The images where `mask` (M,) is set."""
        return FrameOutputs(self.probabilities[mask], self.labels[mask], self.source, self.prior)


def halves(outputs: FrameOutputs, fingerprints: NDArray[np.uint8]) -> tuple[FrameOutputs, FrameOutputs]:
    """Split by the lowest bit of each image's fingerprint: the half to fit on and the half to report on."""
    odd = (fingerprints & 1).astype(bool)
    return outputs.part(~odd), outputs.part(odd)


def held_out_file() -> Path | None:
    """The FER2013 archive (`FER_DATA`, else ../shared/data beside the source tree); None where there is none."""
    named = os.environ.get("FER_DATA")
    path = Path(named) if named else Path(__file__).parents[5] / "shared" / "data" / "fer2013_trainval.npz"
    return path if path.is_file() else None


def from_images(
    classifier: Classifier, archive: Path, *, views: int, seed: int, progress: Progress
) -> tuple[FrameOutputs, NDArray[np.uint8]]:
    """Classify wobbling views of the validation images.

    Images that are also among the training images, and images without a label, are left out.

    Args:
        classifier: with the labels of `LABELS`, in that order.
        archive: npz with train_images, validation_images (N, 48, 48) uint8 and validation_labels (N,) uint8.
        views: J, at least 2.
        seed: of the jitter.
        progress: told how far it is.

    Returns:
        The outputs and a fingerprint (0-255) of each image.

    Raises:
        FerError: the archive is not what it should be, or the classifier has other labels.
    """
    if tuple(classifier.metadata.labels) != LABELS:
        msg = f"the model has the labels {classifier.metadata.labels}; the images have {LABELS}: use a model with these"
        raise FerError(msg)
    try:
        with np.load(archive, allow_pickle=False) as data:
            known = {image.tobytes() for image in data["train_images"]}
            images, labels = data["validation_images"], data["validation_labels"]
    except (OSError, ValueError, KeyError) as err:
        msg = (
            f"{archive} cannot be read ({err}); expected an npz with train_images, validation_images, validation_labels"
        )
        raise FerError(msg) from err
    keep = np.array([k < len(LABELS) and i.tobytes() not in known for i, k in zip(images, labels, strict=True)])
    images, labels = images[keep], labels[keep].astype(np.intp)
    fingerprints = np.array([hashlib.sha256(image.tobytes()).digest()[0] for image in images], dtype=np.uint8)
    rng = np.random.default_rng(seed)
    probabilities = np.empty((len(images), views, len(LABELS)))
    # Shift x and y, rotation, zoom and contrast each go round an ellipse of random size and phase.
    wave = rng.normal(0.0, 1.0, (2, len(images), 5)) * (SHIFT, SHIFT, ROTATION, ZOOM, CONTRAST)
    for view in range(views):
        angle = 2.0 * np.pi * view / views
        moved = _moved(images, np.cos(angle) * wave[0] + np.sin(angle) * wave[1])
        noisy = moved + rng.normal(0.0, NOISE, moved.shape)
        probabilities[:, view] = classifier.classify(np.clip(noisy, 0.0, 255.0).astype(np.float32))
        progress(f"view {view + 1} of {views} of {len(images)} images classified")
    probabilities /= probabilities.sum(axis=-1, keepdims=True)
    source = f"{classifier.metadata.model_id} on {len(images)} held-out images"
    return FrameOutputs(probabilities, labels, source, np.array(classifier.metadata.prior)), fingerprints


def _moved(images: NDArray[np.uint8], movements: NDArray[np.float64]) -> NDArray[np.float32]:
    """(N, 1, 48, 48) float32: each image shifted, turned, zoomed and with its contrast changed."""
    side = images.shape[-1]
    center = (side - 1) / 2.0
    batch = np.empty((len(images), 1, side, side), dtype=np.float32)
    for i, (image, (x, y, angle, zoom, contrast)) in enumerate(zip(images, movements, strict=True)):
        matrix = np.asarray(cv2.getRotationMatrix2D((center, center), angle, 1.0 + zoom), dtype=np.float64)
        matrix[:, 2] += (x, y)
        moved = cv2.warpAffine(image, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        mean = float(moved.mean())
        batch[i, 0] = (moved - mean) * (1.0 + contrast) + mean
    return batch


def synthetic(*, images: int, views: int, seed: int) -> tuple[FrameOutputs, NDArray[np.uint8]]:
    """Outputs of an imagined network: perfectly calibrated, right in about two frames of three.

    The class of each image is drawn from the probabilities of its first view, which makes these calibrated.

    Args:
        images: M.
        views: J, at least 2.
        seed: decides everything.

    Returns:
        The outputs and a random fingerprint (0-255) of each image.
    """
    rng = np.random.default_rng(seed)
    prior = FER2013_COUNTS / FER2013_COUNTS.sum()
    classes = len(LABELS)
    seen_as = rng.choice(classes, images, p=prior)
    logits = np.log(prior) + rng.normal(0.0, 1.0, (images, classes))
    logits[np.arange(images), seen_as] += rng.gamma(2.0, 1.4, images)
    probabilities = softmax(logits, axis=-1)
    labels = (probabilities.cumsum(axis=1) > rng.random((images, 1))).argmax(axis=1)
    angle = 2.0 * np.pi * np.arange(views)[:, None] / views
    wave = rng.normal(0.0, 0.25, (2, images, 1, classes))
    wobble = (np.cos(angle) - 1.0) * wave[0] + np.sin(angle) * wave[1]
    outputs = FrameOutputs(softmax(logits[:, None] + wobble, axis=-1), labels, f"{images} synthetic images", prior)
    return outputs, rng.integers(0, 256, images, dtype=np.uint8)
