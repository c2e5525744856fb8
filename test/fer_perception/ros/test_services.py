"""~/set_enabled, ~/reset_tracks, and parameters while it runs."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest

pytestmark = pytest.mark.ros


def faces(answer: Any) -> list[str]:
    return [face.face_id for face in answer.emotions]


def test_disabled_it_is_silent_in_the_same_state_and_enabled_faces_are_new(probe: Any, astronaut: Any) -> None:
    from std_srvs.srv import SetBool

    probe.start()
    probe.ask(astronaut, 1.0)
    assert faces(probe.ask(astronaut, 1.1)) == ["f00001"]
    for step in range(5):
        probe.send(astronaut, 1.2 + step / 100)
    assert probe.call(SetBool, "/fer/set_enabled", data=False).success
    count = len(probe.emotions)
    assert probe.state == "active"
    received = probe.send(astronaut, 1.4)
    status = probe.until_status("fer: node", "disabled by ~/set_enabled")
    assert status.level == b"\x00"
    assert probe.fresh_status("camera /image_raw").message == "not looked at"
    assert probe.answer(received) is None
    assert len(probe.emotions) <= count + 1, "at most one answer was under way"

    assert probe.call(SetBool, "/fer/set_enabled", data=True).success
    assert faces(probe.ask(astronaut, 1.5)) == []
    assert faces(probe.ask(astronaut, 1.6)) == ["f00002"]


def test_disabling_outlives_a_round_of_the_lifecycle(probe: Any, astronaut: Any) -> None:
    from std_srvs.srv import SetBool

    probe.start()
    probe.ask(astronaut, 1.0)
    assert probe.call(SetBool, "/fer/set_enabled", data=False).success
    for transition in (4, 2, 1, 3):
        assert probe.change_state(transition)
    probe.send(astronaut, 2.0)
    count = len(probe.emotions)
    probe.fresh_status("fer: node")
    assert len(probe.emotions) == count
    assert probe.call(SetBool, "/fer/set_enabled", data=True).success
    probe.ask(astronaut, 3.0)


def test_reset_tracks_gives_faces_new_ids(probe: Any, astronaut: Any) -> None:
    from std_srvs.srv import Trigger

    probe.start()
    probe.ask(astronaut, 1.0)
    assert faces(probe.ask(astronaut, 1.1)) == ["f00001"]
    assert probe.call(Trigger, "/fer/reset_tracks").success
    assert faces(probe.ask(astronaut, 1.2)) == []
    assert faces(probe.ask(astronaut, 1.3)) == ["f00002"]


def test_services_answer_in_every_state(probe: Any) -> None:
    from std_srvs.srv import SetBool, Trigger

    probe.start(wait_for="unconfigured", autostart=False)
    assert probe.call(Trigger, "/fer/reset_tracks").success
    assert probe.call(SetBool, "/fer/set_enabled", data=False).success
    assert probe.change_state(1)
    assert probe.call(SetBool, "/fer/set_enabled", data=True).success


def test_live_parameters_take_effect_on_the_next_frame_and_faces_keep_their_ids(probe: Any, astronaut: Any) -> None:
    probe.start()
    probe.ask(astronaut, 1.0)
    assert faces(probe.ask(astronaut, 1.1)) == ["f00001"]
    assert probe.set(undecided_threshold=1.0, filter="none")[0].successful
    (face,) = probe.ask(astronaut, 1.2).emotions
    assert face.face_id == "f00001"
    assert list(face.scores) == pytest.approx(list(face.raw_scores), abs=1e-6)
    assert face.emotion == ""
    assert probe.set(min_face_size=2000)[0].successful
    assert [face.observed for face in probe.ask(astronaut, 1.3).emotions] == [False]


def test_a_file_of_the_values_that_are_set_already_changes_nothing(probe: Any) -> None:
    """`ros2 param load` after `ros2 param dump`."""
    log = probe.listen_to_log()
    probe.start()
    names = [name for name in probe.fer._parameters if name not in ("use_sim_time", "start_type_description_service")]
    same = {name: probe.fer.get_parameter(name).value for name in names}
    assert all(result.successful for result in probe.set(**{**same, "threads": 2}))
    probe.until(lambda: any("threads: takes effect" in entry.msg for entry in log))
    told = [entry.msg for entry in log if "takes effect" in entry.msg]
    assert told == ["threads: takes effect at the next configure"]


def test_bad_values_are_refused_with_a_reason_and_change_nothing(probe: Any, astronaut: Any) -> None:
    probe.start()
    for values, reason in (
        ({"birth_time": 9.0}, "out of range"),
        ({"birth_time": float("nan")}, "birth_time"),
        ({"detection_search_interval": -1.0}, "out of range"),
        ({"filter": "magic"}, "expected one of: none, ema, hmm"),
        ({"filter": 3}, "Wrong parameter type"),
        ({"max_rate_hz": -1.0}, "out of range"),
        ({"qos_overrides./image_raw.subscription.depth": 0}, "expected a whole number from 1"),
    ):
        (result,) = probe.set(**values)
        assert not result.successful, values
        assert reason in result.reason
    from fer_perception.settings.pipeline_settings import PipelineSettings

    assert probe.fer.get_parameter("filter").value == PipelineSettings().filter
    probe.ask(astronaut, 1.0)


def test_a_value_of_no_known_type_is_refused_and_the_node_lives_on(probe: Any) -> None:
    from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
    from rcl_interfaces.srv import SetParameters, SetParametersAtomically

    probe.start(wait_for="unconfigured", autostart=False)
    good = ParameterValue(type=ParameterType.PARAMETER_INTEGER, integer_value=30)
    given = [Parameter(name="min_face_size", value=good), Parameter(name="filter", value=ParameterValue(type=77))] * 2
    results = probe.call(SetParameters, "/fer/set_parameters", parameters=given).results
    assert [result.successful for result in results] == [True, False, False, False]
    assert "77" in results[1].reason
    result = probe.call(SetParametersAtomically, "/fer/set_parameters_atomically", parameters=given).result
    assert (result.successful, "77" in result.reason) == (False, True)
    assert probe.set(filter="ema")[0].successful
    assert probe.fer.get_parameter("min_face_size").value == 30


def test_every_parameter_is_described_with_its_range_and_when_it_takes_effect(probe: Any) -> None:
    from rcl_interfaces.srv import DescribeParameters

    from fer_perception.settings.node_settings import NodeSettings
    from fer_perception.settings.pipeline_settings import PipelineSettings

    probe.start(wait_for="unconfigured", autostart=False)
    names = [item.name for cls in (PipelineSettings, NodeSettings) for item in dataclasses.fields(cls)]
    described = probe.call(DescribeParameters, "/fer/describe_parameters", names=names).descriptors
    assert [item.name for item in described] == names
    for item in described:
        assert len(item.description) > 30
        when = "at the next start" if item.name == "autostart" else "(at once|at the next configure)"
        assert re.search(rf"Takes effect {when}\.$", item.description), item.description
        if item.type == 2:
            assert item.integer_range, item.name
        if item.type == 3:
            assert item.floating_point_range, item.name
            if item.name == "neutral_share":
                assert item.floating_point_range[0].from_value == 0.0
                assert item.additional_constraints == "0 or at least 0.05"
        if item.type == 4 and item.name != "model":
            assert item.additional_constraints.startswith("One of: "), item.name


def test_parameters_changed_under_load_never_end_it(probe: Any, astronaut: Any) -> None:
    from std_srvs.srv import SetBool, Trigger

    probe.start()
    stamp = 1.0
    for step in range(12):
        probe.send(astronaut, stamp)
        stamp += 0.1
        probe.set(
            filter=("hmm", "ema", "none")[step % 3],
            detection_search_interval=step % 3 * 0.1,
            max_rate_hz=float(step % 2) * 500,
        )
        if step % 4 == 3:
            probe.call(Trigger, "/fer/reset_tracks")
            probe.call(SetBool, "/fer/set_enabled", data=step % 8 == 3)
            probe.call(SetBool, "/fer/set_enabled", data=True)
    probe.set(max_rate_hz=0.0, detection_search_interval=0.3)
    probe.ask(astronaut, stamp + 1)
    assert len(probe.ask(astronaut, stamp + 1.1).emotions) == 1
    assert probe.fresh_status("fer: node").level == b"\x00"


def test_what_a_node_reads_at_its_start_cannot_be_set_later() -> None:
    from fer_perception.ros.parameters import descriptor
    from fer_perception.settings.node_settings import ImageSourceSettings

    rate = descriptor(ImageSourceSettings, "rate", read_only=True)
    assert rate.read_only
    assert rate.description.endswith("Read at the start.")
