"""Tracking on synthetic box sequences with known identities."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pytest

from fer_perception.benchmark.temporal.face_worlds import WORLDS, detect, lost, passing
from fer_perception.benchmark.temporal.identity_measures import follow
from fer_perception.pipeline_types import Detection
from fer_perception.tracking.tracker import FaceIds, Tracker


def face(x: float, y: float = 100.0, size: float = 80.0, *, score: float = 0.9, landmarks: bool = True) -> Detection:
    points = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]])
    corner = np.array([x, y])
    return Detection(
        np.array([x, y, size, size], np.float32),
        (corner + size * points).astype(np.float32) if landmarks else None,
        score,
    )


def new_tracker(**options: float) -> Tracker:
    return Tracker(FaceIds(deterministic=True), **options)


class TestFaceIds:
    def test_deterministic_ids_count_from_one(self) -> None:
        ids = FaceIds(deterministic=True)
        assert [ids() for _ in range(3)] == ["f00001", "f00002", "f00003"]

    def test_random_ids_of_two_runs_never_meet(self) -> None:
        first, second = FaceIds(), FaceIds()
        names = [first() for _ in range(100)] + [second() for _ in range(100)]
        assert len(set(names)) == 200
        assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in names)

    def test_two_cameras_share_ids_without_repeating(self) -> None:
        ids = FaceIds(deterministic=True)
        left, right = Tracker(ids, birth_time=0.0), Tracker(ids, birth_time=0.0)
        seen = [left.update([face(0)], 0.0)[0].id, right.update([face(0)], 0.0)[0].id]
        assert seen == ["f00001", "f00002"]


class TestBirth:
    @pytest.mark.parametrize("rate", [5, 30, 60])
    def test_a_face_is_reported_once_it_was_seen_for_the_birth_time(self, rate: int) -> None:
        tracker = new_tracker(birth_time=0.05)
        reported = [i / rate for i in range(20) if tracker.update([face(100)], i / rate)]
        assert reported[0] >= 0.05 - 1e-9
        assert reported[0] < 0.05 + 1 / rate

    def test_a_single_false_alarm_is_never_reported(self) -> None:
        tracker = new_tracker()
        assert tracker.update([face(100)], 0.0) == []
        assert [t.box[0] for t in tracker.tentative] == [100.0]
        reports = [tracker.update([], 0.03 * i) for i in range(1, 30)]
        assert reports == [[]] * 29
        assert tracker.tentative == []

    def test_a_false_alarm_at_another_place_in_every_frame_is_never_reported(self) -> None:
        tracker = new_tracker()
        for i in range(30):
            assert tracker.update([face(400.0 * (i % 3), 300.0 * (i % 2))], i / 5) == []

    def test_birth_time_zero_reports_at_once(self) -> None:
        track = new_tracker(birth_time=0.0).update([face(100)], 3.0)[0]
        assert (track.confirmed, track.observed, track.first_seen, track.detection_index) == (True, True, 3.0, 0)

    def test_a_still_image_reports_at_once_whatever_the_birth_time(self) -> None:
        tracks = new_tracker(birth_time=5.0).update([face(0), face(300)], 0.0, immediate=True)
        assert [t.detection_index for t in tracks] == [0, 1]

    def test_a_candidate_keeps_its_id_when_it_is_confirmed(self) -> None:
        tracker = new_tracker()
        tracker.update([face(100)], 0.0)
        (candidate,) = tracker.tentative
        assert not candidate.confirmed
        (track,) = tracker.update([face(101)], 0.1)
        assert track.id == candidate.id
        assert tracker.tentative == []


class TestMatching:
    def test_detections_and_tracks_are_paired_whatever_the_order(self) -> None:
        tracker = new_tracker(birth_time=0.0)
        first = {t.detection_index: t.id for t in tracker.update([face(0), face(200), face(400)], 0.0)}
        second = {t.detection_index: t.id for t in tracker.update([face(404), face(3), face(198)], 0.03)}
        assert second == {0: first[2], 1: first[0], 2: first[1]}

    def test_an_observed_track_has_the_box_landmarks_and_score_of_its_detection(self) -> None:
        tracker = new_tracker(birth_time=0.0)
        tracker.update([face(0)], 0.0)
        detection = face(7, score=0.77)
        (track,) = tracker.update([detection], 0.03)
        np.testing.assert_array_equal(track.box, detection.box)
        np.testing.assert_array_equal(track.landmarks, detection.landmarks)
        assert track.score == 0.77

    def test_a_face_found_twice_is_one_face(self) -> None:
        tracker = new_tracker(birth_time=0.0)
        tracks = tracker.update([face(100), face(108, 104, score=0.6)], 0.0)
        assert [t.score for t in tracks] == [0.9]
        for i in range(1, 20):
            tracks = tracker.update([face(108, 104, score=0.6), face(100)], i / 30)
            assert [t.id for t in tracks] == ["f00001"]
        assert tracker.tentative == []

    def test_a_small_box_inside_a_large_one_is_a_double(self) -> None:
        tracker = new_tracker(birth_time=0.0)
        assert len(tracker.update([face(100, size=100), face(115, 110, size=60, score=0.5)], 0.0)) == 1

    def test_two_faces_that_overlap_by_a_third_are_two(self) -> None:
        assert len(new_tracker(birth_time=0.0).update([face(100), face(153)], 0.0)) == 2

    def test_faces_without_landmarks_are_followed_by_their_boxes(self) -> None:
        tracker = new_tracker(birth_time=0.0)
        for i in range(30):
            tracks = tracker.update([face(4 * i, landmarks=False), face(400 - 4 * i, 250, landmarks=False)], i / 30)
            assert {t.id: t.detection_index for t in tracks} == {"f00001": 0, "f00002": 1}
            assert tracks[0].landmarks is None

    def test_a_face_far_away_is_another_face(self) -> None:
        tracker = new_tracker(birth_time=0.0)
        tracker.update([face(0)], 0.0)
        tracks = tracker.update([face(900)], 0.033)
        assert [(t.id, t.observed) for t in tracks] == [("f00001", False), ("f00002", True)]

    def test_no_faces_and_no_detections(self) -> None:
        assert new_tracker().update([], 0.0) == []


class TestLoss:
    def test_an_unmatched_track_stays_unobserved_until_the_timeout(self) -> None:
        tracker = new_tracker(birth_time=0.0, track_timeout=0.5)
        tracker.update([face(100)], 0.0)
        shown = [(i / 30, tracker.update([], i / 30)) for i in range(1, 30)]
        for stamp, tracks in shown:
            if stamp <= 0.5:
                assert [(t.id, t.observed, t.lost, t.detection_index) for t in tracks] == [
                    ("f00001", False, True, None)
                ]
                assert tracks[0].last_seen == 0.0
            else:
                assert tracks == []

    def test_a_lost_face_moves_on_with_its_landmarks(self) -> None:
        tracker = new_tracker(birth_time=0.0)
        for i in range(31):
            (seen,) = tracker.update([face(5.0 * i)], i / 30)
        (track,) = tracker.update([], 1.1)
        assert track.landmarks is not None
        assert seen.landmarks is not None
        moved = track.box[0] - seen.box[0]
        assert 9 < moved < 16  # 150 pixels per s for 0.1 s
        np.testing.assert_allclose(track.landmarks - seen.landmarks, [[moved, 0]] * 5, atol=0.6)

    def test_a_face_lost_for_half_a_second_keeps_its_id(self) -> None:
        for seed in range(5):
            assert follow(lost(30), seed=seed).id_switches == 0

    def test_a_face_lost_for_longer_than_the_timeout_is_a_new_one(self) -> None:
        tracker = new_tracker(birth_time=0.0, track_timeout=0.5)
        tracker.update([face(100)], 0.0)
        assert [t.id for t in tracker.update([face(100)], 0.6)] == ["f00002"]

    def test_a_lost_face_that_walked_out_of_the_image_is_gone(self) -> None:
        tracker = new_tracker(birth_time=0.0, track_timeout=5.0)
        for i in range(25):
            tracker.update([face(20.0 * i)], i / 30, image_size=(640, 480))
        assert len(tracker.update([], 0.85, image_size=(640, 480))) == 1
        assert tracker.update([], 2.0, image_size=(640, 480)) == []

    def test_a_flickering_detector_makes_one_track(self) -> None:
        tracker = new_tracker()
        ids, observed = set(), []
        for i in range(60):
            for track in tracker.update([face(100 + i)] if i % 2 == 0 else [], i / 30):
                ids.add(track.id)
                observed.append(track.observed)
        assert ids == {"f00001"}
        assert observed == [i % 2 == 0 for i in range(60 - len(observed), 60)]


class TestTime:
    def test_reset_forgets_faces_and_time_but_not_ids(self) -> None:
        tracker = new_tracker(birth_time=0.0)
        tracker.update([face(100)], 50.0)
        tracker.reset()
        (track,) = tracker.update([face(100)], 1.0)
        assert (track.id, track.first_seen) == ("f00002", 1.0)

    def test_an_earlier_stamp_counts_as_the_latest_one(self) -> None:
        tracker = new_tracker(birth_time=0.0)
        tracker.update([face(100)], 2.0)
        (track,) = tracker.update([face(101)], 1.9)
        assert (track.id, track.last_seen) == ("f00001", 2.0)

    def test_prediction_moves_boxes_between_detections(self) -> None:
        tracker = new_tracker(birth_time=0.0)
        for i in range(31):
            tracker.update([face(5.0 * i)], i / 30)
        (track,) = tracker.predict(1.1)
        assert (track.observed, track.lost, track.detection_index) == (False, False, None)
        assert 159 < track.box[0] < 166
        assert track.box[2] == pytest.approx(80, abs=0.5)
        (again,) = tracker.predict(1.1)
        np.testing.assert_array_equal(again.box, track.box)

    def test_prediction_ends_tracks_that_were_not_seen_for_the_timeout(self) -> None:
        tracker = new_tracker(birth_time=0.0, track_timeout=0.5)
        tracker.update([face(100)], 0.0)
        assert len(tracker.predict(0.4)) == 1
        assert tracker.predict(0.6) == []

    def test_images_rarer_than_the_timeout_still_show_the_face(self) -> None:
        tracker = new_tracker(track_timeout=1.0)
        shown = [[t.id for t in tracker.update([face(100)], 2.0 * i)] for i in range(8)]
        assert shown[4:] == [shown[4]] * 4
        assert len(shown[4]) == 1
        # Searched for and not found, it is gone: the timeout has passed.
        assert tracker.update([], 16.0) == []

    def test_searches_rarer_than_the_timeout_still_show_the_face_in_between(self) -> None:
        tracker = new_tracker(track_timeout=1.0)
        shown = []
        for i in range(240):
            tracks = tracker.update([face(100)], i / 15) if i % 30 == 0 else tracker.predict(i / 15)
            shown.append([t.id for t in tracks])
        assert shown[120:] == [shown[120]] * 120
        assert len(shown[120]) == 1

    def test_detections_in_every_third_frame_keep_the_id(self) -> None:
        tracker = new_tracker(birth_time=0.0)
        for i in range(90):
            detections = [face(6.0 * i), face(700 - 6.0 * i, 250)]
            tracks = tracker.update(detections, i / 30) if i % 3 == 0 else tracker.predict(i / 30)
            assert [t.id for t in tracks] == ["f00001", "f00002"]
            assert abs(tracks[0].box[0] - 6.0 * i) < 20


class TestResolution:
    def test_tracks_scale_with_the_image(self) -> None:
        tracker = new_tracker(birth_time=0.0)
        tracker.update([face(100), face(250)], 0.0, image_size=(640, 480))
        tracks = tracker.update([face(500, 200, 160), face(200, 200, 160)], 0.033, image_size=(1280, 960))
        assert {t.id: t.detection_index for t in tracks} == {"f00001": 1, "f00002": 0}

    def test_a_lost_face_is_reported_in_pixels_of_the_new_image(self) -> None:
        tracker = new_tracker(birth_time=0.0)
        tracker.update([face(100)], 0.0, image_size=(640, 480))
        (track,) = tracker.update([], 0.033, image_size=(320, 240))
        np.testing.assert_allclose(track.box, [50, 50, 40, 40], atol=0.1)

    def test_another_aspect_is_another_image(self) -> None:
        tracker = new_tracker(birth_time=0.0)
        tracker.update([face(100)], 0.0, image_size=(640, 480))
        assert [t.id for t in tracker.update([face(100)], 0.033, image_size=(1280, 720))] == ["f00002"]


class TestIdentities:
    """20 % of the detections dropped, boxes jittered by 5 %, faces that overlap by no more than half."""

    @pytest.mark.parametrize("name", list(WORLDS))
    @pytest.mark.parametrize("rate", [5.0, 15.0, 30.0])
    def test_no_face_changes_its_id(self, name: str, rate: float) -> None:
        runs = [follow(WORLDS[name](rate), seed=seed) for seed in range(1 if name == "crowd" else 4)]
        assert [run.id_switches for run in runs] == [0] * len(runs)
        assert min(run.mota for run in runs) > (0.8 if rate == 5 else 0.95)

    def test_thirty_faces_all_get_a_track(self) -> None:
        world = WORLDS["crowd"](30.0)
        tracker = new_tracker()
        rng = np.random.default_rng(0)
        for frame in range(15):
            tracks = tracker.update(detect(world, frame, rng)[0], float(world.stamps[frame]))
        assert len({t.id for t in tracks}) == 30

    def test_the_measure_sees_switches_fragments_and_false_tracks(self) -> None:
        class Forgetful(Tracker):
            calls = 0

            def update(self, *args: object, **options: object) -> list:  # type: ignore[override, type-arg]
                self.calls += 1
                if self.calls % 30 == 0:
                    self.reset()
                return super().update(*args, **options)  # type: ignore[arg-type]

        world = passing(30.0)
        bad = follow(world, tracker=Forgetful(FaceIds(deterministic=True)))
        good = follow(world)
        assert bad.id_switches == bad.fragments == 6
        assert (good.id_switches, good.fragments) == (0, 0)
        assert bad.mota < good.mota

    def test_many_frame_rates_give_the_same_births(self) -> None:
        first = []
        for rate in (20, 40, 80):
            tracker = new_tracker(birth_time=0.2)
            stamps = [i / rate for i in range(rate) if tracker.update([face(100)], i / rate)]
            first.append(stamps[0])
            assert all(b > a for a, b in pairwise(stamps))
        assert first == pytest.approx([0.2, 0.2, 0.2])


class TestFoundAgain:
    def test_a_face_that_was_missed_once_is_not_lost_between_later_searches(self) -> None:
        tracker = new_tracker(birth_time=0.0)
        for i, found in enumerate(([face(100)], [], [face(100)])):
            (track,) = tracker.update(found, i / 30)
            assert track.lost is not bool(found)
        (track,) = tracker.predict(0.1)
        assert not track.lost

    def test_a_double_is_found_beside_another_person(self) -> None:
        tracks = new_tracker(birth_time=0.0).update([face(0), face(400), face(408, 104, score=0.6)], 0.0)
        assert [t.detection_index for t in tracks] == [0, 1]


class TestBorder:
    """A lost face of 80 pixels that does not move."""

    @pytest.mark.parametrize(
        ("x", "y", "stays"),
        [
            (-40, 200, True),
            (-80, 200, False),
            (200, -40, True),
            (200, -80, False),
            (560, 200, True),
            (640, 200, False),
            (200, 440, True),
            (200, 480, False),
        ],
    )
    def test_it_stays_while_a_part_of_it_is_in_the_image(self, x: float, y: float, stays: bool) -> None:
        searched, predicted = new_tracker(birth_time=0.0), new_tracker(birth_time=0.0)
        for tracker in (searched, predicted):
            tracker.update([face(x, y)], 0.0, image_size=(640, 480))
        assert len(searched.update([], 0.03, image_size=(640, 480))) == stays
        assert len(predicted.predict(0.03)) == stays


class TestExpected:
    @pytest.fixture
    def tracker(self) -> Tracker:
        return Tracker(FaceIds(deterministic=True))

    def test_where_faces_are_expected_and_nothing_changes(self, tracker: Tracker) -> None:
        assert tracker.expected(0.0, (640, 480)) == []
        for step in range(4):
            tracker.update([face(100 + 10 * step)], step / 30, image_size=(640, 480))
        before = [(track.id, track.box.tolist()) for track in tracker.predict(3 / 30)]
        ((name, box, lost),) = tracker.expected(4 / 30, (640, 480))
        assert (name, lost) == (before[0][0], False)
        assert 130 < box[0] < 146
        assert [(track.id, track.box.tolist()) for track in tracker.predict(3 / 30)] == before
        assert tracker.expected(4 / 30, (320, 240)) == []
        tracker.update([], 4 / 30, image_size=(640, 480))
        assert [lost for _, _, lost in tracker.expected(5 / 30, (640, 480))] == [True]

    def test_another_scene_ends_faces_without_passing_them_on(self, tracker: Tracker) -> None:
        for step in range(4):
            (*_, track) = [*tracker.update([face(100)], step / 30), *tracker.tentative]
        tracker.scene_changed()
        assert tracker.expected(4 / 30, (640, 480)) == []
        (carried,) = tracker.update([face(100)], 4 / 30)
        assert (carried.id, carried.observed, carried.lost) == (track.id, False, True)
        assert [candidate.id for candidate in tracker.tentative] != [track.id]
        later = [step for step in range(5, 60) if track.id in {t.id for t in tracker.update([face(100)], step / 30)}]
        assert 20 < len(later) < 40  # until `track_timeout`
