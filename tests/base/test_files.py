"""Files are there whole or not at all, as the umask says, and what can't be written is one line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sizing.base.errors import SizingError
from sizing.base.files import write_bytes, write_text


def test_written_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    before = os.umask(0o027)
    try:
        write_text(path, "é\r\n")
    finally:
        os.umask(before)
    assert path.read_bytes() == "é\r\n".encode() and path.stat().st_mode & 0o777 == 0o640
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new" and [item.name for item in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("where", ["no/such/folder/a.txt", "folder"])
def test_refused_in_one_line(tmp_path: Path, where: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(SizingError, match="can't be written"):
        write_text(tmp_path / where, "x")
    assert [item.name for item in tmp_path.iterdir()] == ["folder"]


def test_a_stop_in_the_middle_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def stopped(handle: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", stopped)
    with pytest.raises(KeyboardInterrupt):
        write_text(path, "new")
    assert path.read_text() == "old" and [item.name for item in tmp_path.iterdir()] == ["a.txt"]
