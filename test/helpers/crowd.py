"""An image with many faces, small and large."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def crowd_of(astronaut: NDArray[np.uint8], hopper: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(1080, 1920, 3): 24 faces of about 35 pixels height and one of 400."""
    image = np.full((1080, 1920, 3), 128, np.uint8)
    heads = [cv2.resize(astronaut[20:240, 110:330], (68, 68), interpolation=cv2.INTER_AREA)]
    heads.append(cv2.resize(hopper[60:460, 70:470], (66, 66), interpolation=cv2.INTER_AREA))
    for index in range(24):
        head = heads[index % 2]
        x, y = 40 + 150 * (index % 12), 30 + 110 * (index // 12)
        image[y : y + head.shape[0], x : x + head.shape[1]] = head
    image[330:1070, 600:1300] = cv2.resize(hopper[60:480, 70:467], (700, 740), interpolation=cv2.INTER_CUBIC)
    return image
