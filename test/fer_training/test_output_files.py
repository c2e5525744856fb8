"""The folder for temporary files, where it cannot be used."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest

from fer_perception.errors import SourceError
from fer_training.output_files import scratch_folder


def test_a_full_folder_for_temporary_files_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    message = rf"temporary files {tmp_path} cannot be used \(No space left on device\); .* set TMPDIR"
    with pytest.raises(SourceError, match=message), scratch_folder() as folder:
        assert folder.parent == tmp_path
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(SourceError, match=r"gone cannot be used \(No such file"), scratch_folder():
        pass
