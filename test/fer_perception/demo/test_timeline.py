from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from made_results import make_face, make_result

from fer_perception.demo.timeline import write_timeline
from fer_perception.labels import LABELS_WITH_CONTEMPT
from fer_perception.results.drawing import color_of


def count(image: np.ndarray, label: str, labels: tuple[str, ...] = ()) -> int:
    wanted = np.array(color_of(label, labels)[::-1])
    return int((np.abs(image.astype(int) - wanted) < 4).all(axis=2).sum())


def test_labels_have_their_colors_and_faces_their_rows(tmp_path: Path) -> None:
    results = []
    for index in range(40):
        faces = [make_face("f1", "happy" if index < 20 else "sad", (9, 9, 50, 50))]
        if index > 10:
            faces.append(make_face("f2", "angry", (99, 9, 50, 50)))
        results.append(make_result(*faces, stamp_ns=index * 10**8))
    write_timeline(tmp_path / "two.png", results, "two faces")
    write_timeline(tmp_path / "one.png", [make_result(r.faces[0], stamp_ns=r.stamp_ns) for r in results], "one face")
    two, one = cv2.imread(str(tmp_path / "two.png")), cv2.imread(str(tmp_path / "one.png"))
    assert two.shape[0] > one.shape[0]
    # The legend shows every color a little; the strips show the reported ones a lot.
    assert count(two, "angry") > 5 * count(one, "angry") > 0
    assert min(count(one, "happy"), count(one, "sad")) > 5 * count(one, "disgusted")


def test_title_and_legend_keep_apart(tmp_path: Path) -> None:
    face = make_face("f1", "happy", (9, 9, 50, 50))
    scores = np.full(len(LABELS_WITH_CONTEMPT), 1 / len(LABELS_WITH_CONTEMPT))
    results = [
        replace(make_result(replace(face, scores=scores), stamp_ns=index * 10**8), labels=LABELS_WITH_CONTEMPT)
        for index in range(20)
    ]
    write_timeline(tmp_path / "eight.png", results, "/robot/head/camera/emotions: smoothed scores of every face")
    image = cv2.imread(str(tmp_path / "eight.png"))
    title = image[:33]
    assert (title < 100).any()
    assert all(count(title, label) == 0 for label in LABELS_WITH_CONTEMPT)
    assert all(count(image, label) > 30 for label in LABELS_WITH_CONTEMPT)


def test_classes_of_other_models_have_their_own_colors(tmp_path: Path) -> None:
    labels = ("drowsy", "awake")
    face = replace(make_face("f1", "happy", (9, 9, 50, 50)), emotion="awake", scores=np.array([0.2, 0.8]))
    results = [replace(make_result(face, stamp_ns=index * 10**8), labels=labels) for index in range(20)]
    write_timeline(tmp_path / "two.png", results, "one face")
    image = cv2.imread(str(tmp_path / "two.png"))
    # The strip shows the reported one.
    assert count(image, "awake", labels) > 5 * count(image, "drowsy", labels) > 0


def test_nobody_at_all(tmp_path: Path) -> None:
    write_timeline(tmp_path / "empty.png", [], "nobody")
    assert cv2.imread(str(tmp_path / "empty.png")) is not None
