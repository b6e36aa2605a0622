"""All files of the reference plans, byte for byte. SIZING_UPDATE_GOLDEN=1 writes them anew."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sizing.deploy import deployment_files

from .cases import CASES

GOLDEN = Path(__file__).parent / "golden"
UPDATE = bool(os.environ.get("SIZING_UPDATE_GOLDEN"))


@pytest.mark.parametrize("case", CASES)
def test_files_are_the_golden_ones(case: str) -> None:
    files = deployment_files(CASES[case], "all")
    folder = GOLDEN / case
    if UPDATE:
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        for name, content in files.items():
            (folder / name).write_text(content, encoding="utf-8")
    assert sorted(files) == sorted(path.name for path in folder.iterdir())
    for name, content in files.items():
        assert content == (folder / name).read_text(encoding="utf-8"), name


def test_the_same_spec_gives_the_same_text() -> None:
    for spec in CASES.values():
        assert deployment_files(spec, "all") == deployment_files(spec, "all")
