"""The pipeline on real faces: who is found, under which id, with which scores, and what it forgets."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from changed_model import with_metadata
from crowd import crowd_of
from numpy.typing import NDArray

from fer_perception import pipeline as pipeline_module
from fer_perception.errors import BackendError, ConfigError, ModelError
from fer_perception.imaging.crops import LANDMARK_TEMPLATE, crop_faces, face_quality
from fer_perception.pipeline import Pipeline, build_pipeline, clip_box
from fer_perception.pipeline_types import Frame, FrameResult, Phase
from fer_perception.settings.pipeline_settings import PipelineSettings
from fer_perception.timing import RESTART_NS, CameraClock, StampVerdict

Image = NDArray[np.uint8]
SETTINGS = PipelineSettings(deterministic_ids=True, threads=1, track_timeout=0.5)
PERIOD = 33_000_000


@pytest.fixture(scope="module")
def astronaut() -> Image:
    data = pytest.importorskip("skimage.data")
    return np.asarray(cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2BGR), np.uint8)


@pytest.fixture(scope="module")
def hopper() -> Image:
    cbook = pytest.importorskip("matplotlib.cbook")
    image = cv2.imread(str(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)))
    assert image is not None
    return np.asarray(image, np.uint8)


@pytest.fixture
def pipeline() -> Iterator[Pipeline]:
    made = build_pipeline(SETTINGS)
    yield made
    made.close()


def run(pipeline: Pipeline, image: Image, count: int, *, start: int = 0, camera: str = "a") -> list[FrameResult]:
    frames = [Frame(image, start + index * PERIOD, camera) for index in range(count)]
    return [pipeline.process([frame])[0] for frame in frames]


def test_smiling_astronaut_is_happy_at_once_in_a_still_image(pipeline: Pipeline, astronaut: Image) -> None:
    (result,) = pipeline.process([Frame(astronaut, 0, "image", still=True)])
    (face,) = result.faces
    assert face.emotion == "happy"
    assert face.confidence > 0.8
    assert face.valence > 0.4
    assert face.observed
    assert face.phase is Phase.UNKNOWN
    assert face.raw_scores is not None
    np.testing.assert_array_equal(face.scores, face.raw_scores)
    assert face.scores.sum() == pytest.approx(1.0, abs=1e-12)
    x, y, w, h = face.roi
    assert x < 224 < x + w  # the nose is at about (224, 122)
    assert y < 122 < y + h
    assert (result.width, result.height) == (512, 512)
    assert result.model_id.startswith("arch1@")


def test_stills_do_not_remember_each_other(pipeline: Pipeline, astronaut: Image) -> None:
    first, second = (pipeline.process([Frame(astronaut, 0, "p", still=True)])[0] for _ in range(2))
    assert first.faces[0].face_id != second.faces[0].face_id
    np.testing.assert_array_equal(first.faces[0].scores, second.faces[0].scores)


def test_face_is_born_after_birth_time_and_keeps_its_id(pipeline: Pipeline, astronaut: Image) -> None:
    results = run(pipeline, astronaut, 6)
    assert [len(result.faces) for result in results[:2]] == [0, 0]
    ids = {face.face_id for result in results for face in result.faces}
    assert ids == {"f00001"}
    assert results[-1].faces[0].tracked_for == pytest.approx(5 * 0.033, abs=1e-6)
    assert set(results[-1].timings) == {"detect", "track", "crop", "classify", "smooth"}


def test_lost_face_is_carried_over_and_then_leaves(pipeline: Pipeline, astronaut: Image) -> None:
    run(pipeline, astronaut, 5)
    blank = np.zeros_like(astronaut)
    results = run(pipeline, blank, 30, start=5 * PERIOD)
    carried = results[0].faces[0]
    assert not carried.observed
    assert carried.raw_scores is None
    assert np.isnan(carried.quality)
    assert carried.scores.sum() == pytest.approx(1.0)
    present = [bool(result.faces) for result in results]
    gone = present.index(False)
    assert not any(present[gone:])
    assert gone * 0.033 == pytest.approx(SETTINGS.track_timeout, abs=0.04)
    assert pipeline.track_count() == 0


def test_cameras_share_a_batch_but_no_tracks(pipeline: Pipeline, astronaut: Image, hopper: Image) -> None:
    for index in range(5):
        a, b = pipeline.process([Frame(astronaut, index * PERIOD, "a"), Frame(hopper, 10**18 + index * PERIOD, "b")])
    assert (a.camera, b.camera) == ("a", "b")
    assert a.faces[0].face_id != b.faces[0].face_id
    alone = build_pipeline(SETTINGS)
    only = run(alone, astronaut, 5)[-1]
    alone.close()
    np.testing.assert_allclose(a.faces[0].scores, only.faces[0].scores, atol=1e-6)
    pipeline.end_camera("a")
    assert pipeline.track_count("a") == 0
    assert pipeline.track_count("b") == 1


@pytest.mark.parametrize("failing", ["detect", "classify"])
def test_a_warm_up_that_fails_releases_both_networks(monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    closed = []

    class Unusable:
        """A real network that fails at its first use."""

        def __init__(self, network: Any, name: str) -> None:
            self._network, self._name = network, name

        def __getattr__(self, name: str) -> Any:
            if name == failing:
                msg = "the device is gone"
                raise BackendError(msg)
            return getattr(self._network, name)

        def close(self) -> None:
            closed.append(self._name)
            self._network.close()

    for name, create in (
        ("detector", pipeline_module.create_detector),
        ("classifier", pipeline_module.create_classifier),
    ):

        def made(*arguments: Any, create: Any = create, name: str = name, **options: Any) -> Unusable:
            return Unusable(create(*arguments, **options), name)

        monkeypatch.setattr(pipeline_module, f"create_{name}", made)
    with pytest.raises(BackendError, match="the device is gone"):
        build_pipeline(SETTINGS)
    assert sorted(closed) == ["classifier", "detector"]


def test_looping_source_begins_anew(pipeline: Pipeline, astronaut: Image) -> None:
    before = run(pipeline, astronaut, 5, start=100 * PERIOD)[-1].faces[0].face_id
    results = run(pipeline, astronaut, 5)
    assert not results[0].faces
    assert results[-1].faces[0].face_id != before


@pytest.mark.parametrize(("back_ns", "anew"), [(RESTART_NS, True), (RESTART_NS - 1, False)])
def test_the_pipeline_begins_anew_by_the_rule_of_the_camera_clock(
    pipeline: Pipeline, astronaut: Image, back_ns: int, anew: bool
) -> None:
    last = 10**12
    before = run(pipeline, astronaut, 5, start=last - 4 * PERIOD)[-1].faces[0].face_id
    (face_ids,) = [
        [face.face_id for face in result.faces] for result in run(pipeline, astronaut, 1, start=last - back_ns)
    ]
    assert face_ids == ([] if anew else [before])
    clock = CameraClock()
    clock.judge(last, 0.0)
    assert clock.judge(last - back_ns, 0.0).verdict is (StampVerdict.RESTART if anew else StampVerdict.DROP)


def searches(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Notes every search of a whole image, or of a part of one, from now on."""
    noted: list[str] = []
    detector: Any = pipeline.detector
    whole, part = detector.detect, detector.search_part
    monkeypatch.setattr(detector, "detect", lambda i, **how: noted.append("whole") or whole(i, **how))
    monkeypatch.setattr(detector, "search_part", lambda i, n: noted.append(f"part {n}") or part(i, n))
    return noted


