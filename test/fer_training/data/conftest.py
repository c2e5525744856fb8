"""Tiny data sets in the layouts people really have, drawn at test time."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

VOTES_HEADER = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"


class Trees:
    """Writes data sets below one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @staticmethod
    def image(seed: int, size: int = 48) -> NDArray[np.uint8]:
        """An image unlike that of any other seed."""
        return np.random.default_rng(seed).integers(0, 256, (size, size), dtype=np.uint8)

    def write_image(self, name: str, seed: int, size: int = 48) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), self.image(seed, size))
        return path

    def fer_row(self, emotion: object, seed: int, usage: str) -> list[str]:
        return [str(emotion), " ".join(map(str, self.image(seed).ravel())), usage]

    def fer_csv(
        self,
        rows: Sequence[Sequence[str]],
        *,
        name: str = "fer2013.csv",
        header: Sequence[str] = ("emotion", "pixels", "Usage"),
    ) -> Path:
        path = self.root / name
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            writer.writerows(rows)
        return path

    def votes_csv(self, rows: Sequence[tuple[str, str, Sequence[int]]], *, name: str = "fer2013new.csv") -> Path:
        path = self.root / name
        lines = [",".join([usage, image, *map(str, votes)]) for usage, image, votes in rows]
        path.write_text("\n".join([VOTES_HEADER, *lines]) + "\n", encoding="utf-8")
        return path

    def ck_plus(self, sequences: Mapping[str, str | None], *, frames: int = 6) -> Path:
        """Official tree; "S005/001" -> content of the label file, None = no file."""
        for number, (video, label) in enumerate(sequences.items()):
            stem = video.replace("/", "_")
            for frame in range(1, frames + 1):
                name = f"cohn-kanade-images/{video}/{stem}_{frame:08d}.png"
                self.write_image(name, seed=1000 * number + frame)
            folder = self.root / "Emotion" / video
            folder.mkdir(parents=True, exist_ok=True)
            if label is not None:
                (folder / f"{stem}_{frames:08d}_emotion.txt").write_text(label)
        return self.root


@pytest.fixture
def trees(tmp_path: Path) -> Trees:
    """A writer of tiny data sets."""
    return Trees(tmp_path)
