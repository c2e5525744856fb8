from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from contrast import contrast
from made_results import make_face, make_result

from fer_perception.labels import LABELS_WITH_CONTEMPT
from fer_perception.pipeline_types import FrameResult, Phase
from fer_perception.results.drawing import COLORS, OTHER_COLOR, color_of, draw_faces, hex_color, layout

SIZES = [(320, 240), (640, 480), (3840, 2160)]


def gray_image(width: int, height: int) -> np.ndarray:
    return np.full((height, width, 3), 128, np.uint8)


def two_faces(width: int, height: int) -> FrameResult:
    first = make_face("f00001", "happy", (width // 8, height // 3, width // 5, height // 3))
    second = make_face("f00002", "angry", (width // 2, height // 3, width // 8, height // 5), confidence=0.4)
    return make_result(first, second, width=width, height=height)


def mask_of(image: np.ndarray, result: FrameResult) -> np.ndarray:
    allowed = np.zeros(image.shape[:2], bool)
    for _, place in layout(image.shape[1], image.shape[0], result):
        for x, y, w, h in (place.frame, place.plate):
            allowed[y : y + h, x : x + w] = True
    return allowed


@pytest.mark.parametrize(("width", "height"), SIZES)
class TestEveryImagesize:
    def test_draws_inside_its_places_and_nowhere_else(self, width: int, height: int) -> None:
        image, result = gray_image(width, height), two_faces(width, height)
        drawn = draw_faces(image, result)
        changed = (drawn != image).any(axis=2)
        assert not (changed & ~mask_of(image, result)).any()
        for _, place in layout(width, height, result):
            x, y, w, h = place.plate
            assert changed[y : y + h, x : x + w].mean() > 0.98
            x, y, w, h = place.frame
            assert changed[y : y + h, x : x + w].any()

    def test_the_input_stays_as_it_is(self, width: int, height: int) -> None:
        image = gray_image(width, height)
        image.flags.writeable = False
        drawn = draw_faces(image, two_faces(width, height))
        assert drawn is not image
        assert (image == 128).all()

    def test_text_is_large_enough_to_read(self, width: int, height: int) -> None:
        for _, place in layout(width, height, two_faces(width, height)):
            # On a screen that shows the whole image 800 pixels high, capitals are at least 10 pixels high.
            assert place.text_height * 800 / height >= 10
            assert place.plate[2] <= 0.4 * width

    def test_the_bar_is_as_long_as_the_confidence(self, width: int, height: int) -> None:
        result = two_faces(width, height)
        drawn = draw_faces(gray_image(width, height), result)
        for face, place in layout(width, height, result):
            x, y, w, h = place.plate
            color = np.array(color_of(face.emotion)[::-1])
            hits = (np.abs(drawn[y : y + h, x : x + w].astype(int) - color) < 3).all(axis=2)
            longest = hits.sum(axis=1).max() / w
            assert longest == pytest.approx(face.confidence, abs=0.12)


def test_gray_images_become_color() -> None:
    drawn = draw_faces(np.zeros((480, 640), np.uint8), two_faces(640, 480))
    assert drawn.shape == (480, 640, 3)
    assert (drawn[..., 2] != drawn[..., 0]).any()


def test_nobody_changes_nothing() -> None:
    image = gray_image(320, 240)
    np.testing.assert_array_equal(draw_faces(image, make_result(width=320, height=240)), image)


def test_boxes_follow_a_image_of_another_size() -> None:
    result = make_result(make_face("f1", "sad", (100, 100, 200, 200)), width=640, height=480)
    (_, place), *_ = layout(1280, 960, result)
    x, y, w, h = place.frame
    assert abs(x + place.line - 200) <= 1
    assert abs(w - 2 * place.line - 400) <= 1
    assert abs(y + place.line - 200) <= 1
    assert abs(h - 2 * place.line - 400) <= 1


def test_plates_of_a_crowd_do_not_cover_each_other() -> None:
    faces = [
        make_face(f"f{i:05d}", "neutral", (60 + 200 * (i % 6), 80 + 170 * (i // 6), 70, 90), confidence=0.5)
        for i in range(24)
    ]
    plates = [place.plate for _, place in layout(1280, 760, make_result(*faces, width=1280, height=760))]
    taken = np.zeros((760, 1280), int)
    for x, y, w, h in plates:
        taken[y : y + h, x : x + w] += 1
    assert taken.max() == 1


def test_plates_of_a_dense_crowd_hide_no_face_and_no_other_plate() -> None:
    rois = [(62 + 150 * (i % 12), 44 + 110 * (i // 12), 30, 38) for i in range(24)]
    faces = [make_face(f"f{i:05d}", "disgusted", roi) for i, roi in enumerate(rois)]
    result = make_result(*faces, make_face("f00024", "neutral", (783, 410, 313, 399)), width=1920, height=1080)
    places = [place for _, place in layout(1920, 1080, result)]
    covered = np.zeros((1080, 1920), int)
    for place in places:
        x, y, w, h = place.plate
        assert place.text_height >= 7
        covered[y : y + h, x : x + w] += 1
    assert (covered > 1).mean() < 0.05 * (covered > 0).mean()
    for x, y, w, h in rois:
        assert (covered[y : y + h, x : x + w] > 0).mean() < 0.35


@pytest.mark.parametrize(
    "roi", [(0, 0, 40, 40), (600, 440, 40, 40), (0, 0, 640, 480), (639, 479, 1, 1), (300, 0, 8, 480)]
)
def test_faces_at_the_border_stay_legible(roi: tuple[int, int, int, int]) -> None:
    result = make_result(make_face("f00001", "surprised", roi))
    (_, place), *_ = layout(640, 480, result)
    x, y, w, h = place.plate
    assert x >= 0
    assert y >= 0
    assert x + w <= 640
    assert y + h <= 480
    assert w > 60
    assert h > 25
    assert (draw_faces(gray_image(640, 480), result) != 128).any()


def test_carried_over_faces_look_different() -> None:
    image = gray_image(640, 480)
    roi = (200, 200, 120, 150)
    seen = draw_faces(image, make_result(make_face("f1", "happy", roi)))
    carried = draw_faces(image, make_result(make_face("f1", "happy", roi, observed=False)))
    happy = np.array(COLORS["happy"][::-1])
    top_edge = slice(197, 204), slice(215, 305)
    assert (seen[top_edge] == happy).all(axis=2).sum() > 1.5 * (carried[top_edge] == happy).all(axis=2).sum() > 0


def test_phase_and_id_are_written() -> None:
    image = gray_image(640, 480)
    roi = (200, 200, 120, 150)
    images = [
        draw_faces(image, make_result(make_face(name, "happy", roi, phase=phase)))
        for name, phase in (("f00001", Phase.APEX), ("f00001", Phase.ONSET), ("f00002", Phase.APEX))
    ]
    assert (images[0] != images[1]).any()
    assert (images[0] != images[2]).any()


def test_text_without_glyphs_is_replaced() -> None:
    drawn = draw_faces(gray_image(640, 480), make_result(make_face("gesicht_ä", "", (200, 200, 90, 90))))
    assert (drawn != 128).any()


@pytest.mark.parametrize("ground", [0, 255])
@pytest.mark.parametrize("label", [*LABELS_WITH_CONTEMPT, ""])
def test_labels_are_legible_over_any_ground(label: str, ground: int) -> None:
    face = replace(make_face("f1", "happy", (1600, 1000, 600, 700)), emotion=label)
    result = make_result(face, width=3840, height=2160)
    drawn = draw_faces(np.full((2160, 3840, 3), ground, np.uint8), result)
    ((_, place),) = layout(3840, 2160, result)
    x, y, w, _ = place.plate
    # The left half of the upper row: the label, nothing else.
    row = drawn[y : y + place.text_height, x : x + w // 2, ::-1].reshape(-1, 3)
    plate = drawn[y + 1, x + 1, ::-1]
    assert max(contrast(color, plate) for color in np.unique(row, axis=0)) >= 4.5


def test_every_class_has_its_own_color() -> None:
    colors = [color_of(label) for label in LABELS_WITH_CONTEMPT]
    assert len(set(colors)) == len(LABELS_WITH_CONTEMPT)
    assert color_of("") == OTHER_COLOR
    assert hex_color("happy") == "#ffc42e"


@pytest.mark.parametrize("count", [2, 3, 8, 22, 40])
def test_classes_of_other_models_have_their_own_colors_too(count: int) -> None:
    labels = ("neutral", *(f"class {number}" for number in range(count)))
    colors = np.array([color_of(label, labels) for label in labels])
    assert colors[0].tolist() == list(COLORS["neutral"])
    assert color_of("", labels) == color_of("class of another model", labels) == OTHER_COLOR
    lab = cv2.cvtColor((colors[None] / 255).astype(np.float32), cv2.COLOR_RGB2LAB)[0]
    distances = np.linalg.norm(lab[:, None] - lab[None], axis=-1)[np.triu_indices(len(lab), 1)]
    assert distances.min() > (25 if count <= 8 else 5)
    # As names are written on strips of the report, and beside bars on the plate.
    assert min(contrast(color, np.array([23, 25, 29])) for color in colors) >= 4.5


def test_the_color_of_a_face_is_that_of_its_class() -> None:
    face = replace(make_face("f1", "happy", (160, 100, 60, 70)), emotion="awake")
    result = replace(make_result(face, width=640, height=480), labels=("drowsy", "awake"))
    drawn = draw_faces(np.zeros((480, 640, 3), np.uint8), result)
    assert (drawn == np.array(color_of("awake", ("drowsy", "awake"))[::-1])).all(axis=2).any()


@pytest.mark.parametrize("written", ["wütend", "wu\u0308tend"])
def test_accents_are_left_out(written: str) -> None:
    faces = [replace(make_face("f1", "happy", (160, 100, 60, 70)), emotion=name) for name in (written, "wutend")]
    first, second = (draw_faces(np.zeros((480, 640, 3), np.uint8), make_result(face)) for face in faces)
    assert (first == second).all()


#: What people see who lack one kind of cones, as matrices of linear RGB (Machado, Oliveira and Fernandes 2009,
#: severity 1).
COLOR_BLINDNESS = {
    "none": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}


@pytest.mark.parametrize("kind", COLOR_BLINDNESS)
def test_colors_are_told_apart_by_the_color_blind(kind: str) -> None:
    share = np.array([color_of(label) for label in LABELS_WITH_CONTEMPT]) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(COLOR_BLINDNESS[kind]).T, 0, 1)
    srgb = np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)
    lab = cv2.cvtColor(srgb.astype(np.float32)[None], cv2.COLOR_RGB2LAB)[0]
    distances = np.linalg.norm(lab[:, None] - lab[None], axis=-1)[np.triu_indices(len(lab), 1)]
    # About 2 is just noticeable side by side.
    assert distances.min() > 12


@pytest.mark.parametrize(("width", "height"), [(320, 240), (1280, 960), (640, 240)])
def test_on_an_image_of_another_size_landmarks_are_scaled_as_boxes_are(width: int, height: int) -> None:
    face = make_face("f00001", "happy", (200, 160, 160, 200))
    result = make_result(face, width=640, height=480)
    image = gray_image(width, height)
    with_landmarks = draw_faces(image, result)
    without = draw_faces(image, make_result(replace(face, landmarks=None), width=640, height=480))
    changed = (with_landmarks != without).any(axis=2)
    assert changed.any()
    rows, columns = np.nonzero(changed)
    (_, place), *_ = layout(width, height, result)
    for x, y in face.landmarks * [width / 640, height / 480]:
        near = np.hypot(columns - x, rows - y).min()
        assert near <= 1.5, "a dot lies where the landmark is"
    nearest = np.min([np.hypot(columns - x, rows - y) for x, y in face.landmarks * [width / 640, height / 480]], axis=0)
    assert nearest.max() <= place.line + 2, "and nowhere else"
