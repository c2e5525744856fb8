"""The node as a managed node: autostart, transitions, failures that are fixed, nothing that leaks."""

from __future__ import annotations

import gc
import threading
import weakref
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.ros

CONFIGURE, CLEANUP, ACTIVATE, DEACTIVATE = 1, 2, 3, 4
INACTIVE_SHUTDOWN, ACTIVE_SHUTDOWN = 6, 7


@pytest.mark.yunet
def test_autostart_answers_images_without_any_transition_from_outside(probe: Any, astronaut: Any) -> None:
    probe.start()
    probe.ask(astronaut, 10.0)
    answer = probe.ask(astronaut, 10.1)

    assert answer.camera == "/image_raw"
    assert (answer.image_width, answer.image_height) == (320, 240)
    assert answer.header.frame_id == "camera_optical_frame"
    assert (answer.header.stamp.sec, answer.header.stamp.nanosec) == (10, 100_000_000)
    assert list(answer.labels) == ["angry", "disgusted", "scared", "happy", "sad", "surprised", "neutral"]
    assert answer.model_id.count("@") == 1
    (face,) = answer.emotions
    assert face.face_id == "f00001"
    assert face.observed
    assert abs(sum(face.scores) - 1) < 1e-5
    assert abs(sum(face.raw_scores) - 1) < 1e-5
    assert face.raw_scores[3] == max(face.raw_scores), "the astronaut smiles"
    assert len(face.landmarks) == 5
    assert 60 < face.roi.x_offset + face.roi.width / 2 < 180
    assert face.tracked_for.nanosec == pytest.approx(100_000_000, abs=1000)


def test_without_autostart_it_waits_for_a_manager(probe: Any, astronaut: Any) -> None:
    probe.start(wait_for="unconfigured", autostart=False)
    probe.until(lambda: probe.status("fer: node"))
    assert probe.status("fer: node").message == "unconfigured"
    assert probe.status("fer: pipeline").message == "not configured"

    assert probe.change_state(CONFIGURE)
    assert probe.state == "inactive"
    assert probe.node.count_subscribers("/image_raw") == 0
    assert probe.change_state(ACTIVATE)
    assert probe.ask(astronaut, 1.0).emotions == []


def test_a_transition_that_is_not_possible_is_refused_and_the_node_lives_on(probe: Any, astronaut: Any) -> None:
    probe.start()
    assert not probe.change_state(ACTIVATE)
    assert not probe.change_state(99)
    assert probe.state == "active"
    probe.ask(astronaut, 1.0)


