"""Where is looked: whole images now and then, windows in between, and what is taken for which face."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import pytest

from fer_perception.detection.base import Detector, WindowDetector
from fer_perception.detection.finder import CameraView, FaceFinder, Found, KnownFace, Request
from fer_perception.detection.windows import Window, window_around
from fer_perception.pipeline_types import Detection

PERIOD = 1 / 30
FRAME = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)


def face(x: float, y: float, size: float = 60, score: float = 0.9) -> Detection:
    return Detection(np.array([x, y, size, size], np.float32), None, score)


class Scripted:
    """A `WindowDetector` of faces that stand at given places, and a list of where it was asked to look."""

    name = "scripted"
    threshold, detection_size, min_face_size, max_faces = 0.6, 640, 16, 64
    reason = model_file = ""
    fallback = False
    search_parts = 3

    def __init__(self, *faces: Detection) -> None:
        self.faces = list(faces)
        self.asked: list[str] = []

    def detect(self, image: np.ndarray, *, thorough: bool = False) -> list[Detection]:
        self.asked.append("thorough" if thorough else "whole")
        return list(self.faces)

    def search_part(self, image: np.ndarray, part: int) -> list[Detection]:
        self.asked.append(f"part {part}")
        return [f for f in self.faces if (f.box[0] < 320) == (part == 0)] if part < 2 else []

    def look(self, views: Sequence[tuple[np.ndarray, Window]]) -> list[list[Detection]]:
        self.asked.append(f"{len(views)} windows")
        return [[f for f in self.faces if self._inside(f, window)] for _, window in views]

    @staticmethod
    def _inside(one: Detection, window: Window) -> bool:
        middle = one.box[:2] + one.box[2:] / 2
        return all(
            start <= value <= start + window.side for start, value in zip((window.x, window.y), middle, strict=True)
        )

    def windows_for_a_search(self, width: int, height: int) -> float:
        return 14.0

    def close(self) -> None:
        pass


class Stream:
    """A camera whose faces are known where the last image showed them."""

    def __init__(self, detector: Detector, interval: float = 0.3) -> None:
        self.finder = FaceFinder(detector, interval)
        self.camera = self.finder.new_camera()
        self.number = 0

    def next(self, known: Sequence[Detection] = (), *, lost: bool = False, image: np.ndarray = FRAME) -> Found:
        faces = [KnownFace(f"f{index}", each.box, lost) for index, each in enumerate(known)]
        stamp = 1000 + self.number * PERIOD
        self.number += 1
        return self.finder.find([Request(image, stamp, faces, self.camera)])[0]


def test_the_scripted_detector_is_one() -> None:
    assert isinstance(Scripted(), WindowDetector)


class TestWhere:
    def test_whole_images_now_and_then_and_windows_in_between(self) -> None:
        one = face(100, 100)
        detector = Scripted(one)
        stream = Stream(detector)
        stream.next()
        assert detector.asked == ["whole"]
        detector.asked.clear()
        for _ in range(18):
            (found,) = stream.next([one]).detections
            assert found is one
        parts = [where for where in detector.asked if where.startswith("part")]
        assert detector.asked.count("1 windows") == 18
        assert parts == ["part 0", "part 1", "part 2"] * 2
        assert "whole" not in detector.asked

    def test_nobody_known_no_windows(self) -> None:
        detector = Scripted()
        stream = Stream(detector)
        for _ in range(30):
            assert stream.next().detections == []
        assert detector.asked == ["whole"] * len(detector.asked)
        assert 4 <= len(detector.asked) <= 5

    def test_stills_are_searched_whole_and_thoroughly(self) -> None:
        detector = Scripted(face(1, 1))
        finder = FaceFinder(detector, 0.3)
        for _ in range(3):
            assert len(finder.find([Request(FRAME, 0.0)])[0].detections) == 1
        assert detector.asked == ["thorough"] * 3

    def test_a_detector_without_windows_searches_every_image(self, make: Callable[..., Detector]) -> None:
        haar = make("haar")
        assert not isinstance(haar, WindowDetector)
        stream = Stream(haar)
        blank = np.zeros((100, 100, 3), np.uint8)
        assert [stream.next([face(10, 10)], image=blank).detections for _ in range(3)] == [[]] * 3

    def test_a_crowd_for_which_windows_cost_more_is_searched(self) -> None:
        crowd = [face(100 * (index % 6), 90 * (index // 6)) for index in range(30)]
        detector = Scripted(*crowd)
        stream = Stream(detector)
        stream.next()
        for _ in range(5):
            assert len(stream.next(crowd).detections) == 30
        assert detector.asked == ["whole"] * 6
        # A few fewer is no reason to change between two ways of measuring; half of them is.
        stream.next(crowd[:13])
        assert detector.asked[-1] == "whole"
        stream.next(crowd[:10])
        assert "10 windows" in detector.asked

    @pytest.mark.parametrize("period", [0.2, 0.5, 2.0])
    def test_rare_images_are_all_searched(self, period: float) -> None:
        one = face(100, 100)
        detector = Scripted(one)
        finder = FaceFinder(detector, 0.3)
        camera = finder.new_camera()
        for index in range(5):
            finder.find([Request(FRAME, index * period, [KnownFace("f", one.box, False)], camera)])
        assert detector.asked == ["whole"] * 5

    def test_stamps_that_stand_still_say_nothing_so_every_image_is_searched(self) -> None:
        one = face(100, 100)
        detector = Scripted(one)
        finder = FaceFinder(detector, 0.3)
        camera = finder.new_camera()
        for _ in range(5):
            finder.find([Request(FRAME, 5.0, [KnownFace("f", one.box, False)], camera)])
        assert detector.asked == ["whole"] * 5

    def test_a_new_size_is_searched_at_once(self) -> None:
        one = face(100, 100)
        detector = Scripted(one)
        stream = Stream(detector)
        stream.next()
        stream.next([one])
        detector.asked.clear()
        stream.next([one], image=FRAME[:240, :320])
        assert detector.asked == ["whole"]

    def test_a_cut_is_told_and_searched_at_once(self, astronaut: np.ndarray, hopper: np.ndarray) -> None:
        one = face(100, 100)
        detector = Scripted(one)
        stream = Stream(detector)
        scenes = [cv2.resize(image, (640, 480)) for image in (astronaut, hopper)]
        assert not stream.next(image=scenes[0]).cut
        assert not stream.next([one], image=scenes[0]).cut
        detector.asked.clear()
        assert stream.next([one], image=scenes[1]).cut
        assert detector.asked == ["whole"]

    def test_windows_of_all_cameras_share_a_batch_and_searches_do_not_come_together(self) -> None:
        one = face(100, 100)
        detector = Scripted(one)
        finder = FaceFinder(detector, 0.3)
        cameras = [finder.new_camera() for _ in range(5)]
        for index in range(40):
            known = [KnownFace("f", one.box, False)]
            detector.asked.clear()
            finder.find([Request(FRAME, index * PERIOD, known if index else (), camera) for camera in cameras])
            if index:
                assert detector.asked[0] == "5 windows"
                assert len(detector.asked) <= 3


class TestWhich:
    def lost(self, detector: Scripted, known: Sequence[Detection], *, lost: bool = False) -> Found:
        stream = Stream(detector)
        stream.next()
        stream.number += 1
        detector.asked.clear()
        return stream.next(known, lost=lost)

    def test_a_face_that_is_missing_is_searched_for_in_the_whole_image(self) -> None:
        detector = Scripted(face(500, 300))
        (found,) = self.lost(detector, [face(100, 100)]).detections
        assert found.box[0] == 500
        assert detector.asked == ["1 windows", "whole"]

    def test_one_that_was_lost_before_waits_for_the_next_search(self) -> None:
        detector = Scripted(face(500, 300))
        assert self.lost(detector, [face(100, 100)], lost=True).detections == []
        assert detector.asked == ["1 windows"]

    @pytest.mark.parametrize("other", [face(100, 100, 16), face(60, 60, 140), face(145, 145)])
    def test_something_of_another_size_or_far_off_is_not_the_face(self, other: Detection) -> None:
        detector = Scripted(other)
        self.lost(detector, [face(100, 100)])
        assert detector.asked == ["1 windows", "whole"]

    def test_two_faces_that_meet_stay_two(self) -> None:
        left, right = face(100, 100), face(150, 100)
        found = self.lost(Scripted(left, right), [left, right]).detections
        assert sorted(float(each.box[0]) for each in found) == [100, 150]

    def test_one_face_is_not_two_where_one_hides_the_other(self) -> None:
        detector = Scripted(face(110, 100))
        found = self.lost(detector, [face(100, 100), face(125, 100)]).detections
        assert len(found) == 1
        assert detector.asked == ["2 windows", "whole"]

    def test_a_new_face_in_the_window_of_another_is_found_too(self) -> None:
        here, beside = face(100, 100), face(145, 110, 40)
        assert len(self.lost(Scripted(here, beside), [here]).detections) == 2

    def test_a_face_that_the_edge_of_a_window_cuts_is_left_for_the_search(self) -> None:
        here, cut = face(100, 100), face(158, 100)
        assert not window_around(here.box).holds(cut.box, 640, 480)
        assert self.lost(Scripted(here, cut), [here]).detections == [here]

    def test_smallest_size_and_number_count_for_windows_too(self) -> None:
        near, far = face(100, 100, 60), face(400, 100, 30)
        detector = Scripted(near, far)
        detector.min_face_size = 40
        assert self.lost(detector, [near, far]).detections == [near]
        detector.min_face_size, detector.max_faces = 16, 1
        assert self.lost(detector, [near, far]).detections == [near]


@pytest.mark.yunet
class TestYunet:
    @pytest.mark.parametrize("name", ["yunet_ort", "yunet_cv2"])
    def test_a_window_shows_what_the_search_shows(
        self, make: Callable[..., Detector], group: np.ndarray, name: str
    ) -> None:
        detector = make(name)
        assert isinstance(detector, WindowDetector)
        everyone = detector.detect(group)
        for one, found in zip(
            everyone, detector.look([(group, window_around(each.box)) for each in everyone]), strict=True
        ):
            near = min(found, key=lambda each: float(np.abs(each.box - one.box).sum()))
            np.testing.assert_allclose(near.box, one.box, atol=0.2 * one.box[3])
            assert one.landmarks is not None
            assert near.landmarks is not None
            np.testing.assert_allclose(near.landmarks, one.landmarks, atol=0.12 * one.box[2])

    def test_the_parts_together_find_what_the_search_finds(
        self, make: Callable[..., Detector], group: np.ndarray
    ) -> None:
        detector = make("yunet_ort")
        assert isinstance(detector, WindowDetector)
        for image in (group, np.ascontiguousarray(group.transpose(1, 0, 2)[:, ::-1]), np.hstack([group, group])):
            whole = detector.detect(image)
            parts = [each for part in range(detector.search_parts) for each in detector.search_part(image, part)]
            for one in whole:
                nearest = min(float(np.abs(each.box - one.box).max()) for each in parts)
                assert nearest < 0.25 * float(one.box[3])

    def test_a_face_that_fills_the_image_is_kept(self, make: Callable[..., Detector], hopper: np.ndarray) -> None:
        close = cv2.resize(hopper[110:340, 165:375], (640, 700), interpolation=cv2.INTER_CUBIC)[:480]
        detector = make("yunet_ort")
        stream = Stream(detector)
        # YuNet takes a half of so large a face for another one: the larger one counts.
        known = max(stream.next(image=close).detections, key=lambda each: float(each.box[2]))
        for _ in range(12):
            known = max(stream.next([known], image=close).detections, key=lambda each: float(each.box[2]))
            assert known.box[2] > 500

    def test_a_small_face_in_a_large_image_is_kept_where_the_search_loses_it(
        self, make: Callable[..., Detector], astronaut: np.ndarray
    ) -> None:
        image = np.full((1080, 1920, 3), 128, np.uint8)
        image[500:640, 900:1040] = cv2.resize(astronaut, (140, 140), interpolation=cv2.INTER_AREA)
        detector = make("yunet_ort")
        assert detector.detect(image) == []
        (known,) = make("yunet_ort", detection_size=0).detect(image)
        assert 25 < known.box[3] < 36
        stream = Stream(detector)
        stream.next(image=image)
        for _ in range(20):
            (known,) = stream.next([known], image=image).detections
        np.testing.assert_allclose(known.box[:2], (900 + 48, 500 + 17), atol=6)

    @pytest.mark.parametrize("shape", [(1, 1), (1, 1, 3), (2, 300, 3), (30, 20, 3)])
    def test_images_of_any_size(self, make: Callable[..., Detector], shape: tuple[int, ...]) -> None:
        stream = Stream(make("yunet_ort"))
        image = np.full(shape, 100, np.uint8)
        for _ in range(12):
            assert stream.next([face(-5, -5, 1), face(0, 0, 40)], lost=True, image=image).detections == []


def test_cameras_get_different_phases() -> None:
    finder = FaceFinder(Scripted(), 0.3)
    phases = [finder.new_camera().phase for _ in range(6)]
    assert phases[0] == 0.0
    assert min(abs(a - b) for a in phases for b in phases if a is not b) > 0.05
    assert CameraView().phase == 0.0
