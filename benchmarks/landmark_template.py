"""Measures the geometry in crops.py: YuNet's landmarks and boxes in the FER2013 training images.

    python benchmarks/landmark_template.py --data fer2013_trainval.npz [--image FILE] [--evaluate MODEL.onnx]
    [--limit N]

Each 48x48 image is enlarged to 256x256 pixels with a black border of 64 and shown to the detector twice, as it is and
mirrored. The template is the median landmark position over all of them, made symmetric about the middle of the
image: a mirrored face is as likely, and what asymmetry the detector itself has is printed beside it. All figures
are in the 48x48 frame with pixel centers at whole numbers. The same images give the box of YuNet and the square of
the Haar cascade.

`--evaluate` asks what alignment costs: the accuracy of a model on the validation images as they are, and cut out
again through detection and alignment. `--image` draws the mean training image beside the mean live crop.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from matplotlib import cbook
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from skimage import data as images

from fer_perception.classification.classifier import Classifier
from fer_perception.classification.create import create_classifier
from fer_perception.detection.haar import HaarDetector
from fer_perception.detection.yunet_ort import OrtYunet
from fer_perception.imaging.crops import (
    BOX_TEMPLATE,
    CROP_SIZE,
    LANDMARK_TEMPLATE,
    align_similarity,
    box_similarity,
    crop_faces,
)
from fer_perception.model_files.store import ModelStore
from fer_training.evaluation.redetection import BORDER, ENLARGED, THRESHOLD, Faces, detect, enlarge, recrop

# A mirrored face swaps its eyes and mouth corners.
MIRRORED = [1, 0, 2, 4, 3]
MIDDLE = (CROP_SIZE - 1) / 2
STDERR = Console(stderr=True)
Bytes = NDArray[np.uint8]
Floats = NDArray[np.float64]


def to_frame(points: Floats) -> Floats:
    """Positions in the enlarged image to positions in the 48x48 frame."""
    return (points - BORDER + 0.5) * (CROP_SIZE / ENLARGED) - 0.5


def detect_all(images: Bytes, network: OrtYunet, title: str) -> Faces:
    """Largest face of each image of (n, 48, 48), with a progress bar."""
    return detect(track(images, title, console=STDERR), network)


def spread(values: Floats) -> Floats:
    """Standard deviation of the bulk: 1.4826 times the median absolute deviation, along the first axis."""
    return 1.4826 * np.median(np.abs(values - np.median(values, axis=0)), axis=0)


def mirrored_points(points: Floats) -> Floats:
    """(5, 2) landmarks as they lie in the mirrored image."""
    flipped = points[MIRRORED].copy()
    flipped[:, 0] = CROP_SIZE - 1 - flipped[:, 0]
    return flipped


def boxes_to_frame(boxes: Floats) -> Floats:
    """(n, 4) boxes of the enlarged image in the 48x48 frame."""
    return np.concatenate((to_frame(boxes[:, :2]), boxes[:, 2:] * (CROP_SIZE / ENLARGED)), axis=1)


def symmetric_box(boxes: Floats) -> Floats:
    """Median box, centered between left and right."""
    box = np.median(boxes, axis=0)
    box[0] = MIDDLE - box[2] / 2
    return box


def report_yunet(plain: Faces, mirror: Faces) -> tuple[Floats, Floats]:
    """Print and return template (5, 2) and box (4,)."""
    landmarks = [to_frame(faces.landmarks) for faces in (plain, mirror)]
    medians = [np.median(points, axis=0) for points in landmarks]
    template = sum(medians) / 2
    symmetric = (template + mirrored_points(template)) / 2
    boxes = boxes_to_frame(np.concatenate((plain.boxes, mirror.boxes)))
    box = symmetric_box(boxes)
    print(f"images                  {plain.found.size}, and as many mirrored")
    print(f"faces found               {plain.found.mean():.4f}, mirrored {mirror.found.mean():.4f}")
    print(f"median landmarks          {medians[0].round(2).tolist()}")
    print(f"median landmarks mirrored {medians[1].round(2).tolist()}")
    print(f"template (symmetric)      {symmetric.round(1).tolist()}")
    print(f"crops.py differs by       {np.abs(symmetric - LANDMARK_TEMPLATE).max():.2f} pixels at most")
    print(f"asymmetry left out        {np.abs(template - symmetric).max():.2f} pixels at most")
    print(f"spread of landmarks       {spread(np.concatenate(landmarks)).round(1).tolist()}")
    print(f"box x, y, w, h            {box.round(1).tolist()}, spread {spread(boxes).round(1).tolist()}")
    print(f"box in crops.py           {list(BOX_TEMPLATE)}")
    return symmetric, box


def report_haar(images: Bytes, box: Floats) -> None:
    """Print the square of the Haar cascade and YuNet's box inside it."""
    detector = HaarDetector(threshold=THRESHOLD, detection_size=ENLARGED // 2 + BORDER, min_face_size=48, max_faces=1)
    rows = []
    for image in track(images, "Haar", console=STDERR):
        squares, scores = detector.squares(enlarge(image))
        if len(scores) and scores.max() >= THRESHOLD:
            rows.append(squares[np.argmax(scores)])
    squares = boxes_to_frame(np.array(rows))
    square = symmetric_box(squares)
    inside = np.concatenate(((box[:2] - square[:2]) / square[2], box[2:] / square[2]))
    print(f"Haar                      {len(rows) / len(images):.3f} of {len(images)} found")
    print(f"Haar square x, y, w, h    {square.round(1).tolist()}, spread {spread(squares).round(1).tolist()}")
    print(f"YuNet's box in the square {inside.round(2).tolist()}")


def live_faces() -> list[Bytes]:
    """BGR photographs that travel in Python packages, each with its mirror image."""
    astronaut = cv2.cvtColor(images.astronaut(), cv2.COLOR_RGB2BGR)
    hopper = cv2.imread(str(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)))
    plain = [astronaut, hopper]
    return [*plain, *(np.ascontiguousarray(image[:, ::-1]) for image in plain)]


