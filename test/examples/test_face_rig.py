from __future__ import annotations

import socket
import struct

import numpy as np
import pytest
from load_example import load_example

from fer_perception.labels import LABELS_WITH_CONTEMPT

rig = load_example("face_rig")
osc = load_example("osc")


class TestTargets:
    def test_every_class_has_a_face(self) -> None:
        assert set(rig.ACTION_UNITS) == set(LABELS_WITH_CONTEMPT)
        assert all(unit in rig.BLENDSHAPES for units in rig.ACTION_UNITS.values() for unit in units)

    def test_a_smile(self) -> None:
        weights = rig.target_weights({"happy": 1.0}, "arkit")
        assert weights["mouthSmileLeft"] == weights["mouthSmileRight"] == 1.0
        assert weights["cheekSquintLeft"] == pytest.approx(0.8)
        assert weights["jawOpen"] == weights["browDownLeft"] == 0.0

    def test_neutral_is_a_face_at_rest(self) -> None:
        assert set(rig.target_weights({"neutral": 1.0}, "arkit").values()) == {0.0}

    def test_half_a_smile_is_half_as_wide(self) -> None:
        weights = rig.target_weights({"happy": 0.5, "neutral": 0.5}, "arkit")
        assert weights["mouthSmileLeft"] == pytest.approx(0.5)

    def test_mixtures_stay_in_range_and_unknown_classes_are_ignored(self) -> None:
        for name in rig.RIGS:
            weights = rig.target_weights(dict.fromkeys([*LABELS_WITH_CONTEMPT, "bored"], 1.0), name)
            assert list(weights) == rig.names_of(name) or set(weights) == set(rig.names_of(name))
            assert 0.0 <= min(weights.values()) <= max(weights.values()) <= 1.0

    def test_facs_units(self) -> None:
        assert rig.target_weights({"surprised": 1.0}, "facs")["AU26"] == pytest.approx(0.7)


class TestEasing:
    def test_arrives_without_overshooting(self) -> None:
        easing = rig.Easing(["jawOpen"], 0.12)
        path = [easing.step({"jawOpen": 0.8}, 1 / 30)["jawOpen"] for _ in range(60)]
        assert (np.diff(path) >= -1e-12).all()
        assert max(path) <= 0.8 + 1e-9
        assert path[-1] == pytest.approx(0.8, abs=1e-3)
        assert path[0] < 0.05

    def test_does_not_depend_on_the_step(self) -> None:
        coarse, fine = rig.Easing(["a"], 0.2), rig.Easing(["a"], 0.2)
        for _ in range(3):
            coarse.step({"a": 1.0}, 0.1)
        for _ in range(30):
            fine.step({"a": 1.0}, 0.01)
        assert coarse.weights["a"] == pytest.approx(fine.weights["a"], abs=1e-9)

    def test_returns_to_rest_without_a_target(self) -> None:
        easing = rig.Easing(["a", "b"], 0.1)
        for _ in range(60):
            easing.step({"a": 1.0}, 1 / 30)
        for _ in range(60):
            weights = easing.step({}, 1 / 30)
        assert weights == {"a": pytest.approx(0.0, abs=1e-3), "b": 0.0}


class TestOsc:
    def test_a_message_as_the_specification_lays_it_out(self) -> None:
        # The example of the OSC 1.0 specification: address, type tags and arguments, each padded to four bytes.
        expected = b"/oscillator/4/frequency\0" + b",f\0\0" + bytes.fromhex("43dc0000")
        assert osc.message("/oscillator/4/frequency", 440.0) == expected

    def test_the_host_is_looked_up_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        sender = osc.OscSender("localhost", 9)
        monkeypatch.setattr(socket, "getaddrinfo", None)
        assert sender._target == ("127.0.0.1", 9)
        sender.close()

    def test_an_unknown_host_is_refused(self) -> None:
        with pytest.raises(OSError, match=r"."):
            osc.OscSender("no host has this name", 9)

    def test_weights_arrive_in_one_bundle(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
            receiver.bind(("127.0.0.1", 0))
            receiver.settimeout(5.0)
            sender = osc.OscSender("127.0.0.1", receiver.getsockname()[1])
            sender.send({"jawOpen": 0.25})
            sender.close()
            packet = receiver.recv(65536)
        assert packet.startswith(b"#bundle\0" + struct.pack(">Q", 1))
        first = osc.message("/VMC/Ext/Blend/Val", "jawOpen", 0.25)
        last = osc.message("/VMC/Ext/Blend/Apply")
        assert packet[16:] == struct.pack(">i", len(first)) + first + struct.pack(">i", len(last)) + last
