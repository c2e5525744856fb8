from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fer_perception.errors import SourceError
from fer_perception.system.result_file import ResultFile

#: Starts a file of results, says so, and waits to be killed.
UNFINISHED = """
import sys
from pathlib import Path
from fer_perception.system.result_file import ResultFile
file = ResultFile(Path(sys.argv[1]))
file.write("half of " * 10000)
print("ready", flush=True)
sys.stdin.read()
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_it_is_complete_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("earlier")
    path.chmod(0o640)
    with ResultFile(path) as file:
        file.write("new\n")
        assert path.read_text() == "earlier"
        assert not file.complete
    assert file.complete
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("new\n", 0o640)
    with pytest.raises(KeyboardInterrupt), ResultFile(path) as file:
        file.write("half")
        raise KeyboardInterrupt
    assert not file.complete
    assert path.read_text() == "new\n"
    assert names(tmp_path) == ["a.csv"]


def test_a_killed_process_leaves_the_earlier_file_and_its_part_goes_at_the_next_start(tmp_path: Path) -> None:
    path, other = tmp_path / "a.csv", tmp_path / "b.csv"
    path.write_text("earlier")
    command = [sys.executable, "-c", UNFINISHED]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with (
        subprocess.Popen([*command, str(path)], **pipes) as killed,
        subprocess.Popen([*command, str(other)], **pipes) as working,
    ):
        for process in (killed, working):
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
        # What another process is working on stays.
        ResultFile(other).discard()
        assert len(names(tmp_path)) == 3
        killed.kill()
        killed.wait()
        assert path.read_text() == "earlier"
        assert len(names(tmp_path)) == 3
        with ResultFile(path) as file:
            file.write("new")
        working.kill()
    assert path.read_text() == "new"
    ResultFile(other).discard()
    assert names(tmp_path) == ["a.csv"]


@pytest.mark.parametrize("there", [True, False])
def test_a_link_in_its_place_is_not_followed(tmp_path: Path, *, there: bool) -> None:
    precious = tmp_path / "precious"
    if there:
        precious.write_text("precious")
    (tmp_path / "a.csv").symlink_to(precious)
    with ResultFile(tmp_path / "a.csv") as file:
        file.write("new")
    assert (tmp_path / "a.csv").read_text() == "new"
    assert not (tmp_path / "a.csv").is_symlink()
    assert precious.exists() is there
    assert not there or precious.read_text() == "precious"


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux")
def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.csv"
    path.write_text("earlier")
    file = ResultFile(path)
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, file._file.fileno())
    os.close(full)
    with pytest.raises(SourceError, match=r"a\.csv cannot be written: No space left.*earlier file .* is untouched"):
        for _ in range(1000):
            file.write("much " * 1000)
    file.close()
    assert not file.complete
    assert path.read_text() == "earlier"
    assert names(tmp_path) == ["a.csv"]


def test_what_is_no_file_is_written_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["cat", str(tmp_path / "pipe")], stdout=subprocess.PIPE) as reader:
        with ResultFile(tmp_path / "pipe") as file:
            file.write("ä\udce4\n")
        assert reader.communicate()[0].decode() == "ä\\udce4\n"
    assert names(tmp_path) == ["pipe"]
