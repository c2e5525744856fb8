"""Blocks of pages that programs write."""

from __future__ import annotations

from pathlib import Path

import pytest
from full_disk import fill_the_disk

from fer_perception.errors import SourceError
from fer_training.report.marked_blocks import replace_block, write_block

PAGE = "# Page\n<!-- a: begin (made by x) -->\nold\n<!-- a: end -->\nbetween\n<!-- b: begin -->\n<!-- b: end -->\nend\n"


def test_only_what_is_between_the_marks_changes() -> None:
    first = replace_block(PAGE, "a", "| new |\n")
    assert first == PAGE.replace("\nold\n", "\n\n| new |\n\n")
    assert replace_block(first, "b", "other") == first.replace("<!-- b: begin -->\n", "<!-- b: begin -->\n\nother\n\n")


def test_the_same_content_again_changes_nothing() -> None:
    once = replace_block(PAGE, "a", "x \\1 y")
    assert replace_block(once, "a", "x \\1 y") == once


@pytest.mark.parametrize("text", ["no marks", "<!-- a: begin -->", PAGE + PAGE])
def test_missing_and_doubled_marks_are_refused(text: str) -> None:
    with pytest.raises(SourceError, match="a: begin"):
        replace_block(text, "a", "new")


def test_a_file_is_written_only_where_it_changes(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    assert write_block(page, "a", "new")
    assert not write_block(page, "a", "new")
    assert "\n\nnew\n\n" in page.read_text()


def test_errors_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"missing\.md"):
        write_block(tmp_path / "missing.md", "a", "new")
    (tmp_path / "plain.md").write_bytes(b"\xff\xfe")
    with pytest.raises(SourceError, match=r"plain\.md"):
        write_block(tmp_path / "plain.md", "a", "new")
    (tmp_path / "plain.md").write_text("nothing")
    with pytest.raises(SourceError, match=r"plain\.md: expected one block"):
        write_block(tmp_path / "plain.md", "a", "new")


def test_a_full_disk_leaves_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    with monkeypatch.context() as patch:
        fill_the_disk(patch)
        with pytest.raises(SourceError, match=r"cannot write .*page\.md \(No space left on device\)"):
            write_block(page, "a", "new")
    assert page.read_text() == PAGE
    assert write_block(page, "a", "new")