@pytest.mark.parametrize(
    ("bad", "reason", "good"),
    [
        ({"model": "no_such_model"}, "there is no model 'no_such_model'", {"model": "arch1_fer2013"}),
        ({"model": "/nowhere/model.onnx"}, "/nowhere/model.onnx", {"model": "arch1_fer2013"}),
        ({"backend": "tensorrt"}, "tensorrt", {"backend": "onnxruntime"}),
        ({"image_topics": ["/a", "/a"]}, "image_topics names /a twice", {"image_topics": ["/image_raw"]}),
        ({"image_topics": ["/a b"]}, "no valid topic name", {"image_topics": ["/image_raw"]}),
        ({"image_transports": ["raw", "raw"]}, "image_transports has 2 entries", {"image_transports": [""]}),
        ({"image_transports": ["theora"]}, "expected raw, compressed", {"image_transports": ["raw"]}),
        # Bad already where it is declared: rclpy alone would end the process.
        ({"birth_time": 7.0}, "birth_time is 7.0; expected a number from 0.0 to 5.0", {"birth_time": 0.1}),
        (
            {"neutral_share": 0.03},
            "neutral_share is 0.03; expected 0 or a number from 0.05 to 0.95",
            {"neutral_share": 0.6},
        ),
        ({"filter": "magic"}, "filter is 'magic'; expected one of: none, ema, hmm", {"filter": "ema"}),
        ({"threads": "two"}, "threads is 'two'", {"threads": 2}),
        (
            {"qos_overrides./image_raw.subscription.reliability": "perhaps"},
            "reliability is 'perhaps'; expected one of",
            {"qos_overrides./image_raw.subscription.reliability": "reliable"},
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_bad_parameter_fails_configure_with_the_reason_until_it_is_fixed(
    probe: Any, astronaut: Any, bad: dict[str, Any], reason: str, good: dict[str, Any]
) -> None:
    probe.start(wait_for="", autostart=False, **bad)
    assert not probe.change_state(CONFIGURE)
    assert probe.state == "unconfigured"
    assert probe.until_status("fer: node", reason).level == b"\x02"
    assert not probe.change_state(CONFIGURE), "nothing was fixed"

    assert all(result.successful for result in probe.set(**good))
    assert probe.change_state(CONFIGURE)
    assert probe.change_state(ACTIVATE)
    probe.ask(astronaut, 1.0)


def test_configure_takes_the_overrides_of_every_publisher(probe: Any) -> None:
    topics = ("/diagnostics", "/emotions")
    probe.start()
    for topic in topics:
        assert probe.set(**{f"qos_overrides.{topic}.publisher.durability": "transient_local"})[0].successful
    for transition in (DEACTIVATE, CLEANUP, CONFIGURE):
        assert probe.change_state(transition)

    def durabilities() -> set[str]:
        offers = [offer for topic in topics for offer in probe.node.get_publishers_info_by_topic(topic)]
        return {offer.qos_profile.durability.name for offer in offers} if len(offers) == len(topics) else set()

    probe.until(lambda: durabilities() == {"TRANSIENT_LOCAL"})
    before = len(probe.diagnostics)
    probe.until(lambda: len(probe.diagnostics) > before)


def test_a_damaged_model_file_fails_configure(probe: Any, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(b"\x08\x08\x12")
    probe.start(wait_for="", autostart=False, model=str(damaged))
    assert not probe.change_state(CONFIGURE)
    probe.until_status("fer: node", str(damaged))


def test_two_rounds_with_a_face_in_sight_leave_nothing_behind(probe: Any, astronaut: Any) -> None:
    probe.start()
    probe.ask(astronaut, 0.1)
    threads, subscriptions, publishers = counts(probe.fer)
    stamp = 1.0
    for _ in range(2):
        for transition in (DEACTIVATE, ACTIVATE, DEACTIVATE, CLEANUP, CONFIGURE, ACTIVATE):
            probe.ask(astronaut, stamp) if probe.state == "active" else None
            stamp += 1.0
            assert probe.change_state(transition)
        assert probe.state == "active"
        answers = [probe.ask(astronaut, stamp + step / 10) for step in range(3)]
        assert len(answers[-1].emotions) == 1
        stamp += 1.0
    assert counts(probe.fer) == (threads, subscriptions, publishers)

    assert probe.change_state(DEACTIVATE)
    assert probe.change_state(CLEANUP)
    assert "fer pipeline" not in [thread.name for thread in threading.enumerate()]
    assert list(probe.fer.subscriptions) == []


def test_no_face_id_comes_twice_in_the_life_of_the_node(probe: Any, astronaut: Any) -> None:
    probe.start(birth_time=0.0)
    (first,) = probe.ask(astronaut, 1.0).emotions
    for transition in (DEACTIVATE, CLEANUP, CONFIGURE, ACTIVATE):
        assert probe.change_state(transition)
    (second,) = probe.ask(astronaut, 2.0).emotions
    assert (first.face_id, second.face_id) == ("f00001", "f00002")


@pytest.mark.parametrize("transition", [INACTIVE_SHUTDOWN, ACTIVE_SHUTDOWN])
def test_shutdown_with_frames_under_way_ends_everything_but_diagnostics(
    probe: Any, astronaut: Any, transition: int
) -> None:
    probe.start()
    probe.ask(astronaut, 0.1)
    if transition == INACTIVE_SHUTDOWN:
        assert probe.change_state(DEACTIVATE)
    else:
        for step in range(5):
            probe.send(astronaut, 1 + step / 10)
    assert probe.change_state(transition)
    assert probe.state == "finalized"
    answered = len(probe.emotions)
    assert probe.fresh_status("fer: node").message == "finalized"
    assert len(probe.emotions) == answered
    assert "fer pipeline" not in [thread.name for thread in threading.enumerate()]


def test_destroying_an_active_node_frees_it(probe: Any, astronaut: Any) -> None:
    probe.start()
    probe.ask(astronaut, 0.1)
    probe.executor.remove_node(probe.fer)
    probe.fer.destroy_node()
    gone = weakref.ref(probe.fer)
    probe.fer = None
    # The executor's loop keeps the last timer it has seen.
    probe.executor.shutdown()
    probe.join()
    gc.collect()
    assert gone() is None
    assert "fer pipeline" not in [thread.name for thread in threading.enumerate()]


def counts(node: Any) -> tuple[int, int, int]:
    return (threading.active_count(), len(list(node.subscriptions)), len(list(node.publishers)))
