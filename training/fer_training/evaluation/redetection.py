"""Faces of 48x48 images found and cut out again, as the robot finds and cuts out the faces of its camera."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_perception.detection.yunet_ort import OrtYunet
from fer_perception.imaging.crops import CROP_SIZE, LANDMARK_TEMPLATE, align_similarity, warp_face

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float64]

#: Side an image is enlarged to, and the black border about it, in which a detector finds a face that fills the image.
ENLARGED = 256
BORDER = 64
#: Least score of a face.
THRESHOLD = 0.6


@dataclass(frozen=True)
class Faces:
    """Detections: `found` (n,) bool, and for the m found ones boxes (m, 4) and landmarks (m, 5, 2)."""

    found: NDArray[np.bool_]
    boxes: Floats
    landmarks: Floats


def enlarge(image: Bytes) -> Bytes:
    """(48, 48) to the (384, 384) image a detector is shown."""
    large = cv2.resize(image, (ENLARGED, ENLARGED), interpolation=cv2.INTER_CUBIC)
    return cv2.copyMakeBorder(large, BORDER, BORDER, BORDER, BORDER, cv2.BORDER_CONSTANT, value=0).astype(
        np.uint8, copy=False
    )


def detect(images: Iterable[Bytes], network: OrtYunet) -> Faces:
    """Largest face of each image of (48, 48), in pixels of the enlarged image with its border."""
    rows = []
    for image in images:
        faces = network.faces(cv2.cvtColor(enlarge(image), cv2.COLOR_GRAY2BGR).astype(np.uint8, copy=False), THRESHOLD)
        areas = faces[:, 2] * faces[:, 3]
        rows.append(faces[np.argmax(areas)] if len(faces) else np.full(15, np.nan))
    table = np.array(rows, np.float64).reshape(-1, 15)
    found = np.isfinite(table[:, 0])
    return Faces(found, table[found, :4], table[found, 4:14].reshape(-1, 5, 2))


def recrop(images: Bytes, faces: Faces, transforms: Floats) -> Bytes:
    """(m, 48, 48) crops of the images with a face, by transforms from the enlarged image without its border."""
    crops = np.empty((len(transforms), CROP_SIZE, CROP_SIZE), np.uint8)
    for crop, image, transform in zip(crops, images[faces.found], transforms, strict=True):
        large = cv2.resize(image, (ENLARGED, ENLARGED), interpolation=cv2.INTER_CUBIC)
        warp_face(large.astype(np.uint8, copy=False), transform, crop)
    return crops


def found_again(images: Bytes, network: OrtYunet) -> tuple[Bytes, NDArray[np.bool_]]:
    """Images found and aligned again.

    Args:
        images: (n, 48, 48) uint8.
        network: the detector.

    Returns:
        (m, 48, 48) crops by landmarks, and (n,) bool: which images they are of.
    """
    faces = detect(images, network)
    return recrop(images, faces, align_similarity(faces.landmarks - BORDER, LANDMARK_TEMPLATE)), faces.found