def draw(path: Path, images: Bytes, faces: Faces, network: OrtYunet) -> None:
    """Mean training image, mean of training images cut out again, mean live crop."""
    again = recrop(images, faces, align_similarity(faces.landmarks - BORDER))
    live = []
    for image in live_faces():
        rows = network.faces(image, THRESHOLD)
        live.append(crop_faces(image, rows[:1, :4], [rows[0, 4:14].reshape(5, 2)])[0, 0])
    panels = (
        (images[faces.found].mean(axis=0), f"mean of {len(again)} training images"),
        (again.mean(axis=0), "the same, detected and aligned again"),
        (np.mean(live, axis=0), "mean live crop (2 photographs and mirror images)"),
    )
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    for axes, (mean, title) in zip(figure.subplots(1, 3), panels, strict=True):
        axes.imshow(mean, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes.plot(*LANDMARK_TEMPLATE.T, "+", color="tab:orange", markersize=10)
        axes.set_title(title, fontsize=10)
        axes.set_axis_off()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    print(f"image                   {path}")


def answers(classifier: Classifier, crops: Bytes) -> NDArray[np.float32]:
    """(n, K) probabilities for (n, 48, 48) crops, a few hundred at a time."""
    batches = np.array_split(crops[:, None].astype(np.float32), max(1, len(crops) // 256))
    return np.concatenate([classifier.classify(batch) for batch in batches])


def evaluate(model: str, images: Bytes, labels: NDArray[np.uint8], network: OrtYunet) -> None:
    """Print the accuracy on images as they are, aligned by landmarks and cut by the box."""
    known = labels != 255
    images, labels = images[known], labels[known]
    classifier = create_classifier(model, backend="onnxruntime", threads=2)
    template = classifier.metadata.landmark_template
    faces = detect_all(images, network, "validation")
    truth = labels[faces.found]

    def accuracy(crops: Bytes, classes: NDArray[np.uint8]) -> float:
        return float(np.mean(answers(classifier, crops).argmax(axis=1) == classes))

    boxes = faces.boxes - (BORDER, BORDER, 0, 0)
    print(f"model                     {classifier.metadata.model_id}, {len(images)} validation images")
    print(f"accuracy as they are      {accuracy(images, labels):.4f}")
    print(f"faces found               {faces.found.mean():.4f}; the following on these:")
    print(f"accuracy as they are      {accuracy(images[faces.found], truth):.4f}")
    by_landmarks = recrop(images, faces, align_similarity(faces.landmarks - BORDER, template))
    print(f"accuracy by landmarks     {accuracy(by_landmarks, truth):.4f}")
    print(f"accuracy by box           {accuracy(recrop(images, faces, box_similarity(boxes)), truth):.4f}")
    classifier.close()


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="npz with train_images, validation_images and labels")
    parser.add_argument(
        "--limit", type=int, default=0, help="at most so many training images, drawn at random; 0 = all"
    )
    parser.add_argument("--haar", type=int, default=2000, help="so many training images for the Haar cascade; 0 = none")
    parser.add_argument("--image", type=Path, help="where to draw the mean faces (PNG)")
    parser.add_argument("--evaluate", metavar="MODEL", help="measure what alignment costs this model")
    arguments = parser.parse_args()

    archive = np.load(arguments.data, allow_pickle=False)
    images = archive["train_images"]
    order = np.random.default_rng(0).permutation(len(images))
    if arguments.limit:
        images = images[np.sort(order[: arguments.limit])]
        order = order[order < len(images)]
    network = OrtYunet(ModelStore().read("yunet"), threads=2)
    plain = detect_all(images, network, "as they are")
    mirror = detect_all(np.ascontiguousarray(images[:, :, ::-1]), network, "mirrored")
    _, box = report_yunet(plain, mirror)
    if arguments.haar:
        report_haar(images[np.sort(order[: arguments.haar])], box)
    if arguments.image:
        draw(arguments.image, images, plain, network)
    if arguments.evaluate:
        evaluate(arguments.evaluate, archive["validation_images"], archive["validation_labels"], network)


if __name__ == "__main__":
    main()
