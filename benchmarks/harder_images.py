"""Evaluates models on validation images as a robot might see them: detected and cropped again, turned, dark, small.

    python benchmarks/harder_images.py --data fer2013_trainval.npz MODEL.onnx [MODEL.onnx ...]

Prints a table of accuracy in % and negative log-likelihood in nats, one line for each model. What is drawn at random is
the same for all models and at every run.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from landmark_template import Bytes, Floats, answers, detect_all

from fer_perception.classification.create import create_classifier
from fer_perception.detection.yunet_ort import OrtYunet
from fer_perception.imaging.crops import LANDMARK_TEMPLATE, align_similarity, box_similarity
from fer_perception.model_files.store import ModelStore
from fer_training.evaluation.corruptions import JPEG_QUALITY, LIGHT, NOISE, halved, jpeg
from fer_training.evaluation.redetection import BORDER, recrop

#: Standard deviations of what happens to an image: turned, degrees; scaled, logarithm; shifted, pixels.
TURN, SCALE, SHIFT = 8.0, 0.07, 2.0


def wobbled(image: Bytes, random: np.random.Generator) -> Bytes:
    """(48, 48) turned, scaled and shifted a little."""
    side = image.shape[0]
    middle = (side - 1) / 2
    matrix = cv2.getRotationMatrix2D((middle, middle), random.normal(0, TURN), np.exp(random.normal(0, SCALE)))
    matrix[:, 2] += random.normal(0, SHIFT, 2)
    moved = cv2.warpAffine(image, matrix, (side, side), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return moved.astype(np.uint8, copy=False)


def versions(images: Bytes, labels: Bytes, network: OrtYunet) -> dict[str, tuple[Bytes, Bytes]]:
    """Variants of the validation images: name -> (n, 48, 48) images and their labels."""
    faces = detect_all(images, network, "finding faces")
    found = labels[faces.found]
    boxes = faces.boxes - (BORDER, BORDER, 0, 0)
    random = np.random.default_rng(0)
    moved = np.stack([wobbled(image, random) for image in images])
    dark = np.clip(images * LIGHT + random.normal(0, NOISE, images.shape), 0, 255).astype(np.uint8)
    return {
        "as they are": (images, labels),
        "by landmarks": (recrop(images, faces, align_similarity(faces.landmarks - BORDER, LANDMARK_TEMPLATE)), found),
        "by box": (recrop(images, faces, box_similarity(boxes)), found),
        "turned, scaled, shifted": (moved, labels),
        "dark with noise": (dark, labels),
        "half the resolution": (np.stack([halved(image, random) for image in images]), labels),
        f"JPEG {JPEG_QUALITY}": (np.stack([jpeg(image, random) for image in images]), labels),
    }


def figures(probabilities: Floats, labels: Bytes) -> str:
    """Accuracy in % and negative log-likelihood."""
    accuracy = np.mean(probabilities.argmax(axis=1) == labels)
    likely = probabilities[np.arange(len(labels)), labels]
    return f"{100 * accuracy:.1f} / {-np.log(likely).mean():.3f}"


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="npz with validation_images and validation_labels")
    parser.add_argument(
        "models", metavar="MODEL", nargs="+", help="names or files of models of FER2013's seven classes"
    )
    arguments = parser.parse_args()

    archive = np.load(arguments.data, allow_pickle=False)
    images, labels = archive["validation_images"], archive["validation_labels"]
    known = labels != 255
    asked = versions(images[known], labels[known], OrtYunet(ModelStore().read("yunet"), threads=2))
    print(f"| model | {' | '.join(asked)} |")
    print("|---" * (len(asked) + 1) + "|")
    for model in arguments.models:
        classifier = create_classifier(model, backend="onnxruntime", threads=2)
        cells = []
        for images, classes in asked.values():
            cells.append(figures(answers(classifier, images).astype(np.float64), classes))
        print(f"| {classifier.metadata.model_id} | {' | '.join(cells)} |")
        classifier.close()


if __name__ == "__main__":
    main()
