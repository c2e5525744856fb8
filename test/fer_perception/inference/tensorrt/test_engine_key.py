from __future__ import annotations

import dataclasses

import pytest

from fer_perception.inference.tensorrt.engine_key import PROFILE, EngineKey, cuda_description, l4t_release

KEY = EngineKey(
    gpu="Orin",
    compute_capability="8.7",
    tensorrt="10.3.0",
    cuda="12.6 L4T 36.4.0",
    model="arch1_fer2013",
    model_sha256="aa" * 32,
    graph_sha256="bb" * 32,
    precision="fp16",
    typing="weak",
)


def test_the_profile_of_the_node():
    assert PROFILE == (1, 8, 64)
    assert KEY.as_dict()["profile"] == [1, 8, 64]


@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(EngineKey)])
def test_every_fact_changes_the_hash_and_is_named(name):
    value = getattr(KEY, name)
    other = {str: lambda: value + "x", int: lambda: value + 1, tuple: lambda: (1, 4, 32)}[type(value)]()
    changed = dataclasses.replace(KEY, **{name: other})
    assert changed.digest != KEY.digest
    assert changed.stem != KEY.stem
    (difference,) = KEY.differences(changed.as_dict())
    assert difference.startswith(f"{name}: ")


def test_equal_keys_and_unknown_fields():
    assert KEY.differences(dataclasses.replace(KEY).as_dict()) == []
    assert KEY.differences(KEY.as_dict() | {"moon": "full"}) == ["moon: 'full', expected None"]


def test_a_file_name_cannot_leave_its_directory():
    stem = dataclasses.replace(KEY, model="../../etc", gpu="NVIDIA GeForce RTX 4090 / Ti").stem
    assert "/" not in stem
    assert not stem.startswith(".")


def test_the_release_of_a_jetson(tmp_path):
    line = "# R36 (release), REVISION: 2.0, GCID: 35084178, BOARD: generic, EABI: aarch64, DATE: Tue Dec 19 2023\n"
    assert l4t_release(line) == "36.2.0"
    (tmp_path / "nv_tegra_release").write_text(line)
    assert cuda_description((12, 2, 0), tmp_path / "nv_tegra_release") == "12.2 L4T 36.2.0"
    assert cuda_description((12, 2, 0), tmp_path / "missing") == "12.2"
    assert l4t_release("something else") == ""
