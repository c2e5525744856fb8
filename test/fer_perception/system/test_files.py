"""Writing files: whole or not at all, links and modes as they were, what is no file as before."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from full_disk import fill_the_disk

from fer_perception.errors import ModelError, SourceError
from fer_perception.system.files import replace_atomically, write_atomically


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    fill_the_disk(monkeypatch)


def test_text_and_bytes_arrive_in_folders_that_are_made(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "page.md"
    write_atomically(path, "grün\n")
    assert path.read_bytes() == "grün\n".encode()
    write_atomically(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert [file.name for file in path.parent.iterdir()] == ["page.md"]


def test_a_name_in_the_text_that_is_no_text_is_spelled_out(tmp_path: Path) -> None:
    named = os.fsdecode(b"b\xe4g")
    write_atomically(tmp_path / "page.md", f"grün {named}")
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == r"grün b\udce4g"


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_leaves_the_earlier_file_and_is_named(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text("by hand")
    with pytest.raises(SourceError, match=r"cannot write .*page\.md \(No space left on device\); the earlier file"):
        write_atomically(path, "new")
    assert path.read_text() == "by hand"
    assert [file.name for file in tmp_path.iterdir()] == ["page.md"]


@pytest.mark.usefixtures("full_disk")
def test_the_error_is_of_the_class_asked_for_and_promises_nothing_of_a_new_file(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    with pytest.raises(ModelError, match="cannot write") as caught:
        write_atomically(path, b"new", error=ModelError)
    assert "earlier" not in str(caught.value)
    assert not path.exists()


def test_links_and_modes_stay(tmp_path: Path) -> None:
    real, link = tmp_path / "elsewhere" / "page.md", tmp_path / "page.md"
    real.parent.mkdir()
    real.write_text("old")
    real.chmod(0o640)
    link.symlink_to(Path("elsewhere") / "page.md")
    write_atomically(link, "new")
    assert link.is_symlink()
    assert real.read_text() == "new"
    assert real.stat().st_mode & 0o777 == 0o640


def test_a_new_file_has_the_usual_mode(tmp_path: Path) -> None:
    (tmp_path / "usual").write_text("")
    write_atomically(tmp_path / "new", "")
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.parametrize("code", [errno.EACCES, errno.EBUSY])
def test_a_file_in_a_folder_that_may_not_be_changed_is_written_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    path = tmp_path / "page.md"
    path.write_text("old")
    monkeypatch.setattr(os, "replace", refuse)
    write_atomically(path, "new")
    assert path.read_text() == "new"
    assert [file.name for file in tmp_path.iterdir()] == ["page.md"]
    with pytest.raises(SourceError, match="cannot write"):
        write_atomically(tmp_path / "absent.md", "new")


def test_a_protected_file_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "page.md"
    path.write_text("protected")
    # root may write to any file, so the answer is given for it
    monkeypatch.setattr(os, "access", lambda place, _: Path(place) != path)
    with pytest.raises(SourceError, match="Permission denied"):
        write_atomically(path, "new")
    assert path.read_text() == "protected"


@pytest.mark.parametrize("to_file", [False, True])
def test_standard_output_by_its_name(tmp_path: Path, *, to_file: bool) -> None:
    program = (
        "from pathlib import Path\nfrom fer_perception.system.files import write_atomically\n"
        "write_atomically(Path('/dev/stdout'), 'text')"
    )
    captured = tmp_path / "captured"
    with captured.open("wb") as file:
        done = subprocess.run(
            [sys.executable, "-c", program],
            stdout=file if to_file else subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=60,
            check=True,
        )
        # the very file that the shell has open, not another one of its name
        assert os.fstat(file.fileno()).st_ino == captured.stat().st_ino
    assert (captured.read_bytes() if to_file else done.stdout) == b"text"


def test_a_pipe_with_a_name(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_atomically(pipe, "text")
    assert os.read(reader, 100) == b"text"
    os.close(reader)
    assert pipe.is_fifo()


def test_a_link_in_the_way_of_a_temporary_file_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "page.md.part").symlink_to(tmp_path / "other")
    write_atomically(tmp_path / "page.md", "new")
    assert not (tmp_path / "other").exists()


@pytest.mark.usefixtures("full_disk")
def test_nothing_is_left_beside_a_file_that_could_not_be_written(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space"):
        replace_atomically(tmp_path / "engine", b"new")
    assert list(tmp_path.iterdir()) == []


def test_the_longest_name(tmp_path: Path) -> None:
    path = tmp_path / ("ü" * 127)
    write_atomically(path, "new")
    assert path.read_text() == "new"
