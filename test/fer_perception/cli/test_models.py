from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from run_fer import run_fer

from fer_perception.model_files.store import THIRD_PARTY_MODELS, ModelStore


@pytest.fixture
def whole_file() -> Path:
    """YuNet's file on this machine."""
    return ModelStore().find("yunet")


@pytest.fixture
def nothing_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine on which no third-party model lies anywhere."""
    monkeypatch.setenv("FER_MODEL_DIR", str(tmp_path / "models"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


def test_list(nothing_fetched: Path) -> None:
    done = run_fer("models", "list", "--json")
    assert done.returncode == 0
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert rows["yunet"]["state"] == "missing"
    assert rows["yunet"]["path"] is None
    assert "arch1_fer2013" in rows
    assert "yunet" in run_fer("models", "list").stdout


def test_verify(nothing_fetched: Path) -> None:
    done = run_fer("models", "verify", "yunet")
    assert done.returncode == 1
    assert "fer models fetch yunet" in done.stderr
    (nothing_fetched / THIRD_PARTY_MODELS[0].file_name).write_bytes(b"something else")
    done = run_fer("models", "verify", "yunet", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)[0]["state"] == "wrong hash"
    assert run_fer("models", "verify", "arch1_fer2013").returncode == 0


def test_files_without_a_hash_are_looked_into(nothing_fetched: Path, repository: Path) -> None:
    whole = (repository / "models" / "arch1_fer2013.onnx").read_bytes()
    (nothing_fetched / "mine.onnx").write_bytes(whole)
    assert run_fer("models", "verify", "mine").returncode == 0
    (nothing_fetched / "mine.onnx").write_bytes(whole[: len(whole) // 2])
    done = run_fer("models", "verify", "mine")
    assert done.returncode == 1
    assert "cut short" in done.stderr
    assert "unreadable" in done.stdout


def test_what_is_there_is_not_fetched_again(repository: Path) -> None:
    if not (repository.parent / "shared" / "models").is_dir():
        pytest.skip("no directory with the detector's file here")
    done = run_fer("models", "fetch", "yunet")
    assert done.returncode == 0
    assert re.fullmatch(r"yunet: already at .*face_detection_yunet_2023mar\.onnx, from .+\n", done.stdout)


def test_a_file_of_an_earlier_version_is_no_expression_model(nothing_fetched: Path) -> None:
    (nothing_fetched / "yunet_s_dynamic.onnx").write_bytes(b"of an earlier version")
    rows = json.loads(run_fer("models", "list", "--json").stdout)
    assert "yunet_s_dynamic" not in [row["name"] for row in rows]
    done = run_fer("models", "fetch", "yunet_dynamic")
    assert done.returncode == 1
    assert "yunet_dynamic is no longer needed: yunet does its work; run `fer models fetch yunet`" in done.stderr


@pytest.mark.yunet
def test_where_a_file_came_from_is_told(whole_file: Path, nothing_fetched: Path) -> None:
    source = whole_file
    done = run_fer("models", "fetch", "yunet", "--from", str(source.parent))
    assert done.returncode == 0, done.stderr
    assert f", from {source.parent}\n" in done.stdout
    (row,) = json.loads(run_fer("models", "verify", "yunet", "--json").stdout)
    assert (row["state"], row["origin"]) == ("ok", str(source.parent))
    assert f"MIT (Shiqi Yu), from {source.parent}\n" in run_fer("models", "list").stdout


def test_an_unknown_name() -> None:
    done = run_fer("models", "fetch", "nonsense")
    assert done.returncode == 1
    assert "there is no model 'nonsense'" in done.stderr
