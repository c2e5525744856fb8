"""The newest frame of each camera, at once, in turn, and not more often than asked."""

from __future__ import annotations

import itertools
import threading
import time

import pytest

from fer_perception.live.camera_slots import CameraSlots


@pytest.fixture
def dropped() -> list[tuple[str, str]]:
    return []


def slots_of(*cameras: str, dropped: list[tuple[str, str]], max_rate_hz: float = 0.0) -> CameraSlots:
    slots = CameraSlots(cameras, lambda camera, cause: dropped.append((camera, cause)), max_rate_hz)
    slots.open()
    return slots


def test_only_the_newest_is_kept_and_the_others_are_counted(dropped: list[tuple[str, str]]) -> None:
    slots = slots_of("a", dropped=dropped)
    for number in range(5):
        slots.put("a", number)
    (received,) = slots.take(None)
    assert received.message == 4
    assert dropped == [("a", "overtaken")] * 4
    assert slots.take(0.0) == []


def test_all_cameras_come_at_once_the_longest_waiting_first(dropped: list[tuple[str, str]]) -> None:
    slots = slots_of("a", "b", "c", dropped=dropped)
    for camera in ("c", "a", "c", "b"):
        slots.put(camera, camera.upper())
    assert [item.camera for item in slots.take(None)] == ["a", "c", "b"]


def test_take_wakes_for_a_frame_that_comes_while_it_waits(dropped: list[tuple[str, str]]) -> None:
    slots = slots_of("a", dropped=dropped)
    taken: list[object] = []
    thread = threading.Thread(target=lambda: taken.extend(slots.take(30.0)))
    thread.start()
    slots.put("a", 1)
    thread.join(10.0)
    assert [item.message for item in taken] == [1]  # type: ignore[attr-defined]


def test_wake_ends_the_wait_with_nothing(dropped: list[tuple[str, str]]) -> None:
    slots = slots_of("a", dropped=dropped)
    slots.wake()
    before = time.monotonic()
    assert slots.take(30.0) == []
    assert time.monotonic() - before < 10.0


def test_a_closed_slot_refuses_frames_and_forgets_the_waiting_one(dropped: list[tuple[str, str]]) -> None:
    slots = slots_of("a", dropped=dropped)
    slots.put("a", 1)
    slots.close()
    slots.put("a", 2)
    assert slots.waiting_since("a") is None
    slots.open()
    assert slots.take(0.0) == []
    assert dropped == []


def test_the_rate_limit_keeps_the_newest_of_each_period(
    dropped: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("fer_perception.live.camera_slots.time.monotonic", lambda: now[0])
    slots = slots_of("a", dropped=dropped, max_rate_hz=10.0)
    taken: list[float] = []
    for step in range(60):  # 2 s at 30 Hz
        now[0] = 100.0 + step / 30
        slots.put("a", now[0])
        taken += [item.message for item in slots.take(0.0)]
    assert len(taken) == 20
    gaps = [later - earlier for earlier, later in itertools.pairwise(taken)]
    assert all(0.06 < gap < 0.14 for gap in gaps)
    assert {cause for _, cause in dropped} == {"max_rate"}
    assert len(dropped) == 60 - 20 - (slots.waiting_since("a") is not None)


def test_a_limit_at_the_cameras_own_rate_loses_nothing_to_jitter(
    dropped: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("fer_perception.live.camera_slots.time.monotonic", lambda: now[0])
    slots = slots_of("a", dropped=dropped, max_rate_hz=30.0)
    taken = 0
    for step in range(90):
        now[0] = 50.0 + step / 30 + (0.003 if step % 2 else 0.0)
        slots.put("a", step)
        taken += len(slots.take(0.0))
    assert taken == 90
    assert dropped == []


def test_under_overload_every_camera_keeps_its_share_and_ages_stay_bounded(
    dropped: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("fer_perception.live.camera_slots.time.monotonic", lambda: now[0])
    cameras = ("a", "b", "c", "slow")
    period = {"a": 1 / 30, "b": 1 / 30, "c": 1 / 60, "slow": 0.2}
    slots = slots_of(*cameras, dropped=dropped)
    due = dict.fromkeys(cameras, 0.0)
    served = dict.fromkeys(cameras, 0)
    oldest = dict.fromkeys(cameras, 0.0)
    busy_until = 0.0
    for tick in range(10_000):  # 10 s; a batch takes 120 ms
        now[0] = tick / 1000
        for camera in cameras:
            if now[0] >= due[camera]:
                slots.put(camera, tick)
                due[camera] += period[camera]
        if now[0] >= busy_until:
            batch = slots.take(0.0)
            for item in batch:
                served[item.camera] += 1
                oldest[item.camera] = max(oldest[item.camera], now[0] - item.time_s)
            busy_until = now[0] + 0.12 if batch else busy_until
    assert served["a"] == served["b"] == served["c"] > 70
    assert served["slow"] == 50
    for camera in ("a", "b", "c"):
        assert oldest[camera] <= period[camera] + 0.005


def test_cameras_come_and_go(dropped: list[tuple[str, str]]) -> None:
    slots = slots_of(dropped=dropped)
    slots.put("late", 1)
    slots.add("late")
    assert slots.take(0.0) == []
    slots.put("late", 2)
    assert [item.message for item in slots.take(0.0)] == [2]
    slots.put("late", 3)
    slots.remove("late")
    assert slots.take(0.0) == []
    assert slots.waiting_since("late") is None