@pytest.mark.yunet
def test_between_searches_faces_are_found_around_their_places(
    pipeline: Pipeline, astronaut: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted = searches(pipeline, monkeypatch)
    results = run(pipeline, astronaut, 40)
    assert {face.face_id for result in results[2:] for face in result.faces} == {"f00001"}
    assert all(result.faces[0].observed and result.faces[0].emotion == "happy" for result in results[4:])
    # 1.3 s: the first image, then every 0.3 s a search in three parts of one image each.
    assert noted == ["whole", *["part 0", "part 1", "part 2"] * 4]


@pytest.mark.yunet
def test_an_interval_of_0_searches_every_image(
    pipeline: Pipeline, astronaut: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.configure(dataclasses.replace(SETTINGS, detection_search_interval=0.0))
    noted = searches(pipeline, monkeypatch)
    run(pipeline, astronaut, 10)
    assert noted == ["whole"] * 10


@pytest.mark.yunet
def test_a_camera_that_changes_its_size_is_searched_at_once(
    pipeline: Pipeline, astronaut: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(pipeline, astronaut, 5)
    noted = searches(pipeline, monkeypatch)
    small = np.ascontiguousarray(cv2.resize(astronaut, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    (face,) = run(pipeline, small, 1, start=5 * PERIOD)[0].faces
    assert noted == ["whole"]
    assert (face.face_id, face.observed, face.emotion) == ("f00001", True, "happy")
    x, y, width, height = face.roi
    assert x + width <= small.shape[1]
    assert y + height <= small.shape[0]


@pytest.mark.yunet
def test_a_face_lost_in_its_window_is_searched_for_at_once(
    pipeline: Pipeline, astronaut: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = np.full((480, 640, 3), 128, np.uint8)
    image[:220, :220] = astronaut[20:240, 110:330]
    run(pipeline, image, 5)
    noted = searches(pipeline, monkeypatch)
    elsewhere = np.full_like(image, 128)
    elsewhere[220:440, 400:620] = astronaut[20:240, 110:330]
    (result,) = run(pipeline, elsewhere, 1, start=5 * PERIOD)
    assert noted == ["whole"]
    assert [face.observed for face in result.faces] == [False]
    assert pipeline.track_count() == 2  # where it is now it counts as another one, as a candidate


@pytest.mark.yunet
def test_a_newcomer_is_found_within_the_interval(pipeline: Pipeline, astronaut: Image, hopper: Image) -> None:
    both = beside(astronaut, hopper)
    alone = both.copy()
    alone[:, 400:] = 128
    run(pipeline, alone, 7)
    counts = [len(result.faces) for result in run(pipeline, both, 20, start=7 * PERIOD)]
    assert counts[0] == 1
    # The interval, two more images for the parts of the search, and the time of birth.
    assert counts.index(2) * 0.033 <= 0.3 + 2 * 0.033 + SETTINGS.birth_time + 0.033
    assert counts[-1] == 2


@pytest.mark.yunet
def test_a_cut_to_another_person_at_the_same_place_is_another_face(
    pipeline: Pipeline, astronaut: Image, hopper: Image
) -> None:
    man = np.ascontiguousarray(hopper[57:569])
    (found,) = pipeline.detector.detect(man)
    (woman,) = pipeline.detector.detect(astronaut)
    scale = float(woman.box[3] / found.box[3])
    offset = woman.box[:2] - scale * found.box[:2]
    moved = cv2.warpAffine(
        man, np.array([[scale, 0, offset[0]], [0, scale, offset[1]]]), (512, 512), borderMode=cv2.BORDER_REPLICATE
    )
    before = run(pipeline, astronaut, 8)[-1].faces[0].face_id
    results = run(pipeline, np.asarray(moved, np.uint8), 8, start=8 * PERIOD)
    observed = {face.face_id for result in results for face in result.faces if face.observed}
    assert before not in observed
    assert len(observed) == 1
    assert [face.observed for face in results[0].faces] == [False]


@pytest.mark.yunet
def test_two_runs_give_the_same(astronaut: Image, hopper: Image) -> None:
    both = beside(astronaut, hopper)

    def once() -> list[Any]:
        made = build_pipeline(SETTINGS)
        results = run(made, both, 25, start=10**15)
        made.close()
        return [(f.face_id, f.roi, f.scores.tolist()) for result in results for f in result.faces]

    assert once() == once()


@pytest.mark.yunet
def test_searches_of_several_cameras_are_spread_over_frames(
    pipeline: Pipeline, astronaut: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted = searches(pipeline, monkeypatch)
    cost = []
    for index in range(40):
        noted.clear()
        pipeline.process([Frame(astronaut, 10**18 + index * PERIOD, camera) for camera in "abc"])
        cost.append(len(noted))
    assert cost[0] == 3
    assert max(cost[1:]) == 1
    assert sum(cost[1:]) == pytest.approx(3 * 3 * 39 * 0.033 / 0.3, abs=9)


def test_live_settings_take_effect_and_ids_stay(pipeline: Pipeline, astronaut: Image) -> None:
    before = run(pipeline, astronaut, 5)[-1].faces[0].face_id
    pipeline.configure(dataclasses.replace(SETTINGS, filter="none", undecided_threshold=1.0))
    result = run(pipeline, astronaut, 1, start=5 * PERIOD)[0]
    (face,) = result.faces
    assert face.face_id == before
    assert face.emotion == ""  # nothing is certain enough now
    np.testing.assert_array_equal(face.scores, face.raw_scores)
    pipeline.configure(dataclasses.replace(SETTINGS, min_face_size=400))
    results = run(pipeline, astronaut, 20, start=6 * PERIOD)
    assert not results[-1].faces


def test_the_assumed_share_of_neutral_moves_the_scores_and_not_the_raw_ones(
    pipeline: Pipeline, astronaut: Image
) -> None:
    prior = np.array(pipeline.classifier.metadata.prior)
    (plain,) = pipeline.process([Frame(astronaut, 0, still=True)])[0].faces
    run(pipeline, astronaut, 5)
    pipeline.configure(dataclasses.replace(SETTINGS, neutral_share=0.8, filter="none"))
    (still,) = pipeline.process([Frame(astronaut, 0, still=True)])[0].faces
    (face,) = run(pipeline, astronaut, 1, start=5 * PERIOD)[0].faces
    assert plain.raw_scores is not None
    for each in (still, face):
        assert each.raw_scores is not None
        np.testing.assert_allclose(each.raw_scores, plain.raw_scores, atol=0.05)
        shares = np.array([0.2 / 6] * 6 + [0.8])  # neutral is the last of the labels
        expected = each.raw_scores * shares / prior
        np.testing.assert_allclose(each.scores, expected / expected.sum(), atol=1e-12)
    pipeline.configure(SETTINGS)
    (again,) = pipeline.process([Frame(astronaut, 0, still=True)])[0].faces
    np.testing.assert_array_equal(again.scores, plain.raw_scores)


def test_mirrored_faces_have_the_same_probabilities_with_their_mirror_average(
    pipeline: Pipeline, astronaut: Image
) -> None:
    (plain,) = pipeline.process([Frame(astronaut, 0, still=True)])[0].faces
    pipeline.configure(dataclasses.replace(SETTINGS, mirror_average=True))
    (face,) = pipeline.process([Frame(astronaut, 0, still=True)])[0].faces
    found = pipeline.detector.detect(astronaut, thorough=True)[0]
    crop = crop_faces(astronaut, found.box[None], [found.landmarks], size=48)
    one, other = (pipeline.classifier.classify(np.ascontiguousarray(c))[0] for c in (crop, crop[..., ::-1]))
    np.testing.assert_allclose(face.raw_scores, (one + other) / 2, atol=1e-5)
    np.testing.assert_array_equal(face.scores, face.raw_scores)
    assert np.abs(np.asarray(face.raw_scores) - np.asarray(plain.raw_scores)).max() > 1e-4
    pipeline.configure(SETTINGS)
    (again,) = pipeline.process([Frame(astronaut, 0, still=True)])[0].faces
    np.testing.assert_array_equal(again.raw_scores, plain.raw_scores)


def test_a_model_without_neutral_says_that_its_share_has_no_effect(
    astronaut: Image, repository: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shipped = repository / "models" / "arch1_fer2013.onnx"
    moods = with_metadata(shipped, tmp_path / "moods.onnx", "fer.labels", [f"mood {number}" for number in range(7)])
    pipeline = build_pipeline(dataclasses.replace(SETTINGS, model=str(moods)))
    assert caplog.messages == []
    for share in (0.6, 0.6, 0.0):
        pipeline.configure(dataclasses.replace(pipeline.settings, neutral_share=share))
        (face,) = pipeline.process([Frame(astronaut, 0, still=True)])[0].faces
        np.testing.assert_array_equal(face.scores, face.raw_scores)
    pipeline.close()
    (told,) = caplog.messages
    assert "neutral_share is 0.6, but arch1" in told
    assert "it has no effect" in told


def test_a_face_that_is_not_seen_keeps_its_label_when_settings_change(pipeline: Pipeline, astronaut: Image) -> None:
    run(pipeline, astronaut, 5)
    nobody = np.zeros_like(astronaut)
    (before,) = run(pipeline, nobody, 1, start=5 * PERIOD)[0].faces
    pipeline.configure(dataclasses.replace(SETTINGS, filter="none", min_dwell=0.0))
    (after,) = run(pipeline, nobody, 1, start=6 * PERIOD)[0].faces
    assert (after.emotion, after.observed) == ("happy", False)
    assert after.confidence == pytest.approx(before.confidence, abs=0.05)
    # The new filter begins with the next look.
    (seen,) = run(pipeline, astronaut, 1, start=7 * PERIOD)[0].faces
    np.testing.assert_array_equal(seen.scores, seen.raw_scores)


def test_frames_without_faces_are_empty_results(pipeline: Pipeline) -> None:
    assert pipeline.process([]) == []
    for shape in ((1, 1, 3), (48, 48), (480, 640, 3)):
        (result,) = pipeline.process([Frame(np.zeros(shape, np.uint8), 0, still=True)])
        assert result.faces == ()
        assert (result.height, result.width) == shape[:2]


def test_wrong_settings_are_named(tmp_path: object) -> None:
    with pytest.raises(ModelError, match="no_such_model"):
        build_pipeline(dataclasses.replace(SETTINGS, model="no_such_model"))
    with pytest.raises(ConfigError, match="yolo"):
        build_pipeline(dataclasses.replace(SETTINGS, detector="yolo"))
    with pytest.raises(BackendError, match="abacus"):
        build_pipeline(dataclasses.replace(SETTINGS, backend="abacus"))


@pytest.mark.parametrize(
    ("box", "clipped"),
    [
        ((10.4, 20.6, 30.0, 40.0), (10, 21, 30, 40)),
        ((-5.0, -5.0, 20.0, 20.0), (0, 0, 15, 15)),
        ((90.0, 70.0, 30.0, 30.0), (90, 70, 10, 10)),
        ((150.0, 150.0, 5.0, 5.0), (99, 79, 1, 1)),
        ((-50.0, 10.0, 5.0, 5.0), (0, 10, 1, 5)),
    ],
)
def test_boxes_are_clipped_to_the_image(box: tuple[float, ...], clipped: tuple[int, ...]) -> None:
    assert clip_box(np.array(box, np.float32), 100, 80) == clipped


def beside(astronaut: Image, hopper: Image) -> Image:
    """A wide image of two people, the second one larger."""
    image = np.full((400, 800, 3), 128, np.uint8)
    image[90:310, 60:280] = astronaut[20:240, 110:330]
    image[:, 400:760] = hopper[60:460, 90:450]
    return image


def test_a_face_not_found_is_not_observed(pipeline: Pipeline, astronaut: Image) -> None:
    run(pipeline, astronaut, 12)
    results = run(pipeline, np.zeros_like(astronaut), 9, start=12 * PERIOD)
    assert [[face.observed for face in result.faces] for result in results] == [[False]] * 9


def test_a_face_is_classified_before_it_is_reported(astronaut: Image) -> None:
    pipeline = build_pipeline(dataclasses.replace(SETTINGS, birth_time=0.4))
    reported = [face for result in run(pipeline, astronaut, 20) for face in result.faces]
    pipeline.close()
    # Its filter has a history by then, without which there is no phase.
    assert reported[0].phase is not Phase.UNKNOWN


def test_a_image_that_is_a_little_late_keeps_the_faces(pipeline: Pipeline, astronaut: Image) -> None:
    (before,) = run(pipeline, astronaut, 10)[-1].faces
    (result,) = run(pipeline, astronaut, 1, start=9 * PERIOD - 100_000_000)
    assert [face.face_id for face in result.faces] == [before.face_id]


def test_a_lost_face_stays_at_the_right_of_a_wide_image(pipeline: Pipeline, astronaut: Image) -> None:
    image = np.full((480, 640, 3), 128, np.uint8)
    image[100:250, 490:640] = cv2.resize(astronaut[20:240, 110:330], (150, 150), interpolation=cv2.INTER_AREA)
    (seen,) = run(pipeline, image, 5)[-1].faces
    assert seen.roi[0] > 480
    (result,) = run(pipeline, np.full_like(image, 128), 1, start=5 * PERIOD)
    assert [(face.face_id, face.observed) for face in result.faces] == [(seen.face_id, False)]


@pytest.mark.yunet
def test_a_result_says_what_the_detector_found(pipeline: Pipeline, astronaut: Image) -> None:
    pipeline.configure(dataclasses.replace(SETTINGS, detection_search_interval=0.0))
    (found,) = pipeline.detector.detect(astronaut)
    (crop,) = crop_faces(astronaut, found.box[None], [found.landmarks])
    for face in (
        pipeline.process([Frame(astronaut, 0, still=True)])[0].faces[0],
        run(pipeline, astronaut, 5)[-1].faces[0],
    ):
        np.testing.assert_array_equal(face.landmarks, found.landmarks)
        assert face.roi == clip_box(found.box, 512, 512)
        assert face.detection_confidence == found.score
        assert face.quality == pytest.approx(face_quality(astronaut, found.box, found.landmarks, crop), abs=0.01)


@pytest.mark.yunet
def test_the_classifier_sees_the_face_where_its_model_says(astronaut: Image, repository: Path, tmp_path: Path) -> None:
    template = LANDMARK_TEMPLATE * 0.4 + 20
    shipped = repository / "models" / "arch1_fer2013.onnx"
    other = with_metadata(shipped, tmp_path / "other.onnx", "fer.landmark_template", template.tolist())
    pipeline = build_pipeline(dataclasses.replace(SETTINGS, model=str(other)))
    (found,) = pipeline.detector.detect(astronaut)
    (face,) = pipeline.process([Frame(astronaut, 0, still=True)])[0].faces
    here, usual = (
        pipeline.classifier.classify(crop_faces(astronaut, found.box[None], [found.landmarks], template=points))[0]
        for points in (template, LANDMARK_TEMPLATE)
    )
    pipeline.close()
    np.testing.assert_allclose(face.scores, here, atol=1e-4)
    assert np.abs(here - usual).max() > 0.01


@pytest.mark.yunet
def test_small_faces_are_searched_for_in_stills_only(pipeline: Pipeline, astronaut: Image, hopper: Image) -> None:
    image = crowd_of(astronaut, hopper)
    (still,) = pipeline.process([Frame(image, 0, still=True)])
    assert len(still.faces) == 25
    run(pipeline, image, 3)
    assert 0 < pipeline.track_count("a") < 25


@pytest.mark.parametrize(
    "change",
    [{"detection_threshold": 0.99}, {"detection_size": 40}, {"min_face_size": 400}],
    ids=lambda c: next(iter(c)),
)
def test_live_settings_of_the_detector(pipeline: Pipeline, astronaut: Image, change: dict[str, Any]) -> None:
    assert run(pipeline, astronaut, 5)[-1].faces[0].observed
    pipeline.configure(dataclasses.replace(SETTINGS, **change))
    (result,) = run(pipeline, astronaut, 1, start=5 * PERIOD)
    assert [face.observed for face in result.faces] == [False]
    pipeline.configure(SETTINGS)
    (result,) = run(pipeline, astronaut, 1, start=6 * PERIOD)
    assert [face.observed for face in result.faces] == [True]


@pytest.mark.yunet
def test_the_number_of_faces_is_live(pipeline: Pipeline, astronaut: Image, hopper: Image) -> None:
    image = beside(astronaut, hopper)
    assert [face.observed for face in run(pipeline, image, 5)[-1].faces] == [True, True]
    pipeline.configure(dataclasses.replace(SETTINGS, max_faces=1))
    (result,) = run(pipeline, image, 1, start=5 * PERIOD)
    assert [face.roi[0] > 400 for face in result.faces if face.observed] == [True]


@pytest.mark.parametrize(("birth_time", "born"), [(0.0, 0), (0.2, 7), (5.0, None)])
def test_the_birth_time_is_live(pipeline: Pipeline, astronaut: Image, birth_time: float, born: int | None) -> None:
    run(pipeline, np.zeros_like(astronaut), 1)
    pipeline.configure(dataclasses.replace(SETTINGS, birth_time=birth_time, detection_search_interval=0.0))
    counts = [len(result.faces) for result in run(pipeline, astronaut, 10, start=PERIOD)]
    assert (counts.index(1) if 1 in counts else None) == born


@pytest.mark.parametrize("timeout", [0.1, 1.0])
def test_the_track_timeout_is_live(pipeline: Pipeline, astronaut: Image, timeout: float) -> None:
    run(pipeline, astronaut, 5)
    pipeline.configure(dataclasses.replace(SETTINGS, track_timeout=timeout))
    results = run(pipeline, np.zeros_like(astronaut), 40, start=5 * PERIOD)
    assert sum(bool(result.faces) for result in results) * 0.033 == pytest.approx(timeout, abs=0.04)
