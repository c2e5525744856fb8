from __future__ import annotations

import dataclasses
import json
import os

import pytest

from fer_perception.errors import EngineCacheError
from fer_perception.inference.tensorrt.engine_cache import EngineCache, default_cache_directory
from fer_perception.inference.tensorrt.engine_key import EngineKey

KEY = EngineKey("Orin", "8.7", "10.3.0", "12.6", "arch1", "aa", "aa", "fp16", "weak")
DATA = bytes(range(256)) * 20


@pytest.fixture
def cache(tmp_path):
    return EngineCache(tmp_path / "engines")


def store(cache: EngineCache, key: EngineKey = KEY, seconds: float = 61.5):
    return cache.store(key, DATA, precision="FP16", build_seconds=seconds, max_difference=0.002)


def test_an_empty_cache_says_why(cache):
    found = cache.find(KEY)
    assert found.engine is None
    assert "no engine for this device" in found.reason
    assert not cache.directory.exists()


def test_what_is_stored_is_found_with_its_facts(cache):
    stored = store(cache)
    found = cache.find(KEY)
    assert found.engine == stored
    assert found.engine.data == DATA
    assert (found.engine.precision, found.engine.build_seconds, found.engine.max_difference) == ("FP16", 61.5, 0.002)
    assert sorted(p.suffix for p in cache.directory.iterdir()) == [".engine", ".json"]


def test_another_key_is_not_found(cache):
    store(cache)
    assert cache.find(dataclasses.replace(KEY, tensorrt="10.4.0")).engine is None


def test_a_manifest_of_another_key_is_refused_by_name(cache):
    store(cache)
    path = cache.engine_path(KEY).with_suffix(".json")
    manifest = json.loads(path.read_text())
    manifest["key"]["gpu"] = "Xavier"
    path.write_text(json.dumps(manifest))
    found = cache.find(KEY)
    assert found.engine is None
    assert "built for something else (gpu: 'Xavier', expected 'Orin')" in found.reason


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda path: path.write_bytes(DATA[:-7]), "cut short"),
        (lambda path: path.write_bytes(b"\1" + DATA[1:]), "does not have the hash"),
        (lambda path: path.with_suffix(".json").write_text("{"), "does not parse"),
        (lambda path: path.with_suffix(".json").write_text("[]"), "another kind"),
        (lambda path: path.with_suffix(".json").write_bytes(b"\xff\xfe"), "does not parse"),
        (lambda path: path.with_suffix(".json").unlink(), "no engine"),
        (lambda path: path.unlink(), "no engine"),
    ],
)
def test_damage_is_noticed_and_said(cache, damage, complaint):
    store(cache)
    damage(cache.engine_path(KEY))
    found = cache.find(KEY)
    assert found.engine is None
    assert complaint in found.reason


def test_a_refused_engine_is_remembered_and_overwritten_by_a_good_one(cache):
    store(cache)
    cache.refuse(KEY, "differs by 0.2")
    found = cache.find(KEY)
    assert (found.engine, found.refused) == (None, True)
    assert "differs by 0.2" in found.reason
    assert not cache.engine_path(KEY).exists()
    store(cache)
    assert cache.find(KEY).engine is not None


def test_discard(cache):
    store(cache)
    cache.discard(KEY)
    cache.discard(KEY)
    assert list(cache.directory.iterdir()) == []


def test_a_cache_that_cannot_be_written_says_so_at_once(tmp_path):
    (tmp_path / "file").write_text("in the way")
    cache = EngineCache(tmp_path / "file" / "engines")
    for call in (cache.require_writable, lambda: store(cache), lambda: cache.store_timing_cache(KEY, b"x")):
        with pytest.raises(EngineCacheError, match=r"file/engines cannot be written .*XDG_CACHE_HOME"):
            call()


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_directory(cache):
    cache.directory.mkdir()
    cache.directory.chmod(0o500)
    with pytest.raises(EngineCacheError, match=r"cannot be written"):
        cache.require_writable()


def test_probing_leaves_nothing_behind(cache):
    cache.require_writable()
    assert list(cache.directory.iterdir()) == []


def test_timings_belong_to_a_device_and_a_version(cache):
    cache.store_timing_cache(KEY, b"timings")
    assert cache.timing_cache(KEY) == b"timings"
    assert cache.timing_cache(dataclasses.replace(KEY, model="other")) == b"timings"
    assert cache.timing_cache(dataclasses.replace(KEY, tensorrt="10.4.0")) == b""
    assert cache.timing_cache(dataclasses.replace(KEY, gpu="Thor")) == b""


def test_the_estimate_is_the_median_of_earlier_builds_here(cache):
    assert cache.expected_build_seconds(KEY) is None
    for number, seconds in enumerate((10.0, 30.0, 500.0)):
        store(cache, dataclasses.replace(KEY, model=f"m{number}"), seconds)
    store(cache, dataclasses.replace(KEY, gpu="Thor"), 1.0)
    (cache.directory / "stray.json").write_text("[1]")
    assert cache.expected_build_seconds(KEY) == 30.0


def test_the_default_directory(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache_directory() == tmp_path / "fer_perception" / "engines"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert default_cache_directory().is_absolute()


def test_directories_and_files_are_for_this_user_alone(tmp_path):
    before = os.umask(0)
    try:
        cache = EngineCache(tmp_path / "cache" / "engines")
        store(cache)
    finally:
        os.umask(before)
    for folder in (cache.directory, cache.directory.parent):
        assert folder.stat().st_mode & 0o777 == 0o700
    for file in cache.directory.iterdir():
        assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("which", ["directory", "engine", "manifest"])
@pytest.mark.parametrize("mode", [0o020, 0o002])
def test_an_engine_that_others_may_write_is_not_loaded(cache, which, mode):
    store(cache)
    path = {
        "directory": cache.directory,
        "engine": cache.engine_path(KEY),
        "manifest": cache.engine_path(KEY).with_suffix(".json"),
    }[which]
    path.chmod(path.stat().st_mode | mode)
    found = cache.find(KEY)
    assert found.engine is None
    assert found.reason == f"{path} can be written by others, so it is not trusted; run `chmod go-w {path}`"
    path.chmod(path.stat().st_mode & ~0o022)
    assert cache.find(KEY).engine is not None


def test_nothing_is_built_into_a_directory_that_others_may_write(cache):
    store(cache)
    cache.directory.chmod(0o777)
    with pytest.raises(EngineCacheError, match="chmod go-w"):
        cache.require_writable()
    with pytest.raises(EngineCacheError, match="chmod go-w"):
        store(cache)
    assert cache.timing_cache(KEY) == b""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_an_engine_of_another_user_is_not_loaded(cache):
    store(cache)
    os.chown(cache.engine_path(KEY), 12345, 12345)
    found = cache.find(KEY)
    assert found.engine is None
    assert f"{cache.engine_path(KEY)} belongs to user 12345, so it is not trusted; remove it" in found.reason
